  // What a reader sees of one intervention. All text is set as text, never as markup.

  const $ = (id) => document.getElementById(id);

  function make(tag, properties = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
      if (name.includes("-") || name === "role" || name === "for") node.setAttribute(name, value);
      else node[name] = value;
    }
    node.append(...children);
    return node;
  }

  const percent = (share) => `${(100 * share).toFixed(share > 0.9995 || share < 0.0005 ? 0 : 1)}%`;

  // Colours of tokens by their part in the task: fed by the task, the turn to the response, determined.
  function rolesOf(subject) {
    const { choices } = document_.algorithms[subject.data.algorithm];
    const roles = new Map([[subject.task.bos, "edge"], [subject.task.eos, "edge"], [subject.task.pad, "edge"]]);
    const set = (token, role) => roles.has(token) || roles.set(token, role);
    for (const choice of choices) if (choice.tokens.length === 1) set(choice.tokens[0], "determined");
    for (const choice of choices) if (choice.tokens.length > 1 && choice.counts) set(choice.draw[0], "turn");
    return (token) => roles.get(token) ?? "free";
  }

  function tokenNode(subject, token, tag, classes = "", properties = {}) {
    subject.roleOf ??= rolesOf(subject);
    const className = `token ${subject.roleOf(token)} ${classes}`;
    return make(tag, { className, textContent: subject.task.tokens[token], ...properties });
  }

  // A row of tokens of which one is chosen: one stop of the Tab key, arrow keys choose.
  function drawChooser(strip, subject, tokens, { chosen, possible, label, choose, fade }) {
    const focused = strip.contains(document.activeElement);
    const nodes = tokens.map((token, i) => {
      if (!possible(i)) return tokenNode(subject, token, "span", "fixed");
      const faded = fade(i) ? "faded" : "";
      const tabIndex = i === chosen ? 0 : -1;
      const node = tokenNode(subject, token, "button", faded, { type: "button", role: "radio", tabIndex });
      node.setAttribute("aria-checked", String(i === chosen));
      node.setAttribute("aria-label", label(i));
      node.dataset.position = i;
      return node;
    });
    strip.replaceChildren(...nodes);
    strip.chooser = { choose, chosen, possible, count: tokens.length };
    if (focused) strip.querySelector('[aria-checked="true"]')?.focus({ preventScroll: true });
  }

  function equipChooser(strip) {
    strip.addEventListener("click", (event) => {
      const token = event.target.closest("button.token");
      if (token) strip.chooser.choose(Number(token.dataset.position));
    });
    strip.addEventListener("keydown", (event) => {
      const { choose, chosen, possible, count } = strip.chooser;
      const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
      const at = { Home: 0, End: count - 1 };
      let next = event.key in at ? at[event.key] : chosen + (steps[event.key] ?? 0);
      const towards = event.key in at ? (event.key === "Home" ? 1 : -1) : steps[event.key];
      if (towards === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      while (next >= 0 && next < count && !possible(next)) next += towards;
      if (next >= 0 && next < count) choose(next);
    });
  }

  // Base and source with their stops. A source token is dragged onto a base token, or each is chosen by itself.
  function drawSequence(which, subject, setting, change) {
    const tokens = setting[which];
    const position = setting[`${which}Position`];
    const { algorithm, task } = subject;
    const { states } = algorithm.run(tokens);
    const valuesText = (state) =>
      algorithm.variables.map((name) => `${name} ${algorithm.textOf(name, algorithm.valueOf(state, name))}`).join(", ");
    drawChooser($(`${which}-tokens`), subject, tokens, {
      chosen: position,
      possible: (i) => i > 0 && tokens[i] !== task.eos,
      fade: (i) => i > position,
      label: (i) => `stop after position ${i}, ${task.tokens[tokens[i]]}: ${valuesText(states[i])}`,
      choose: (i) => change({ [`${which}Position`]: i }),
    });
    $(`${which}-values`).textContent = valuesText(states[position]);
    const preset = task.sequences.findIndex((sequence) => sequence.join(" ") === tokens.join(" "));
    $(`${which}-quantity`).value = preset < 0 ? "" : String(preset);
    const typed = $(`${which}-typed`);
    if (document.activeElement !== typed) typed.value = tokens.map((token) => task.tokens[token]).join(" ");
  }

  // The tokens of a text: names, with a number of repeats such as R*5, or ids such as #7. A text where one is unknown.
  function readTokens(text, task) {
    const tokens = [];
    for (const word of text.trim().split(/\s+/)) {
      const [, name, repeats] = /^(.+?)(?:[*×](\d{1,3}))?$/.exec(word) ?? [null, word];
      const whole = task.tokens.indexOf(word);
      const id = /^#\d{1,5}$/.test(name) ? Number(name.slice(1)) : task.tokens.indexOf(name);
      const token = whole >= 0 ? whole : id;
      if (token < 0 || token >= task.tokens.length) {
        return `There is no token ${word}; the task has ${task.tokens.join(", ")}.`;
      }
      tokens.push(...Array(whole >= 0 ? 1 : Number(repeats ?? 1)).fill(token));
    }
    return tokens;
  }

  const count = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;

  // Tokens in words: equal ones in a row are counted.
  function spoken(subject, tokens) {
    const parts = [];
    for (const token of tokens) {
      if (parts.at(-1)?.token === token) parts.at(-1).times += 1;
      else parts.push({ token, times: 1 });
    }
    return parts.map(({ token, times }) => (times > 1 ? `${times} × ` : "") + subject.task.tokens[token]).join(", ");
  }

  function answerText(subject, setting, seen) {
    const produced = seen.played.steps.map((step) => step.token);
    if (seen.predicted === null) {
      const why = noPrediction(setting, seen);
      return { mark: "open", text: `No prediction: ${why} The network continues with ${spoken(subject, produced)}.` };
    }
    if (seen.played.agrees) {
      return { mark: "yes", text: `The network continues as the algorithm predicts: ${spoken(subject, produced)}.` };
    }
    const expected = spoken(subject, seen.predicted.tokens);
    const ended = seen.played.ended ? "" : ", and does not end";
    const text = `The algorithm predicts ${expected}; the network continues with ${spoken(subject, produced)}${ended}.`;
    return { mark: "no", text: `The network differs. ${text}` };
  }

  function noPrediction(setting, seen) {
    if (seen.after !== undefined) return "the algorithm never ends after this swap.";
    if (setting.value !== null) return "the variable never has this value.";
    return "no sequence of the task leads to this combination of values.";
  }

  // The three continuations; the steps of the network can be chosen.
  function drawContinuations(subject, seen, step, revealed, choose) {
    const { predicted, played, unswapped } = seen;
    const hide = (i) => (i >= revealed ? "hidden-token" : "");
    const plain = (tokens, isFed) =>
      tokens.map((token, i) => tokenNode(subject, token, "span", `${hide(i)} ${isFed(i) ? "fed" : ""}`));
    const none = make("span", { className: "quiet", textContent: "no prediction" });
    const tokensPredicted = predicted ? plain(predicted.tokens, (i) => !predicted.determined[i]) : [none];
    const tokensUnswapped = unswapped.steps.map((entry) => entry.token);
    $("predicted").replaceChildren(...tokensPredicted);
    $("unswapped").replaceChildren(...plain(tokensUnswapped, (i) => unswapped.steps[i].fed));
    const wrong = (i) => predicted && !played.steps[i].fed && played.steps[i].token !== predicted.tokens[i];
    drawChooser($("played"), subject, played.steps.map((entry) => entry.token), {
      chosen: step,
      possible: () => true,
      fade: () => false,
      label: (i) => {
        const { token, fed, logits } = played.steps[i];
        const how = fed ? "fed by the task" : `probability ${percent(softmax(Array.from(logits))[token])}`;
        return `step ${i + 1}, ${subject.task.tokens[token]}, ${how}${wrong(i) ? ", differs from the prediction" : ""}`;
      },
      choose,
    });
    [...$("played").children].forEach((node, i) => {
      if (hide(i)) node.classList.add("hidden-token");
      if (played.steps[i].fed) node.classList.add("fed");
      if (wrong(i)) node.classList.add("wrong");
    });
  }

  // One step: probabilities with and without the swap, and the values of the algorithm and of the network's state.
  function drawStep(subject, seen, step) {
    const { task, algorithm } = subject;
    const now = seen.played.steps[step];
    const other = seen.unswapped.steps[step];
    const shares = softmax(Array.from(now.logits));
    const without = other && softmax(Array.from(other.logits));
    const larger = (token) => Math.max(shares[token], without?.[token] ?? 0);
    const most = Array.from(task.tokens.keys()).sort((a, b) => larger(b) - larger(a));
    const shareCell = (share, kind) => {
      const fill = make("span", { className: `fill ${kind}` });
      fill.style.setProperty("width", `${100 * share}%`);
      const bar = make("span", { className: "bar", "aria-hidden": "true" }, fill);
      return make("td", { className: "track-cell" }, bar, make("span", { className: "number", textContent: percent(share) }));
    };
    const rows = most.slice(0, 5).map((token) => {
      const unswapped = without ? shareCell(without[token], "plain") : make("td", { textContent: "–" });
      const head = make("th", { scope: "row" }, tokenNode(subject, token, "span"));
      return make("tr", {}, head, shareCell(shares[token], "swapped"), unswapped);
    });
    $("probabilities").replaceChildren(...rows);
    const last = seen.played.steps.length;
    const what = now.fed ? "the task feeds" : "the network continues with";
    $("step-title").textContent = `Step ${step + 1} of ${last}: ${what} ${task.tokens[now.token]}`;
    const state = seen.predicted?.states[step];
    const facts = algorithm.variables.map((name) => {
      const part = readerOf(subject, name);
      const reads = part ? algorithm.textOf(name, decodeValue(part, now.state)) : "–";
      const has = state === undefined ? "–" : algorithm.textOf(name, algorithm.valueOf(state, name));
      const className = part && state !== undefined && reads !== has ? "differs" : "";
      const cells = [make("td", { textContent: has }), make("td", { textContent: reads, className })];
      return make("tr", {}, make("th", { scope: "row", textContent: name }), ...cells);
    });
    $("step-values").replaceChildren(...facts);
  }

  // The projector with which a variable is read from states: that of the answer.
  function readerOf(subject, variable) {
    const index = answerOf(subject, variable);
    const part = index === undefined ? null : subject.alignments[index].parts[0];
    return part?.decode ? part : null;
  }

  // How natural the rewritten state is: three measures, each with the value of natural states.
  function drawNatural(subject, setting, seen) {
    const values = seen.after === undefined ? null : subject.algorithm.valuesAt(seen.after);
    const unswapped = subject.natural(seen.before, subject.algorithm.valuesAt(seen.baseState));
    const distances = subject.natural(seen.rewritten, values);
    const within = "within the limit of natural states";
    const times = (x) => `${x.toFixed(2)} ×`;
    const quantile = "in units of the distance that 99% of natural states are within";
    const measures = [
      ["Outside the span of natural states", distances.offSpan, unswapped.offSpan, percent, 0.2, "share of the norm"],
      ["Distance from the centre", distances.farOut, unswapped.farOut, times, 1, quantile],
      ["To the nearest natural state with these values", distances.nearest, unswapped.nearest, times, 1, quantile],
    ];
    $("natural").replaceChildren(
      ...measures.map(([name, value, base, text, limit, unit]) => {
        const fill = make("span", { className: `fill ${value <= limit ? "fine" : "far"}` });
        fill.style.setProperty("width", `${Math.min(100, (50 * value) / limit)}%`);
        const known = Number.isFinite(value);
        const number = known ? text(value) : "not known";
        const before = Number.isFinite(base) ? text(base) : "not known";
        const beyond = value <= limit ? within : "beyond the limit of natural states";
        const verdict = known ? beyond : "no natural state has these values";
        return make("tr", {},
          make("th", { scope: "row", textContent: name, title: unit }),
          make("td", {}, make("span", { className: "bar limit", "aria-hidden": "true" }, ...(known ? [fill] : []))),
          make("td", { className: "number", textContent: number }),
          make("td", { className: "quiet", textContent: `${verdict}; before the swap ${before}` }),
        );
      }),
    );
    const reads = subject.algorithm.variables.filter((name) => readerOf(subject, name)).map((name) => {
      const value = (state) => subject.algorithm.textOf(name, decodeValue(readerOf(subject, name), state));
      return `${name} ${value(seen.before)} before and ${value(seen.rewritten)} after the swap`;
    });
    $("decoded").textContent = reads.length ? `The state reads as ${reads.join("; ")}.` : "";
  }
