  // The page: controls change the setting, and every change draws the page again.

  const PLAY_MS = 350;

  const start = location.hash.length > 1 ? readAddress(location.hash) : {};
  const history_ = makeHistory(start.setting ?? firstSetting(0));
  let step = 0;
  let revealed = Infinity;
  let playing = 0;
  let map = null;
  let seen = null;
  let pairs = { key: "", results: [] };
  let found = [];
  let fromFailures = false;
  let ownAddress = "";

  const setting = () => history_.now();
  const subjectNow = () => prepare(subjects[setting().subject]);
  const say = (text) => ($("message").textContent = text);

  function change(part) {
    const next = { ...setting(), ...part };
    if (next.value !== null && !("value" in part)) {
      const slider = sliderOf(next);
      if (!slider || next.value < slider.values[0] || next.value > slider.values.at(-1)) next.value = null;
    }
    const fault = faultOfSetting(next);
    if (fault) return say(fault);
    say("");
    fromFailures = false;
    history_.add(next);
    draw();
  }

  function travel(by) {
    if (!history_.can(by)) return;
    history_.move(by);
    say(by < 0 ? "Undone." : "Done again.");
    draw();
  }

  function load(next, isFailure = false) {
    const fault = faultOfSetting(next);
    if (fault) return say(fault);
    fromFailures = isFailure === true;
    history_.add(next);
    draw();
  }

  function chooseSubject(index) {
    const first = firstSetting(index);
    const now = setting();
    const known = variablesOf(subjects[index]).includes(now.variable) || ["whole", "none"].includes(now.variable);
    const { task, data } = subjectNow();
    const kept = subjects[index].task === task && subjects[index].data.algorithm === data.algorithm;
    const variable = known ? now.variable : first.variable;
    const alignment = answerOf(subjects[index], variable) ?? 0;
    load(kept ? { ...now, subject: index, variable, alignment, value: null } : first);
  }

  function chooseVariable(variable) {
    const alignment = answerOf(subjects[setting().subject], variable) ?? setting().alignment;
    change({ variable, alignment, how: "map", value: null });
  }

  function chooseHow(text) {
    if (HOWS.includes(text)) change({ how: text, value: null });
    else change({ how: "map", alignment: Number(text) });
  }

  function chooseQuantity(which, index) {
    const subject = subjectNow();
    const tokens = subject.task.sequences[index];
    const position = sameStop(subject, setting()[which], setting()[`${which}Position`], tokens);
    change({ [which]: tokens, [`${which}Position`]: position });
  }

  function typeSequence(which) {
    const subject = subjectNow();
    const tokens = readTokens($(`${which}-typed`).value, subject.task);
    if (typeof tokens === "string") return say(tokens);
    const last = tokens.at(-1) === subject.task.eos ? tokens.length - 2 : tokens.length - 1;
    const position = setting()[`${which}Position`];
    change({ [which]: tokens, [`${which}Position`]: Math.max(1, Math.min(position, last)) });
  }

  // ------------------------------------------------------------------------------------------------------------ draw

  function options(select, entries, chosen) {
    const isChosen = (value) => String(value) === String(chosen);
    select.replaceChildren(...entries.map(([value, text]) => new Option(text, value, false, isChosen(value))));
  }

  function drawControls(subject) {
    const now = setting();
    const special = ["whole", "none"].includes(now.variable);
    $("subject").value = String(now.subject);
    $("facts").textContent = `Network: ${[...subject.data.facts, `site ${subject.site}`].join(", ")}.`;
    const variables = variablesOf(subject).map((name) => [`v${name}`, name]);
    const everything = [...variables, ["whole", "the whole state"], ["none", "nothing"]];
    options($("variable"), everything, special ? now.variable : `v${now.variable}`);
    $("how-field").hidden = special;
    const entries = alignmentsOf(subject, now.variable).map((i) => {
      const { kind, function: name, k, answer } = subject.data.alignments[i];
      return [i, `${kind}: ${name}, k = ${k}${answer ? " (the answer)" : ""}`];
    });
    const k = special ? 0 : subject.alignments[now.alignment].parts.reduce((sum, part) => sum + part.k, 0);
    const controls = [["random", `a random subspace of ${count(k, "dimension")}`], ["rest", "the complement: all but the variable"]];
    if (!special) options($("how"), [...entries, ...controls], now.how === "map" ? now.alignment : now.how);
    $("about").textContent = aboutText(subject, now, special);
    const demos = subject.algorithm.takesDemos(seen.after ?? seen.baseState);
    $("demos-field").hidden = !demos && now.demos === 0;
    $("demos").value = String(now.demos);
    drawSlider(subject, now);
    for (const which of ["base", "source"]) {
      options($(`${which}-quantity`), [["", "typed"], ...subject.task.quantities.map((quantity, i) => [i, quantity])], "");
    }
  }

  function aboutText(subject, now, special) {
    if (now.variable === "whole") return "The source's state replaces that of the base, with all variables.";
    if (now.variable === "none") return "Nothing is swapped: the network continues the base.";
    const { iia, low, high, n, verdict } = subject.data.alignments[now.alignment];
    if (now.how === "random") return "A control: as many random dimensions, with which no variable should arrive.";
    if (now.how === "rest") return "A check: all but the variable comes from the source, so the variable must stay.";
    const interval = `95% interval ${low.toFixed(3)} to ${high.toFixed(3)}`;
    return `IIA ${iia.toFixed(3)} on ${n} test interventions (${interval}). Verdict: ${verdict}.`;
  }

  function drawSlider(subject, now) {
    const slider = sliderOf(now);
    $("value-field").hidden = !slider;
    $("source-section").classList.toggle("unused", now.value !== null);
    if (!slider) return;
    const whole = slider.values.every(Number.isInteger) && slider.values.length > 2;
    Object.assign($("value"), { min: slider.values[0], max: slider.values.at(-1), step: whole ? 0.25 : 0.05 });
    const source = subject.algorithm.valueOf(seen.sourceState, slider.variable);
    const value = now.value ?? Math.min(Math.max(source, slider.values[0]), slider.values.at(-1));
    $("value").value = String(value);
    const text = subject.algorithm.textOf(slider.variable, value);
    $("value").setAttribute("aria-valuetext", text);
    $("value-text").textContent = now.value === null ? `${text}, from the source` : text;
    $("value-name").textContent = `Value of ${slider.variable}`;
    $("value-reset").hidden = now.value === null;
  }

  function drawAnswer(subject) {
    const { mark, text } = answerText(subject, setting(), seen);
    if ($("answer").textContent !== text) $("answer").textContent = text;
    $("answer").className = `answer-line ${mark}`;
    drawContinuations(subject, seen, step, revealed, (i) => chooseStep(i));
    drawStep(subject, seen, step);
    $("play").textContent = playing ? "Stop" : "Play";
    $("step-back").disabled = step === 0;
    $("step-on").disabled = step >= seen.played.steps.length - 1;
  }

  function chooseStep(i) {
    step = Math.min(Math.max(i, 0), seen.played.steps.length - 1);
    drawAnswer(subjectNow());
  }

  function stopPlaying() {
    clearInterval(playing);
    playing = 0;
    revealed = Infinity;
  }

  function togglePlay() {
    if (playing) stopPlaying();
    else {
      step = 0;
      revealed = 1;
      playing = setInterval(() => {
        if (step >= seen.played.steps.length - 1) stopPlaying();
        else revealed = ++step + 1;
        drawAnswer(subjectNow());
      }, PLAY_MS);
    }
    drawAnswer(subjectNow());
  }

  function draw() {
    stopPlaying();
    const subject = subjectNow();
    const now = setting();
    seen = intervene(subject, now);
    const differs = seen.played.steps.findIndex((entry, i) => !entry.fed && entry.token !== seen.predicted?.tokens[i]);
    step = seen.predicted && differs >= 0 ? differs : 0;
    drawControls(subject);
    for (const which of ["base", "source"]) drawSequence(which, subject, now, change);
    drawAnswer(subject);
    drawNatural(subject, now, seen);
    if (pairs.key !== pairsKey()) $("pairs-text").textContent = "";
    $("undo").disabled = !history_.can(-1);
    $("redo").disabled = !history_.can(1);
    $("python").textContent = pythonOf(now);
    writeAddress(addressOf(now));
    computeMap(subject);
  }

  function writeAddress(address) {
    ownAddress = address;
    try {
      history.replaceState(null, "", address);
    } catch {
      // A frame without an address of its own keeps none.
    }
  }

  // ------------------------------------------------------------------------------------- the map, and its failures

  async function computeMap(subject) {
    const planned = map && holdsPair(map, setting()) ? map : planMap(subject, setting());
    const stepping = fromFailures;
    if (map?.key !== planned.key) {
      map = planned;
      const jobs = planned.rows.flatMap((row) => planned.columns.map((column) => () => {
        planned.cells.push(resultOf(subject, settingOfPair(planned.setting, row, column)));
      }));
      drawMap(subject, map, setting(), load);
      $("map-share").textContent = `Running ${jobs.length} swaps …`;
      if (!stepping) found = [];
      drawFailures();
      planned.milliseconds = await inSlices(jobs, () => map === planned);
      if (map !== planned) return;
      document.documentElement.dataset.mapped = planned.key;
    }
    if (map.cells.length < map.rows.length * map.columns.length) return;
    drawMap(subject, map, setting(), load);
    $("map-share").textContent = shareText(map.cells, "pairs");
    if (!stepping) listFailures();
    drawFailures();
  }

  const pairsKey = () => swapKey({ ...setting(), demos: null });

  // The failures of the map and of the random pairs; while a reader steps through them, the list stays as it is.
  function listFailures() {
    found = [...map.cells, ...(pairs.key === pairsKey() ? pairs.results : [])].filter((result) => result.kind === "no");
  }

  const failureNow = () => found.findIndex((result) => addressOf(result.setting) === addressOf({ ...setting(), value: null }));

  function drawFailures() {
    const at = failureNow();
    const number = count(found.length, "failure");
    const text = at >= 0 ? `Failure ${at + 1} of ${found.length}.` : `${number}.`;
    $("failure-text").textContent = found.length === 0 ? "No failures here." : text;
    $("failure-back").disabled = $("failure-on").disabled = found.length === 0;
  }

  function stepFailure(by) {
    if (found.length === 0) return;
    const at = failureNow();
    const next = at < 0 ? (by > 0 ? 0 : found.length - 1) : (at + by + found.length) % found.length;
    load(found[next].setting, true);
  }

  async function testRandomPairs() {
    const key = pairsKey();
    const results = [];
    $("pairs-text").textContent = `Running ${RANDOM_PAIRS} swaps …`;
    await inSlices(randomJobs(subjectNow(), setting(), results), () => key === pairsKey());
    if (key !== pairsKey()) return;
    pairs = { key, results };
    $("pairs-text").textContent = shareText(results, "random pairs");
    listFailures();
    drawFailures();
  }

  let stream = null;

  function loadRandomPair() {
    stream ??= randomStream(2);
    for (let tries = 0; tries < 50; tries++) {
      const next = randomPair(subjectNow(), setting(), stream);
      if (resultOf(subjectNow(), next).kind !== "none") return load(next);
    }
    say("No pair with a prediction was found.");
  }

  // --------------------------------------------------------------------------------------------------------- copy

  async function copy(text, what) {
    try {
      await navigator.clipboard.writeText(text);
      say(`${what} copied.`);
    } catch {
      say(`The browser did not allow copying. ${what} is below, to be copied by hand.`);
      $("python-box").open = true;
    }
  }

  // --------------------------------------------------------------------------------------------------------- begin

  function equip() {
    options($("subject"), subjects.map((subject, i) => [i, subject.name]), 0);
    $("subject-field").hidden = subjects.length === 1;
    const leftOut = subjects.flatMap((subject) => subject.data.leftOut);
    const sentence = `Not in this page, because their maps are not linear: ${leftOut.join("; ")}.`;
    $("left-out").textContent = leftOut.length ? sentence : "";
    for (const strip of ["base-tokens", "source-tokens", "played"]) equipChooser($(strip));
    const on = (id, event, action) => $(id).addEventListener(event, action);
    on("subject", "change", (event) => chooseSubject(Number(event.target.value)));
    on("variable", "change", ({ target: { value } }) => chooseVariable(value.startsWith("v") ? value.slice(1) : value));
    on("how", "change", (event) => chooseHow(event.target.value));
    on("demos", "change", (event) => change({ demos: Number(event.target.value) }));
    on("value", "input", (event) => change({ value: Number(event.target.value) }));
    on("value-reset", "click", () => change({ value: null }));
    for (const which of ["base", "source"]) {
      on(`${which}-quantity`, "change", ({ target: { value } }) => value !== "" && chooseQuantity(which, Number(value)));
      on(`${which}-form`, "submit", (event) => {
        event.preventDefault();
        typeSequence(which);
      });
    }
    on("step-back", "click", () => chooseStep(step - 1));
    on("step-on", "click", () => chooseStep(step + 1));
    on("play", "click", togglePlay);
    on("undo", "click", () => travel(-1));
    on("redo", "click", () => travel(1));
    on("random", "click", loadRandomPair);
    on("failure-back", "click", () => stepFailure(-1));
    on("failure-on", "click", () => stepFailure(1));
    on("pairs", "click", testRandomPairs);
    on("copy-link", "click", () => copy(location.href, "The address"));
    on("copy-python", "click", () => copy(pythonOf(setting()), "Python"));
    equipMap();
    equipDrag(change);
    addEventListener("keydown", (event) => {
      const typing = event.target.matches("input[type=text], textarea");
      if (typing || !(event.ctrlKey || event.metaKey) || event.altKey) return;
      const key = event.key.toLowerCase();
      const by = key === "y" || (key === "z" && event.shiftKey) ? 1 : key === "z" ? -1 : 0;
      if (by === 0) return;
      event.preventDefault();
      travel(by);
    });
    addEventListener("hashchange", () => {
      if (location.hash === ownAddress) return;
      const read = readAddress(location.hash);
      if (read.fault) {
        say(read.fault);
        writeAddress(addressOf(setting()));
      } else load(read.setting);
    });
    document.documentElement.classList.add("scripted");
    draw();
    if (start.fault) say(start.fault);
    document.documentElement.dataset.ready = "yes";
  }

  // For tests, and for a console: the same functions that the page uses.
  window.symscopeExplorer = Object.freeze({
    setting,
    load,
    readAddress,
    pythonOf,
    map: () => map,
    intervene: (given) => {
      const { predicted, played, unswapped } = intervene(subjects[given.subject], given);
      const tokens = (steps) => steps.map((entry) => entry.token);
      return {
        predicted: predicted?.tokens ?? null,
        produced: tokens(played.steps),
        unswapped: tokens(unswapped.steps),
        agrees: played.agrees,
        fed: played.steps.map((entry) => entry.fed),
        fedUnswapped: unswapped.steps.map((entry) => entry.fed),
        logits: played.steps.map((entry) => Array.from(entry.logits)),
      };
    },
  });

  equip();
