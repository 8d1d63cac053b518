  // The map of all pairs of values, random pairs, and the failures of both.

  const SLICE_MS = 24;
  const MOST_VALUES = 30;
  const RANDOM_PAIRS = 200;

  // Runs work in slices, so that the page stays alive; `alive` says whether its result is still wanted.
  async function inSlices(jobs, alive) {
    let spent = 0;
    for (let i = 0; i < jobs.length; ) {
      const begun = performance.now();
      while (i < jobs.length && performance.now() - begun < SLICE_MS) jobs[i++]();
      spent += performance.now() - begun;
      await new Promise((done) => setTimeout(done));
      if (!alive()) return null;
    }
    return spent;
  }

  // The stops of all sequences of the task, with the state of the algorithm at each.
  function stopsOf(subject) {
    subject.stops ??= subject.task.sequences.flatMap((tokens) => {
      const { states } = subject.algorithm.run(tokens);
      const inner = states.map((state, position) => ({ tokens, position, state }));
      return inner.filter(({ position }) => position > 0 && tokens[position] !== subject.task.eos);
    });
    return subject.stops;
  }

  // The variables whose values are the rows and columns of the map.
  function mapVariables(subject, setting) {
    if (["whole", "none"].includes(setting.variable)) return [subject.algorithm.variables[0]];
    return subject.alignments[setting.alignment].parts.map((part) => part.variable);
  }

  // For each value a stop with it, which is otherwise most like the present one.
  function mapStops(subject, variables, tokens, position) {
    const { algorithm } = subject;
    const now = algorithm.run(tokens.slice(0, position + 1)).states.at(-1);
    const others = algorithm.variables.filter((name) => !variables.includes(name));
    const best = new Map();
    for (const stop of stopsOf(subject)) {
      const values = variables.map((name) => algorithm.valueOf(stop.state, name));
      const differs = (name) => algorithm.valueOf(stop.state, name) !== algorithm.valueOf(now, name);
      const differing = others.filter(differs).length;
      const phase = algorithm.choiceOf(stop.state) !== algorithm.choiceOf(now) ? 1 : 0;
      const kind = stop.tokens[stop.position] !== tokens[position] ? 1 : 0;
      const cost = 1e6 * differing + 1e5 * phase + 1e4 * kind + stop.position;
      const key = values.join(" ");
      if (!best.has(key) || cost < best.get(key).cost) best.set(key, { ...stop, values, cost });
    }
    const sorted = [...best.values()].sort((a, b) => a.values.map((x, i) => x - b.values[i]).find((x) => x) ?? 0);
    if (sorted.length <= MOST_VALUES) return sorted;
    const spacing = (sorted.length - 1) / (MOST_VALUES - 1);
    return Array.from({ length: MOST_VALUES }, (_, i) => sorted[Math.round(i * spacing)]);
  }

  const settingOfPair = (setting, base, source) => ({
    ...setting,
    base: base.tokens,
    basePosition: base.position,
    source: source.tokens,
    sourcePosition: source.position,
    value: null,
  });

  // The result of a pair: whether the network follows the prediction, and by how many tokens its answer is longer.
  function resultOf(subject, setting) {
    const { predicted, played } = intervene(subject, setting, { details: false });
    if (predicted === null) return { kind: "none", setting };
    if (played.agrees) return { kind: "yes", setting };
    const error = played.steps.length - predicted.tokens.length;
    return { kind: "no", error: played.ended ? error : null, setting };
  }

  function planMap(subject, setting) {
    const variables = mapVariables(subject, setting);
    const rows = mapStops(subject, variables, setting.base, setting.basePosition);
    const columns = mapStops(subject, variables, setting.source, setting.sourcePosition);
    const stops = [...rows, ...columns].flatMap((stop) => [stop.tokens.join("."), stop.position]);
    return { variables, rows, columns, key: [swapKey(setting), ...stops].join("|"), cells: [], setting };
  }

  const swapKey = ({ subject, variable, alignment, how, demos }) =>
    [subject, variable, alignment, how, demos].join("|");
  const isStop = (stop, tokens, position) => stop.position === position && stop.tokens.join() === tokens.join();

  // Whether a setting is one of the pairs of a map, which then stays as it is.
  function holdsPair(map, setting) {
    return (
      swapKey(map.setting) === swapKey(setting) &&
      map.rows.some((stop) => isStop(stop, setting.base, setting.basePosition)) &&
      map.columns.some((stop) => isStop(stop, setting.source, setting.sourcePosition))
    );
  }

  // A seeded stream of numbers in 0..1 (mulberry32), so that the same pairs come each time.
  function randomStream(seed) {
    let state = seed;
    return () => {
      state = (state + 0x6d2b79f5) | 0;
      let t = Math.imul(state ^ (state >>> 15), 1 | state);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
  }

  // A pair of any two stops, as an intervention of a search has it.
  function randomPair(subject, setting, random) {
    const stop = () => {
      const tokens = subject.task.sequences[Math.floor(random() * subject.task.sequences.length)];
      const inner = tokens.map((_, i) => i).filter((i) => i > 0 && tokens[i] !== subject.task.eos);
      return { tokens, position: inner[Math.floor(random() * inner.length)] };
    };
    const demos = Math.floor(random() * (MOST_DEMOS + 1));
    return { ...settingOfPair(setting, stop(), stop()), demos };
  }

  function randomJobs(subject, setting, results) {
    const random = randomStream(1);
    return Array.from({ length: RANDOM_PAIRS }, () => () => {
      for (let tries = 0; tries < 50; tries++) {
        const result = resultOf(subject, randomPair(subject, setting, random));
        if (result.kind === "none") continue;
        results.push(result);
        return;
      }
    });
  }

  function shareText(results, what) {
    const counted = results.filter((result) => result.kind !== "none");
    const right = counted.filter((result) => result.kind === "yes").length;
    const left = results.length - counted.length;
    if (counted.length === 0) return "No pair has a prediction.";
    const rest = left ? `; ${left} have no prediction` : "";
    return `${percent(right / counted.length)} of ${counted.length} ${what} as predicted${rest}.`;
  }

  const cellClass = ({ kind, error }) =>
    kind !== "no" ? `pair ${kind}` : `pair wrong-${["one", "few", "more"][errorClass(error)]}`;
  const errorClass = (error) => (error === null || Math.abs(error) > 3 ? 2 : Math.abs(error) > 1 ? 1 : 0);

  function cellText({ kind, error }) {
    if (kind !== "no") return kind === "none" ? "·" : "";
    if (error === null) return "∞";
    return error > 0 ? `+${error}` : error < 0 ? `−${-error}` : "×";
  }

  function drawMap(subject, map, setting, load) {
    const { algorithm } = subject;
    const name = (stop) => map.variables.map((variable, i) => algorithm.textOf(variable, stop.values[i])).join(" ");
    const heads = map.columns.map((stop) => make("th", { scope: "col", textContent: name(stop) }));
    const head = make("tr", {}, make("td"), ...heads);
    const focused = $("map").contains(document.activeElement);
    let current = null;
    const rows = map.rows.map((row, r) =>
      make("tr", {}, make("th", { scope: "row", textContent: name(row) }), ...map.columns.map((column, c) => {
        const result = map.cells[r * map.columns.length + c];
        const cell = make("td", { tabIndex: -1, role: "gridcell", className: "pair" });
        if (result) Object.assign(cell, { className: cellClass(result), textContent: cellText(result) });
        cell.setAttribute("aria-label", `base ${name(row)}, source ${name(column)}: ${describe(result)}`);
        cell.title = cell.getAttribute("aria-label");
        if (isStop(row, setting.base, setting.basePosition) && isStop(column, setting.source, setting.sourcePosition)) {
          cell.classList.add("current");
          cell.setAttribute("aria-selected", "true");
          current = cell;
        }
        Object.assign(cell.dataset, { row: r, column: c });
        return cell;
      })),
    );
    $("map-head").replaceChildren(head);
    $("map").replaceChildren(...rows);
    (current ?? $("map").querySelector("td.pair")).tabIndex = 0;
    if (focused) $("map").querySelector('[tabindex="0"]').focus({ preventScroll: true });
    $("map").load = (r, c) => load(settingOfPair(setting, map.rows[r], map.columns[c]));
    const across = map.variables.join(" and ");
    $("map-note").textContent =
      `Rows: ${across} of the base; columns: ${across} of the source. Select a cell to load its pair.`;
  }

  function describe(result) {
    if (!result) return "not computed yet";
    if (result.kind === "none") return "no prediction";
    if (result.kind === "yes") return "as predicted";
    if (result.error === null) return "differs, does not end";
    if (result.error === 0) return "differs, same length";
    return `differs, ${count(Math.abs(result.error), "token")} too ${result.error > 0 ? "long" : "short"}`;
  }

  function equipMap() {
    const body = $("map");
    const place = (cell) => [Number(cell.dataset.row), Number(cell.dataset.column)];
    body.addEventListener("click", (event) => {
      const cell = event.target.closest("td.pair");
      if (cell) body.load(...place(cell));
    });
    body.addEventListener("keydown", (event) => {
      const cell = event.target.closest("td.pair");
      const moves = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] };
      if (!cell || event.ctrlKey || event.metaKey || event.altKey) return;
      const [row, column] = place(cell);
      if (event.key === "Enter" || event.key === " ") body.load(row, column);
      else if (event.key in moves) {
        const [down, right] = moves[event.key];
        const next = body.querySelector(`td[data-row="${row + down}"][data-column="${column + right}"]`);
        if (next) {
          cell.tabIndex = -1;
          next.tabIndex = 0;
          next.focus();
        }
      } else return;
      event.preventDefault();
    });
  }
