// A Worker for pages that are opened from files, where browsers refuse real workers: the script runs in a hidden frame.
// Only what the search of the site needs: postMessage in both directions, and importScripts.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      this.waiting = [];
      const frame = document.createElement("iframe");
      frame.hidden = true;
      frame.setAttribute("aria-hidden", "true");
      this.frame = frame;
      document.body.appendChild(frame);
      const inside = frame.contentWindow;
      const base = new URL(url, document.baseURI);
      inside.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
      const load = (source) =>
        new Promise((done, failed) => {
          const script = frame.contentDocument.createElement("script");
          Object.assign(script, { src: new URL(source, base), onload: done, onerror: failed });
          frame.contentDocument.body.appendChild(script);
        });
      inside.importScripts = async (...sources) => {
        for (const source of sources) await load(source);
      };
      load(base).then(() => {
        const waiting = this.waiting;
        this.waiting = null;
        waiting.forEach((data) => this.postMessage(data));
      });
    }

    postMessage(data) {
      if (this.waiting) this.waiting.push(data);
      else this.frame.contentWindow.dispatchEvent(new this.frame.contentWindow.MessageEvent("message", { data }));
    }

    terminate() {
      this.frame.remove();
    }
  };
}
