// Failing interventions as token strips, chosen by question, seed and values.
(async () => {
  "use strict";
  if (!document.getElementById("failing-interventions")) return;
  const MOST = 5; // drawn at once
  const CHOICES = { question: "Variable", base_value: "Base value", source_value: "Source value", seed: "Seed" };
  const packed = await (await unpacked("failing-interventions")).json();
  const value = (name, row) => packed[name].levels[packed[name].rows[row]];
  const rows = packed.variable.rows.map((_, i) => i);
  const section = document.getElementById("failures");
  const chooser = section.querySelector(".chooser");
  const list = section.querySelector(".failing");
  const chosen = {};

  const made = (tag, name, text) => Object.assign(document.createElement(tag), { className: name, textContent: text ?? "" });
  const several = packed.question.levels.length > new Set(packed.variable.levels).size;
  const nameOf = (question) => {
    const [task, network, d, algorithm, variable] = question.split("\u001f");
    return several ? `${variable} of ${algorithm} (${task}, ${network}, d = ${d})` : variable;
  };

  function kindOf(text, at, predicted, determined, compared) {
    if (text === "…") return "cut";
    if (at < determined.length && !determined[at]) return "given";
    return compared && predicted[at] !== text ? "wrong" : "right";
  }

  function strip(label, tokens, kinds) {
    const row = made("div", "strip");
    const cells = made("span", "tokens");
    tokens.forEach((text, i) => cells.append(made("span", `t t-${kinds(text, i)}`, text)));
    row.append(made("span", "label", label), cells);
    return row;
  }

  function record(row) {
    const parsed = (name) => JSON.parse(value(name, row));
    const predicted = parsed("predicted"), determined = parsed("determined");
    const box = made("div", "record");
    box.append(made("p", "heading", `${nameOf(value("question", row))}, seed ${value("seed", row)}`));
    for (const name of ["base", "source"]) {
      const tokens = parsed(name);
      if (!tokens.length) continue;
      const values = value(`${name}_values`, row);
      box.append(strip(values ? `${name}: ${values.replaceAll(" = ", " ")}` : name, tokens, (_, i) => (i === tokens.length - 1 ? "stop" : "read")));
    }
    const continued = { predicted: "predicted", produced: "produced", unswapped: "without the swap" };
    for (const [name, label] of Object.entries(continued)) {
      box.append(strip(label, parsed(name), (text, i) => kindOf(text, i, predicted, determined, name === "produced")));
    }
    return box;
  }

  const fitting = (without) =>
    rows.filter((row) => Object.keys(CHOICES).every(
      (name) => name === without || chosen[name] === undefined || value(name, row) === chosen[name]));

  // Values of one column that occur with the other choices, numbers in order.
  function optionsOf(name) {
    const found = [...new Set(fitting(name).map((row) => value(name, row)).filter((text) => text !== null))];
    return found.sort((a, b) => a - b || (a < b ? -1 : a > b ? 1 : 0));
  }

  const count = made("span", "count");
  const more = Object.assign(made("button", "", "Show more"), { type: "button" });
  let most = MOST;
  const selects = Object.fromEntries(Object.keys(CHOICES).map((name) => [name, document.createElement("select")]));

  function show() {
    for (const [name, select] of Object.entries(selects)) {
      const options = optionsOf(name);
      const label = name === "question" ? nameOf : (text) => text;
      const all = name === "question" ? [] : [new Option("all", "")];
      select.replaceChildren(...all, ...options.map((text) => new Option(label(text), text)));
      select.value = chosen[name] ?? "";
      select.parentElement.hidden = options.length < 2 && chosen[name] === undefined;
    }
    const found = fitting();
    count.textContent = `${Math.min(most, found.length)} of ${found.length} are drawn.`;
    list.replaceChildren(...found.slice(0, most).map(record));
    if (found.length > most) list.append(more);
  }

  for (const [name, select] of Object.entries(selects)) {
    const label = made("label", "", `${CHOICES[name]} `);
    select.dataset.choice = name;
    select.addEventListener("change", () => {
      chosen[name] = select.value || undefined;
      most = MOST;
      if (name === "question") for (const other of ["base_value", "source_value", "seed"]) chosen[other] = undefined;
      show();
    });
    label.append(select);
    chooser.append(label);
  }
  chooser.append(count);
  more.addEventListener("click", () => {
    most += MOST;
    show();
  });
  chosen.question = packed.question.levels[0];
  show();
})();
