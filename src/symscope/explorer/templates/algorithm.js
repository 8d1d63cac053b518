  // An algorithm as a table of states: which tokens may follow each state, and which state follows each of them.

  const UNKNOWN = 65535;
  const MOST_TOKENS = 2000;

  function makeAlgorithm(data, task) {
    const values = data.values.map(numbersOf);
    const choiceOf = numbersOf(data.choiceOf);
    const canEnd = numbersOf(data.canEnd);
    const next = numbersOf(data.next);
    const variables = data.variables.map((variable) => variable.name);
    const begins = new Uint32Array(choiceOf.length + 1);
    choiceOf.forEach((choice, state) => (begins[state + 1] = begins[state] + data.choices[choice].tokens.length));
    const keyOf = (entries) => entries.join(" ");
    const index = new Map();
    choiceOf.forEach((_, state) => index.set(keyOf(values.map((column) => column[state])), state));

    const choice = (state) => data.choices[choiceOf[state]];

    // The state after a token; null where the token may not follow, or the table ends.
    function after(state, token) {
      const place = choice(state).tokens.indexOf(token);
      if (place < 0) return null;
      if (token === task.eos) return state;
      const following = next[begins[state] + place];
      return following === UNKNOWN ? null : following;
    }

    // The state after each token of a sequence, and the position of the first token that may not stand there (or -1).
    function run(tokens) {
      const states = [];
      let state = data.start;
      for (const [position, token] of tokens.entries()) {
        if (position === 0 ? token !== task.bos : (state = after(state, token)) === null) return { states, wrong: position };
        states.push(state);
      }
      return { states, wrong: -1 };
    }

    // What must follow a state until EOS; `demos` extra demo tokens are fed where tokens are free. Null: it never ends.
    function follow(state, demos) {
      const tokens = [];
      const determined = [];
      const states = [state];
      while (tokens.length < MOST_TOKENS) {
        const may = choice(state);
        if (!canEnd[state] || may.tokens.length === 0) return null;
        const alone = may.tokens.length === 1;
        const token = alone ? may.tokens[0] : may.draw[demos > 0 ? 1 : 0];
        if (!alone && demos > 0 && may.counts) demos -= 1;
        tokens.push(token);
        determined.push(alone);
        if (token === task.eos) return { tokens, determined, states };
        state = after(state, token);
        if (state === null) return null;
        states.push(state);
      }
      return null;
    }

    const valueOf = (state, name) => values[data.entries.indexOf(name)][state];

    return {
      name: data.name,
      variables,
      run,
      follow,
      valueOf,
      choiceOf: (state) => choiceOf[state],
      tokensAfter: (state) => choice(state).tokens,
      // Whether the task feeds demo tokens somewhere after a state, so that their number matters.
      takesDemos: (state) => choice(state).tokens.length > 1 && choice(state).counts,
      // The state with some variables overwritten; undefined where no state has these values.
      overwrite(state, taken) {
        const entries = data.entries.map((name, i) => taken.get(name) ?? values[i][state]);
        return index.get(keyOf(entries));
      },
      valuesAt: (state) => variables.map((name) => valueOf(state, name)),
      textOf(name, value) {
        const variable = data.variables.find((entry) => entry.name === name);
        if (variable.kind === "category") return variable.labels[value] ?? String(value);
        return String(Math.round(value * 1000) / 1000);
      },
    };
  }
