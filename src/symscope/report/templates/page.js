(() => {
  "use strict";
  const data = JSON.parse(document.getElementById("drawing-data").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const phone = matchMedia("(max-width: 760px)");

  async function draw(figure) {
    const layouts = data.figures[figure.dataset.figure];
    const spec = structuredClone(phone.matches ? layouts.narrow : layouts.wide);
    spec.datasets = Object.fromEntries(spec.datasets.map((name) => [name, data.datasets[name]]));
    spec.config = data.config[dark.matches ? "dark" : "light"];
    const drawn = await vegaEmbed(figure.querySelector(".live"), spec, {
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
    for (const figure of document.querySelectorAll("figure[data-figure]")) {
      try {
        await draw(figure);
      } catch (error) {
        console.error(`figure ${figure.dataset.figure} was not drawn`, error);
      }
    }
    document.documentElement.dataset.drawn = "yes";
  }

  // One redraw at a time: a change during a drawing is drawn after it.
  let queue = Promise.resolve();
  const redraw = () => { queue = queue.then(drawAll); };
  dark.addEventListener("change", redraw);
  phone.addEventListener("change", redraw);
  redraw();
})();
