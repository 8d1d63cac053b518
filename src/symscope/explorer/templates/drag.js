  // A token of the source is dragged onto a token of the base; a touch drags the chosen token only, so pages scroll.
  function equipDrag(change) {
    let drag = null;
    const target = (event) => document.elementFromPoint(event.clientX, event.clientY)?.closest("#base-tokens button.token");
    const end = () => {
      drag?.ghost?.remove();
      document.querySelectorAll(".over").forEach((node) => node.classList.remove("over"));
      drag = null;
    };
    $("source-tokens").addEventListener("pointerdown", (event) => {
      const token = event.target.closest("button.token");
      if (!token || event.button !== 0) return;
      if (event.pointerType === "touch" && token.getAttribute("aria-checked") !== "true") return;
      drag = { token, x: event.clientX, y: event.clientY, ghost: null };
    });
    addEventListener("pointermove", (event) => {
      if (!drag) return;
      if (!drag.ghost && Math.hypot(event.clientX - drag.x, event.clientY - drag.y) < 6) return;
      if (!drag.ghost) {
        drag.ghost = drag.token.cloneNode(true);
        drag.ghost.classList.add("ghost");
        drag.ghost.setAttribute("aria-hidden", "true");
        document.body.append(drag.ghost);
      }
      event.preventDefault();
      drag.ghost.style.setProperty("transform", `translate(${event.clientX + 8}px, ${event.clientY + 8}px)`);
      document.querySelectorAll(".over").forEach((node) => node.classList.remove("over"));
      target(event)?.classList.add("over");
    });
    addEventListener("pointerup", (event) => {
      const onto = drag?.ghost ? target(event) : null;
      const from = drag?.token;
      const dragged = Boolean(drag?.ghost);
      end();
      if (dragged) addEventListener("click", (click) => click.stopPropagation(), { capture: true, once: true });
      setTimeout(() => dragged && document.body.click(), 0); // removes the listener where the browser sends no click
      if (onto) change({ sourcePosition: Number(from.dataset.position), basePosition: Number(onto.dataset.position), value: null });
    });
    addEventListener("pointercancel", end);
  }
