"""A server on this machine that speaks as much of the hub's protocol as downloads need."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "c" * 40


@dataclass
class Hub:
    """`files` by path. Gated ones want the token `good`. `cut` ends the first answer early.

    With a `store`, an address, it sends who asks for large files there, as the hub does. `asked`
    lists each request: method, path, range; `tokens` what each gave as authorization.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    gated: bool = False
    cut: int | None = None
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)
    store: str | None = None
    address: str = ""


def git_digest(content: bytes) -> str:
    head = f"blob {len(content)}\0".encode()
    return hashlib.sha1(head + content, usedforsecurity=False).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def do_HEAD(self) -> None:
        self.answer(with_body=False)

    def do_GET(self) -> None:
        self.answer(with_body=True)

    def answer(self, with_body: bool) -> None:
        wanted = self.headers.get("Range")
        self.hub.asked.append((self.command, self.path, wanted))
        self.hub.tokens.append(self.headers.get("Authorization"))
        name = re.sub(r"^/(org/tiny/resolve/[^/]+|web)/", "", self.path)
        if self.hub.gated and self.headers.get("Authorization") != "Bearer good":
            self.refuse(401, "GatedRepo")
        elif name not in self.hub.files:
            self.refuse(404, "EntryNotFound")
        else:
            self.send(self.hub.files[name], name, wanted, with_body)

    def refuse(self, code: int, why: str) -> None:
        self.send_response(code)
        self.send_header("X-Error-Code", why)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def send(self, content: bytes, name: str, wanted: str | None, with_body: bool) -> None:
        small = name.endswith((".json", ".txt"))
        digest = git_digest(content) if small else hashlib.sha256(content).hexdigest()
        start = int(wanted[6:].partition("-")[0]) if wanted else 0
        redirected = self.hub.store is not None and not small
        self.send_response(302 if redirected else 206 if wanted else 200)
        if redirected:
            self.send_header("Location", f"{self.hub.store}/{name}")
            self.send_header("X-Linked-Size", str(len(content)))
            self.send_header("X-Linked-ETag", f'"{digest}"')
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("ETag", f'"{digest}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        if with_body:
            body = content[start:]
            if self.hub.cut is not None:
                body, self.hub.cut = body[: self.hub.cut], None
                self.close_connection = True
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Tests stay quiet."""


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    hub.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
