"""A Hub with one model and one data set, whose requests can be made to fail."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "c" * 40


class Hub(ThreadingHTTPServer):
    """`fault` is asked for each request ("GET/api/...") whether it is "busy" (503), "cut" or "hangs", or its status."""

    def __init__(self, models, datasets=None, fault: Callable[[str], str | int] = lambda request: ""):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {"models": models, "datasets": datasets or {}}
        self.fault, self.requests, self.headers, self.over = fault, [], [], threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def content(self, path):
        """The status, body and headers for a path."""
        files = self.files["datasets" if "/datasets/" in path else "models"]
        if "org/unknown" in path:
            return 404, b"{}", {"X-Error-Code": "RepoNotFound"}
        if path.startswith("/api/") and "/tree/" in path:
            below = path.partition("/tree/")[2].partition("/")[2]
            tree = [
                {"type": "file", "path": n, "size": len(c), "oid": n} for n, c in files.items() if n.startswith(below)
            ]
            return 200, json.dumps(tree).encode(), {"Content-Type": "application/json"}
        if path.startswith("/api/"):
            info = {"id": "org/x", "sha": COMMIT, "siblings": [{"rfilename": name} for name in files]}
            return 200, json.dumps(info).encode(), {"Content-Type": "application/json"}
        name = path.partition("/resolve/")[2].partition("/")[2]
        if name not in files:
            return 404, b"", {"X-Error-Code": "EntryNotFound"}
        return 200, files[name], {"X-Repo-Commit": COMMIT, "ETag": f'"{name}"', "Accept-Ranges": "bytes"}

    def close(self):
        self.over.set()
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        pass

    def answer(self):
        path = self.path.split("?")[0]
        request = self.command + path
        self.server.requests.append(request)
        self.server.headers.append(self.headers)
        fault = self.server.fault(request)
        if fault == "hangs":
            self.server.over.wait(60)
        elif fault == "busy" or isinstance(fault, int):
            self.reply(fault if isinstance(fault, int) else 503, b"busy")
        else:
            self.reply(*self.server.content(path), cut=fault == "cut")

    def reply(self, status, body, headers=None, cut=False):
        whole, start = len(body), 0
        asked = self.headers.get("Range")
        if asked and status == 200:
            start = int(asked.removeprefix("bytes=").split("-")[0])
            status, body = 206 if start < whole else 416, body[start:]
        self.send_response(status)
        if status in (206, 416):
            self.send_header("Content-Range", f"bytes {f'{start}-{whole - 1}' if body else '*'}/{whole}")
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[: len(body) // 2] if cut else body)
        self.close_connection = True

    do_GET = do_HEAD = answer
