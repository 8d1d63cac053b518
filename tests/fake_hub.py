"""A hub on this machine with the few requests that `symscope.hub` needs, and that keeps repositories in memory."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

Files = dict[str, bytes]


@contextmanager
def fake_hub() -> Iterator[tuple[str, dict[str, Files]]]:
    """The address of a hub, and its repositories by name."""
    repositories: dict[str, Files] = {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"repositories": repositories}))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", repositories
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def commit_of(files: Files) -> str:
    """The hash that stands for the state of a repository."""
    return hashlib.sha1(b"".join(name.encode() + data for name, data in sorted(files.items()))).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    repositories: dict[str, Files]

    def do_POST(self) -> None:
        path, body = urlsplit(self.path).path, self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if path == "/api/repos/create":
            asked = json.loads(body)
            name = "/".join(part for part in (asked.get("organization"), asked["name"]) if part)
            self.repositories.setdefault(name, {})
            self._json({"url": f"http://{self.headers['Host']}/{name}", "name": name})
        elif path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
        elif "/preupload/" in path:
            names = [entry["path"] for entry in json.loads(body)["files"]]
            self._json({"files": [{"path": n, "uploadMode": "regular", "shouldIgnore": False} for n in names]})
        elif "/commit/" in path:
            name = path.removeprefix("/api/models/").partition("/commit/")[0]
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    self.repositories[name][line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            oid = commit_of(self.repositories[name])
            self._json({"commitUrl": f"http://{self.headers['Host']}/{name}/commit/{oid}", "commitOid": oid})
        else:
            self._json({"error": "not found"}, 404)

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path).strip("/")
        if path.startswith("api/models/"):
            name, _, revision = path.removeprefix("api/models/").partition("/revision/")
            name = name.partition("/tree/")[0]
            if name not in self.repositories or revision not in ("", "main", commit_of(self.repositories[name])):
                self._json({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})
                return
            files = self.repositories[name]
            if "/tree/" in path:
                entries = [{"type": "file", "path": n, "size": len(data), "oid": ""} for n, data in files.items()]
                self._json(entries)
                return
            self._json({"id": name, "sha": commit_of(files), "siblings": [{"rfilename": n} for n in files]})
            return
        name, _, rest = path.partition("/resolve/")
        file = rest.partition("/")[2]
        if file not in self.repositories.get(name, {}):
            self._json({"error": "Entry not found"}, 404, {"X-Error-Code": "EntryNotFound"})
            return
        data = self.repositories[name][file]
        etag = f'"{hashlib.sha1(data).hexdigest()}"'
        self._answer(data, 200, {"ETag": etag, "X-Repo-Commit": commit_of(self.repositories[name])})

    do_HEAD = do_GET  # noqa: N815

    def _json(self, value: object, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self._answer(json.dumps(value).encode(), status, {"Content-Type": "application/json", **(headers or {})})

    def _answer(self, data: bytes, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass
