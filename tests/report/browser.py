"""Drives a headless Chromium over its debugging pipe, with nothing but the standard library."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND",  # Chromium's own services stay offline, too
]


class Page:
    """One page in a browser of its own: what its console said, and what it asked the network for.

    Args:
        folder: for the browser's profile.
        size: width and height in px.
        dark: does the reader prefer dark?
        script: may the page run scripts?
        patience: seconds to wait for any answer.
    """

    def __init__(self, folder: Path, size=(1200, 1000), *, dark=False, script=True, patience=120):
        self.said, self.requests, self._patience, self._count, self._rest = [], [], patience, 0, b""
        theirs, self._write = os.pipe()
        self._read, other = os.pipe()
        # The browser reads commands from descriptor 3 and answers on 4; the shell puts them there.
        command = [CHROMIUM, *QUIET, f"--user-data-dir={folder / 'profile'}", "--remote-debugging-pipe"]
        shell = ["bash", "-c", f'exec "$@" 3<&{theirs} 4>&{other} 2>/dev/null', "bash", *command]
        self._process = subprocess.Popen(shell, pass_fds=(theirs, other))
        os.close(theirs)
        os.close(other)
        self._session = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        if not script:
            self.call("Emulation.setScriptExecutionDisabled", value=True)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size[0] < 500}
        self.call("Emulation.setDeviceMetricsOverride", **metrics)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.call("Browser.close")
        finally:
            os.close(self._write)
            os.close(self._read)
            self._process.wait(30)

    def open(self, path: Path):
        """Loads the page of a file."""
        self.call("Page.navigate", url=path.as_uri())
        while not any(event == "Page.loadEventFired" for event in self._events):
            self._take()

    def value(self, expression: str):
        """The value of a JavaScript expression, or of what it promises."""
        answer = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def call(self, method: str, **params):
        """One command of the debugging protocol, and its result."""
        self._count += 1
        self._events, wanted = [], self._count
        message = {"id": wanted, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while (answer := self._take()).get("id") != wanted:
            pass
        assert "error" not in answer, (method, answer["error"])
        return answer["result"]

    def _take(self) -> dict:
        """The next message; of events, what the tests ask about is kept."""
        until = time.monotonic() + self._patience
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._read], [], [], max(0, until - time.monotonic()))
            assert ready, "the browser does not answer"
            got = os.read(self._read, 1 << 20)
            assert got, "the browser has gone"
            self._rest += got
        first, _, self._rest = self._rest.partition(b"\0")
        message = json.loads(first)
        event, params = message.get("method"), message.get("params", {})
        if event in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"):
            self.said.append(params)
        elif event == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        self._events.append(event)
        return message
