  // "Copy as Python": code that runs as it is pasted. Every text in it is a Python literal.

  // A Python literal of any text: ASCII, with escapes that Python and JavaScript agree on.
  function pythonText(text) {
    const escapes = { "\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t" };
    const escaped = Array.from(text, (character) => {
      const code = character.codePointAt(0);
      if (Object.hasOwn(escapes, character)) return escapes[character];
      if (code >= 32 && code < 127) return character;
      return code > 0xffff ? `\\U${code.toString(16).padStart(8, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`;
    });
    return `"${escaped.join("")}"`;
  }

  // The path of this page, as far as the browser knows it.
  function pagePath() {
    if (location.protocol !== "file:") return "explorer.html";
    try {
      const path = decodeURIComponent(location.pathname);
      return /^\/[A-Za-z]:\//.test(path) ? path.slice(1) : path;
    } catch {
      return "explorer.html"; // a path that is no UTF-8 text
    }
  }

  function pythonOf(setting) {
    const subject = prepare(subjects[setting.subject]);
    const names = (tokens) => `[${tokens.map((token) => pythonText(subject.task.tokens[token])).join(", ")}]`;
    const special = ["whole", "none"].includes(setting.variable);
    const lines = [
      `base=${names(setting.base.slice(0, setting.basePosition + 1))}`,
      `source=${names(setting.source.slice(0, setting.sourcePosition + 1))}`,
      `subject=${setting.subject}`,
      special ? `how=${pythonText(setting.variable)}` : `alignment=${setting.alignment}`,
      ...(special || setting.how === "map" ? [] : [`how=${pythonText(setting.how)}`]),
      ...(setting.value === null ? [] : [`value=${setting.value}`]),
      ...(setting.demos ? [`extra_demo_tokens=${setting.demos}`] : []),
    ];
    const path = pythonText(pagePath());
    return [
      "import symscope as sc",
      "",
      ...(location.protocol === "file:" ? [] : ["# the file of this page; a notebook writes it: sc.explore(results, path)"]),
      `page = sc.load_explorer(${path})`,
      "swap = page.swap(",
      ...lines.map((line) => `    ${line},`),
      ")",
      "print(swap)",
      "",
    ].join("\n");
  }
