// The text of an element that holds gzip in base64.
async function unpacked(id) {
  const bytes = Uint8Array.from(atob(document.getElementById(id).textContent), (letter) => letter.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip")));
}

(async () => {
  "use strict";
  const data = await (await unpacked("drawing-data")).json();
  for (const [name, { length, columns }] of Object.entries(data.datasets)) {
    const names = Object.keys(columns);
    data.datasets[name] = Array.from({ length }, (_, i) => Object.fromEntries(names.map((key) => [key, columns[key][i]])));
  }
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const phone = matchMedia("(max-width: 760px)");
  const figures = [...document.querySelectorAll("figure[data-figure]")];

  // What a reader may choose among in a figure: columns of its data that tell seeds or panels apart.
  const CHOICES = { panel: "Show", seed: "Seed" };

  const datasetsOf = (name) => data.figures[name].wide.datasets.map((key) => data.datasets[key]);

  function optionsOf(name, column) {
    const values = datasetsOf(name).flat().filter((row) => belongs(row, data.panels[name])).map((row) => row[column]);
    return [...new Set(values.filter((value) => value !== undefined && value !== null && value !== ""))];
  }

  // Rows that say nothing of a column stay whatever is chosen: pooled ones have no seed.
  const fits = (row, column, chosen) =>
    chosen === undefined || row[column] === undefined || row[column] === null || String(row[column]) === chosen;

  // Of many networks the page shows one kind; panels that belong to none always stay.
  let kind = Object.values(data.panels).flatMap((panels) => Object.values(panels))[0];
  const keyOf = (row) => `${row.panel ?? ""}|${row.series ?? ""}`;
  const belongs = (row, panels) => panels === undefined || (panels[keyOf(row)] ?? kind) === kind;

  const rowsShown = (rows, chosen, panels) =>
    rows.filter((row) => belongs(row, panels) && Object.keys(CHOICES).every((c) => fits(row, c, chosen[c])));

  function namesOfData(node) {
    if (node === null || typeof node !== "object") return [];
    const own = typeof node.data?.name === "string" ? [node.data.name] : [];
    return own.concat(Object.values(node).flatMap(namesOfData));
  }

  // Of charts put together, those that have lost all their rows go.
  function withoutEmpty(node, datasets) {
    for (const kind of ["vconcat", "hconcat"]) {
      if (!node[kind]) continue;
      node[kind] = node[kind].filter((child) => {
        const names = namesOfData(child);
        return names.length === 0 || names.some((name) => datasets[name].length > 0);
      });
      node[kind].forEach((child) => withoutEmpty(child, datasets));
    }
    return node;
  }

  // The chart as one Vega-Lite specification that needs nothing else.
  function specOf(figure) {
    const layouts = data.figures[figure.dataset.figure];
    const spec = structuredClone(phone.matches ? layouts.narrow : layouts.wide);
    const chosen = figure.chosen ?? {};
    spec.datasets = Object.fromEntries(spec.datasets.map((name) => [name, rowsShown(data.datasets[name], chosen, data.panels[figure.dataset.figure])]));
    spec.config = data.config[dark.matches ? "dark" : "light"];
    return withoutEmpty(spec, spec.datasets);
  }

  async function draw(figure) {
    const drawn = await vegaEmbed(figure.querySelector(".live"), specOf(figure), {
      mode: "vega-lite",
      renderer: "svg",
      actions: false,
      tooltip: { theme: dark.matches ? "dark" : "light" },
    });
    figure.drawing?.finalize();
    figure.drawing = drawn;
    figure.classList.add("drawn"); // only now does the image make room
  }

  async function drawAll() {
    for (const figure of figures) {
      try {
        await draw(figure);
      } catch (error) {
        console.error(`figure ${figure.dataset.figure} was not drawn`, error);
      }
    }
    document.documentElement.dataset.drawn = "yes";
  }

  function save(name, content, type) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }

  const quoted = (value) => {
    const text = value === undefined || value === null ? "" : String(value);
    return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };

  // All rows of a figure below each other; of several charts, `chart` says which.
  function csvOf(figure) {
    const parts = datasetsOf(figure.dataset.figure);
    const rows = parts.flatMap((part, i) => (parts.length > 1 ? part.map((row) => ({ chart: i + 1, ...row })) : part));
    const columns = [...new Set(rows.flatMap(Object.keys))];
    return [columns, ...rows.map((row) => columns.map((name) => row[name]))]
      .map((line) => line.map(quoted).join(",") + "\n")
      .join("");
  }

  const SAVED = {
    SVG: async (figure) => [await figure.drawing.view.toSVG(), "image/svg+xml", "svg"],
    PNG: async (figure) => {
      const canvas = await figure.drawing.view.toCanvas(3);
      return [await new Promise((done) => canvas.toBlob(done)), "image/png", "png"];
    },
    "Data (CSV)": async (figure) => [csvOf(figure), "text/csv", "csv"],
    "Vega-Lite (JSON)": async (figure) => [JSON.stringify(specOf(figure), null, 1), "application/json", "vl.json"],
  };

  function button(text, label, action) {
    const made = document.createElement("button");
    Object.assign(made, { type: "button", textContent: text, ariaLabel: label });
    made.addEventListener("click", () => action().catch((error) => console.error(`${label} failed`, error)));
    return made;
  }

  function choice(figure, column, options) {
    const label = document.createElement("label");
    const select = document.createElement("select");
    select.dataset.choice = column;
    select.append(new Option("all", ""), ...options.map((value) => new Option(value, value)));
    select.addEventListener("change", () => {
      figure.chosen = { ...figure.chosen, [column]: select.value || undefined };
      queue = queue.then(() => draw(figure));
    });
    label.append(`${CHOICES[column]} `, select);
    return label;
  }

  function equip(figure) {
    const name = figure.dataset.figure;
    const tools = figure.querySelector(".tools");
    for (const column of Object.keys(CHOICES)) {
      const options = optionsOf(name, column);
      if (options.length > 1) tools.append(choice(figure, column, options));
    }
    const saving = document.createElement("span");
    saving.append("Save ");
    for (const [text, content] of Object.entries(SAVED)) {
      const action = async () => {
        await queue;
        const [made, type, ending] = await content(figure);
        save(`${name}.${ending}`, made, type);
      };
      saving.append(button(text, `Save the figure ${name} as ${text}`, action));
    }
    tools.append(saving);
    if (JSON.stringify(data.figures[name].wide).includes('"bind":"scales"')) {
      const hint = document.createElement("span");
      hint.className = "hint";
      hint.textContent = "Drag to move, Ctrl and wheel to zoom, double click to go back.";
      tools.append(hint);
    }
  }

  async function saveTable(name) {
    save(`${name}.csv`, await (await unpacked(`table-${name}`)).blob(), "text/csv");
  }

  figures.forEach(equip);
  for (const made of document.querySelectorAll("button[data-table]")) {
    made.addEventListener("click", () => saveTable(made.dataset.table).catch(console.error));
  }
  document.querySelectorAll(".needs-script").forEach((element) => { element.hidden = false; });
  document.documentElement.classList.add("scripted");

  // One redraw at a time: a change during a drawing is drawn after it.
  let queue = Promise.resolve();
  const redraw = () => { queue = queue.then(drawAll); };
  function selectKind(chosen) {
    kind = chosen;
    for (const question of document.querySelectorAll("details.question")) {
      question.classList.toggle("chosen", question.dataset.kind === chosen);
      question.open = question.dataset.kind === chosen;
    }
    for (const cell of document.querySelectorAll("a.cell")) {
      cell.classList.toggle("chosen", cell.dataset.kind === chosen);
    }
    document.documentElement.classList.add("selecting");
    if (Object.keys(data.panels).length) redraw();
  }
  for (const cell of document.querySelectorAll("a.cell")) {
    cell.addEventListener("click", (event) => {
      event.preventDefault();
      selectKind(cell.dataset.kind);
      document.querySelector("details.question.chosen").scrollIntoView({ block: "nearest" });
    });
  }
  dark.addEventListener("change", redraw);
  phone.addEventListener("change", redraw);
  const first = document.querySelector("a.cell");
  if (first && Object.keys(data.panels).length) selectKind(first.dataset.kind);
  else redraw();
})();
