  // The setting of the page: what is swapped from where to where. It is never changed in place, so that undo is a list of
  // settings. It is written to the address, and an address is hostile input: it is accepted whole or not at all.

  const LONGEST_ADDRESS = 8000;
  const MOST_DEMOS = 3;
  const HOWS = ["map", "random", "rest"];

  const variablesOf = (subject) => [...new Set(subject.data.alignments.map((entry) => entry.variable))];
  const alignmentsOf = (subject, variable) =>
    subject.data.alignments.map((entry, i) => i).filter((i) => subject.data.alignments[i].variable === variable);

  // The alignment that answers for a variable, or the first.
  function answerOf(subject, variable) {
    const indices = alignmentsOf(subject, variable);
    return indices.find((i) => subject.data.alignments[i].answer) ?? indices[0];
  }

  const longestSequence = (task) => Math.min(Math.max(...task.sequences.map((tokens) => tokens.length)) + 40, 600);

  // The values that a slider may set: those of the only part of the alignment, where it has any.
  function sliderOf(setting) {
    const subject = subjects[setting.subject];
    if (setting.how !== "map" || ["whole", "none"].includes(setting.variable)) return null;
    const { parts } = prepare(subject).alignments[setting.alignment];
    const values = parts.length === 1 && parts[0].decode ? parts[0].decode.values : [];
    return values.length > 1 ? { variable: parts[0].variable, values } : null;
  }

  // What is wrong with a sequence and its stop, in words; an empty text where nothing is.
  function faultOf(subject, tokens, position, which) {
    const { task, algorithm } = prepare(subject);
    if (tokens.length < 2 || tokens.length > longestSequence(task)) {
      return `The ${which} has ${tokens.length} tokens; it needs 2 to ${longestSequence(task)}.`;
    }
    if (tokens.some((token) => token >= task.tokens.length)) return `The ${which} has a token that the task lacks.`;
    const { states, wrong } = algorithm.run(tokens);
    if (wrong === 0) return `The ${which} must begin with ${task.tokens[task.bos]}.`;
    if (wrong > 0) {
      const may = algorithm.tokensAfter(states[wrong - 1]).map((token) => task.tokens[token]);
      return `In the ${which}, ${task.tokens[tokens[wrong]]} cannot stand at position ${wrong}; possible: ${may.join(", ")}.`;
    }
    const end = tokens.indexOf(task.eos);
    if (end >= 0 && end < tokens.length - 1) return `The ${which} goes on after ${task.tokens[task.eos]}.`;
    if (!(position >= 1 && position < tokens.length && tokens[position] !== task.eos)) {
      return `The ${which} cannot stop at position ${position}.`;
    }
    return "";
  }

  function faultOfSetting(setting) {
    const subject = subjects[setting.subject];
    if (!subject) return "There is no network of this number.";
    const special = ["whole", "none"].includes(setting.variable);
    if (!special) {
      const entry = subject.data.alignments[setting.alignment];
      if (!entry || entry.variable !== setting.variable) return "There is no alignment of this number.";
    }
    const slider = sliderOf(setting);
    if (setting.value !== null) {
      if (!slider) return "No value can be set here.";
      if (!(setting.value >= slider.values[0] && setting.value <= slider.values.at(-1))) {
        return "The value lies outside those of the variable.";
      }
    }
    return (
      faultOf(subject, setting.base, setting.basePosition, "base") ||
      faultOf(subject, setting.source, setting.sourcePosition, "source")
    );
  }

  // The setting as the fragment of the address; tokens by their ids.
  function addressOf(setting) {
    const named = variablesOf(subjects[setting.subject]).indexOf(setting.variable);
    const entries = {
      net: setting.subject,
      swap: named < 0 ? setting.variable : named,
      map: setting.alignment,
      how: setting.how,
      base: setting.base.join("."),
      at: setting.basePosition,
      source: setting.source.join("."),
      from: setting.sourcePosition,
      demos: setting.demos,
      value: setting.value,
    };
    const kept = Object.entries(entries).filter(([, value]) => value !== null);
    return "#" + kept.map(([name, value]) => `${name}=${value}`).join("&");
  }

  const WHOLE = /^\d{1,4}$/;
  const PATTERNS = {
    net: WHOLE,
    swap: /^(\d{1,4}|whole|none)$/,
    map: WHOLE,
    how: /^(map|random|rest)$/,
    base: /^\d{1,5}(\.\d{1,5})*$/,
    at: WHOLE,
    source: /^\d{1,5}(\.\d{1,5})*$/,
    from: WHOLE,
    demos: /^[0-3]$/,
    value: /^-?\d{1,9}(\.\d{1,17})?$/,
  };

  // The setting of an address, or a sentence about why it is none.
  function readAddress(text) {
    const refuse = (why) => ({ fault: `The address was ignored. ${why}` });
    if (text.length > LONGEST_ADDRESS) return refuse("It is too long.");
    const entries = new Map();
    for (const pair of text.replace(/^#/, "").split("&")) {
      const [name, value, ...more] = pair.split("=");
      if (!Object.hasOwn(PATTERNS, name) || more.length || entries.has(name)) {
        return refuse("It has a part that this page does not know, or has twice.");
      }
      if (!PATTERNS[name].test(value ?? "")) return refuse(`Its part ${name} has no possible value.`);
      entries.set(name, value);
    }
    const missing = Object.keys(PATTERNS).find((name) => name !== "value" && !entries.has(name));
    if (missing) return refuse(`Its part ${missing} is missing.`);
    const number = (name) => Number(entries.get(name));
    const subject = subjects[number("net")];
    const swap = entries.get("swap");
    const setting = {
      subject: number("net"),
      variable: WHOLE.test(swap) ? (subject && variablesOf(subject)[number("swap")]) : swap,
      alignment: number("map"),
      how: entries.get("how"),
      base: entries.get("base").split(".").map(Number),
      basePosition: number("at"),
      source: entries.get("source").split(".").map(Number),
      sourcePosition: number("from"),
      demos: number("demos"),
      value: entries.has("value") ? number("value") : null,
    };
    if (setting.variable === undefined) return refuse("There is no variable of this number.");
    const fault = faultOfSetting(setting);
    return fault ? refuse(fault) : { setting };
  }

  // A setting to begin with: a base and a source of different quantities, stopped in their middle.
  function firstSetting(index) {
    const subject = prepare(subjects[index]);
    const { task } = subject;
    const [variable] = variablesOf(subject);
    const pick = (share) => task.sequences[Math.floor(share * (task.sequences.length - 1))];
    const [base, source] = [pick(0.3), pick(0.7)];
    const setting = {
      subject: index,
      variable,
      alignment: answerOf(subject, variable),
      how: "map",
      base,
      basePosition: 1,
      source,
      sourcePosition: 1,
      demos: 0,
      value: null,
    };
    return { ...setting, basePosition: turnOf(subject, base), sourcePosition: turnOf(subject, source) - 1 || 1 };
  }

  // The first position after which another choice of tokens begins, such as the trigger; else the middle.
  function turnOf(subject, tokens) {
    const { states } = subject.algorithm.run(tokens);
    const choices = states.map(subject.algorithm.choiceOf);
    const at = choices.findIndex((choice, i) => i > 1 && choice !== choices[i - 1]);
    return at > 0 && at < tokens.length - 1 ? at : Math.max(1, Math.floor(tokens.length / 2) - 1);
  }

  // The stop in another sequence that is most like a given one: in the same phase, and as far through it.
  function sameStop(subject, tokens, position, other) {
    const { algorithm } = subject;
    const choices = (sequence) => algorithm.run(sequence).states.map(algorithm.choiceOf);
    const from = choices(tokens);
    const to = choices(other);
    const inPhase = (list) => list.map((choice, i) => i).filter((i) => i > 0 && list[i] === from[position]);
    const before = inPhase(from);
    const possible = inPhase(to).filter((i) => other[i] !== subject.task.eos);
    if (possible.length === 0) return Math.min(position, other.length - 2);
    const share = before.length > 1 ? before.indexOf(position) / (before.length - 1) : 0;
    return possible[Math.round(share * (possible.length - 1))];
  }

  // A list of settings with a place in it.
  function makeHistory(first) {
    let list = [first];
    let place = 0;
    return {
      now: () => list[place],
      add(setting) {
        if (addressOf(setting) === addressOf(list[place])) return;
        list = [...list.slice(Math.max(0, place - 300), place + 1), setting];
        place = list.length - 1;
      },
      move(by) {
        place = Math.min(Math.max(place + by, 0), list.length - 1);
        return list[place];
      },
      can: (by) => place + by >= 0 && place + by < list.length,
    };
  }
