  // Swaps: from a setting (who, what, which sequences) to what the algorithm predicts and what the network does.

  const document_ = JSON.parse(document.getElementById("explorer-data").textContent);
  const CACHED_RUNS = 4000;
  const BEYOND = 12;
  const WITHOUT_PREDICTION = 40;
  const LONGEST_RUN = 700;

  const tasks = document_.tasks;
  const subjects = document_.subjects.map((data) => ({ data, task: tasks[data.task], name: data.name }));
  const algorithms = document_.subjects.reduce((made, { algorithm, task }) => {
    made[algorithm] ??= makeAlgorithm(document_.algorithms[algorithm], tasks[task]);
    return made;
  }, []);
  const networks = [];

  // Networks are decoded when they are first used.
  function prepare(subject) {
    if (subject.network) return subject;
    const { data } = subject;
    networks[data.network] ??= { ...makeNetwork(document_.networks[data.network]), runs: new Map() };
    subject.network = networks[data.network];
    subject.algorithm = algorithms[data.algorithm];
    subject.site = data.site;
    subject.alignments = data.alignments.map((entry) => ({ ...entry, parts: entry.parts.map(makePart) }));
    subject.random = numbersOf(data.random);
    subject.randomWidth = data.random.shape[1];
    subject.natural = makeNatural(data.natural);
    subject.width = data.random.shape[0];
    return subject;
  }

  function makePart(part) {
    const decode = part.decode && {
      values: part.decode.values,
      means: numbersOf(part.decode.means),
      spread: numbersOf(part.decode.spread),
    };
    return { variable: part.variable, write: numbersOf(part.write), read: numbersOf(part.read), k: part.read.shape[0], decode };
  }

  // The run after some tokens, from the longest prefix that has been computed before.
  function runUntil(network, tokens) {
    const key = tokens.join(" ");
    const known = network.runs.get(key);
    if (known !== undefined) return known;
    const before = tokens.length > 1 ? runUntil(network, tokens.slice(0, -1)) : network.begin();
    const run = network.read(before, tokens.at(-1));
    if (network.runs.size >= CACHED_RUNS) network.runs.clear();
    network.runs.set(key, run);
    return run;
  }

  const coordinates = (part, state) => multiply(part.read, state, null, part.k);
  const writeBack = (part, change) => multiply(part.write, change, null, part.write.length / part.k, part.k);
  const exchange = (part, base, source) => plus(base, writeBack(part, coordinates(part, minus(source, base))));
  const swapParts = (parts, base, source) => parts.reduce((state, part) => exchange(part, state, source), base);

  // The first k directions of the random frame, which are orthonormal.
  function randomPart(subject, k) {
    const { random, randomWidth, width } = subject;
    const write = new Float64Array(width * k);
    const read = new Float64Array(width * k);
    for (let row = 0; row < width; row++) {
      for (let column = 0; column < k; column++) {
        write[row * k + column] = read[column * width + row] = random[row * randomWidth + column];
      }
    }
    return { write, read, k };
  }

  // The coordinates of a value: those of natural states with it, and between two values a mean of both.
  function coordinatesOf(part, value) {
    const { values, means } = part.decode;
    const mean = (i) => Array.from(means.subarray(i * part.k, (i + 1) * part.k));
    const above = values.findIndex((entry) => entry >= value);
    if (above <= 0) return mean(above === 0 ? 0 : values.length - 1);
    const share = (value - values[above - 1]) / (values[above] - values[above - 1]);
    return mean(above - 1).map((x, i) => x + share * (mean(above)[i] - x));
  }

  // The value that a state reads as: that with the nearest mean, in units of the spread within values.
  function decodeValue(part, state) {
    const { values, means, spread } = part.decode;
    const at = coordinates(part, state);
    let best = 0;
    let least = Infinity;
    for (let i = 0; i < values.length; i++) {
      let distance = 0;
      for (let j = 0; j < part.k; j++) distance += ((at[j] - means[i * part.k + j]) / spread[j]) ** 2;
      if (distance < least) [best, least] = [i, distance];
    }
    return values[best];
  }

  function makeNatural(data) {
    const mean = numbersOf(data.mean);
    const directions = numbersOf(data.directions);
    const spreads = numbersOf(data.spreads);
    const states = numbersOf(data.states);
    const labels = numbersOf(data.labels);
    const d = mean.length;
    const members = data.classes.map(() => []);
    labels.forEach((label, row) => members[label].push(row));
    const classOf = new Map(data.classes.map((values, label) => [values.join(" "), label]));

    function nearest(state, values) {
      const label = classOf.get(values.join(" "));
      let least = Infinity;
      for (const row of label === undefined ? [] : members[label]) {
        let sum = 0;
        for (let i = 0; i < d && sum < least; i++) sum += (state[i] - states[row * d + i]) ** 2;
        least = Math.min(least, sum);
      }
      return Math.sqrt(least) / data.nearestLimit;
    }

    // Distances of a state; `values`: those of all variables that it should have, or null.
    return (state, values) => {
      const centred = minus(Float64Array.from(state), mean);
      const inside = multiply(directions, centred, null, spreads.length);
      const square = (x) => x.reduce((sum, value) => sum + value * value, 0);
      const whole = square(centred);
      return {
        farOut: Math.sqrt(square(inside.map((value, i) => value / spreads[i]))) / data.limit,
        offSpan: whole > 0 ? Math.sqrt(Math.max(whole - square(inside), 0) / whole) : 0,
        nearest: values ? nearest(state, values) : Infinity,
      };
    };
  }

  // What a setting overwrites: the projectors, the variables that the algorithm takes from the source, and whether the
  // subspace or everything else is written.
  function planOf(subject, setting) {
    const everything = subject.algorithm.variables;
    if (setting.variable === "whole") return { how: "whole", parts: [], taken: everything };
    if (setting.variable === "none") return { how: "none", parts: [], taken: [] };
    const chosen = subject.alignments[setting.alignment];
    const variables = chosen.parts.map((part) => part.variable);
    if (setting.how === "rest") {
      return { how: "rest", parts: chosen.parts, taken: everything.filter((name) => !variables.includes(name)) };
    }
    if (setting.how === "random") {
      const k = chosen.parts.reduce((sum, part) => sum + part.k, 0);
      return { how: "swap", parts: [randomPart(subject, Math.min(k, subject.randomWidth))], taken: variables };
    }
    return { how: "swap", parts: chosen.parts, taken: variables };
  }

  function rewriteState(plan, base, source, value) {
    if (plan.how === "none") return Float64Array.from(base);
    if (plan.how === "whole") return Float64Array.from(source);
    if (plan.how === "rest") return swapParts(plan.parts, Float64Array.from(source), base);
    if (value === null) return swapParts(plan.parts, Float64Array.from(base), source);
    const [part] = plan.parts;
    const change = minus(Float64Array.from(coordinatesOf(part, value)), coordinates(part, base));
    return plus(Float64Array.from(base), writeBack(part, change));
  }

  // The network's continuation: it is fed free tokens as long as it agrees with the prediction, then what it says itself.
  function play(subject, run, predicted, longest, { details = true } = {}) {
    const { network, task, site } = subject;
    const steps = [];
    let agrees = predicted !== null;
    let now = run;
    while (steps.length < longest) {
      const logits = network.logits(now);
      const guess = largest(logits);
      const expected = predicted?.tokens[steps.length];
      const fed = agrees && expected !== undefined && !predicted.determined[steps.length];
      const token = fed ? expected : guess;
      steps.push(details ? { token, guess, fed, logits, state: network.state(now, site) } : { token, fed });
      if (!fed && token !== expected) agrees = false;
      if (token === task.eos) break;
      now = network.read(now, token);
    }
    return { steps, agrees: agrees && steps.length === predicted.tokens.length, ended: steps.at(-1).token === task.eos };
  }

  // Everything about one intervention. `details: false` leaves out what only a reader needs.
  function intervene(subject, setting, { details = true } = {}) {
    const { network, algorithm, site } = prepare(subject);
    const base = setting.base.slice(0, setting.basePosition + 1);
    const source = setting.source.slice(0, setting.sourcePosition + 1);
    const baseState = algorithm.run(base).states.at(-1);
    const sourceState = algorithm.run(source).states.at(-1);
    const plan = planOf(subject, setting);
    const taken = new Map(plan.taken.map((name) => [name, setting.value ?? algorithm.valueOf(sourceState, name)]));
    const after = algorithm.overwrite(baseState, taken);
    const predicted = after === undefined ? null : algorithm.follow(after, setting.demos);
    const run = runUntil(network, base);
    const before = network.state(run, site);
    const rewritten = rewriteState(plan, before, network.state(runUntil(network, source), site), setting.value);
    const longest = (continued) => Math.min((continued?.tokens.length ?? WITHOUT_PREDICTION) + BEYOND, LONGEST_RUN);
    const played = play(subject, network.rewrite(run, site, rewritten), predicted, longest(predicted), { details });
    if (!details) return { predicted, played };
    const unswappedPrediction = algorithm.follow(baseState, setting.demos);
    const unswapped = play(subject, run, unswappedPrediction, longest(unswappedPrediction));
    return { plan, baseState, sourceState, after, taken, predicted, played, unswapped, before, rewritten };
  }
