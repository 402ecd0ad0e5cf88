"""A stand-in for the Hugging Face Hub on loopback: the part of its protocol that publishing and loading use.

The routes are in `routes`; `faults` make the server fail on purpose.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.pipeline.hub.store import Repo, Store
from tests.serving import in_thread

WRITE, READ = "hf_write_token_of_the_tests", "hf_read_token_of_the_tests"

SIGNATURE = "signature-of-an-upload"
"""What lets anybody write who has it: it stands in the addresses of uploads."""


@dataclass
class Fault:
    """Spoils the requests whose ``METHOD path`` matches: after `skip` of them, `times` times.

    `act` returns a status to answer with, or None to go on; ``drop`` cuts the connection before an answer,
    and ``after`` does it once the request has been carried out. `headers` go with the status.
    """

    pattern: str
    act: Callable[[], int | None] = lambda: 500
    times: int = 1
    skip: int = 0
    drop: bool = False
    after: bool = False
    headers: dict[str, str] = field(default_factory=dict)


class Hub(ThreadingHTTPServer):
    """The server.

    Attributes:
        store: what it holds.
        ignored: path of a file that it tells clients to leave out, as a ``.gitignore`` does.
        requests: what it was asked.
        clients: who is connected.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.store = Store()
        self.ignored = ""
        self.faults: list[Fault] = []
        self.requests: list[str] = []
        self.clients: set[Any] = set()
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def asked(self, pattern: str) -> list[str]:
        """Return the requests so far that match."""
        return [request for request in self.requests if re.search(pattern, request)]

    def fault(self, request: str) -> Fault | None:
        """Note a request; return the fault that it meets."""
        with self.lock:
            self.requests.append(request)
            for fault in self.faults:
                if re.search(fault.pattern, request) and fault.times:
                    if fault.skip:
                        fault.skip -= 1
                        continue
                    fault.times -= 1
                    return fault
        return None

    def process_request(self, request: Any, client_address: Any) -> None:
        self.clients.add(client_address)
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.clients.discard(client_address)

    def wait_until_gone(self, others: Collection[Any] = ()) -> None:
        """Wait until the clients beside `others` have hung up and nothing that they asked is still carried out."""
        with socket.create_connection(("127.0.0.1", self.server_port)) as last:  # they are accepted in order
            address = last.getsockname()
            while address not in self.clients:
                time.sleep(0.001)
        while set(self.clients) - set(others):
            time.sleep(0.001)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that were killed."""


@contextmanager
def running() -> Iterator[Hub]:
    """Run a Hub in a thread."""
    importlib.import_module("tests.pipeline.hub.routes")
    with in_thread(Hub()) as hub:
        yield hub


class Refusal(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.code = status, code


Route = Callable[["Handler", re.Match[str]], None]
ROUTES: list[tuple[str, str, Route]] = []


def route(method: str, pattern: str) -> Callable[[Route], Route]:
    def add(handler: Route) -> Route:
        ROUTES.append((method, pattern, handler))
        return handler

    return add


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    protocol_version = "HTTP/1.1"
    server: Hub
    disable_nagle_algorithm = True

    def handle_one(self) -> None:
        split = urlsplit(self.path)
        self.query = parse_qs(split.query)
        path = unquote(split.path)
        size = int(self.headers.get("Content-Length") or 0)
        self.body = self._chunked() if self.headers.get("Transfer-Encoding") == "chunked" else self.rfile.read(size)
        if len(self.body) < size:  # the client is gone
            self.close_connection = True
            return None
        fault = self.server.fault(f"{self.command} {path}")
        if fault and not fault.after:
            status = None if fault.drop else fault.act()
            if fault.drop:
                return self._cut()
            if status:
                return self.answer_json({"error": "spoiled on purpose"}, status, fault.headers)
        self.cut = bool(fault and fault.after)
        for method, pattern, handler in ROUTES:
            match = re.fullmatch(pattern, path)
            if method == ("GET" if self.command == "HEAD" else self.command) and match:
                try:
                    return handler(self, match)
                except Refusal as refusal:
                    headers = {"X-Error-Code": refusal.code} if refusal.code else {}
                    return self.answer_json({"error": str(refusal)}, refusal.status, headers)
        return self.answer_json({"error": f"no route for {self.command} {path}"}, 404)

    do_GET = do_HEAD = do_POST = do_PUT = handle_one

    def answer(self, content: bytes, status: int = 200, headers: dict[str, str] | None = None) -> None:
        if self.cut:
            self._cut()
            return
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    cut = False

    def answer_json(self, value: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.answer(json.dumps(value).encode(), status, {"Content-Type": "application/json", **(headers or {})})

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def token(self) -> str | None:
        return (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None

    def repo(self, match: re.Match[str], *, write: bool = False) -> Repo:
        """Return the repository, if the token may see it, or, with `write`, change it."""
        if self.token not in (None, READ, WRITE):
            raise Refusal(401, "Invalid credentials in Authorization header")
        kind = match.groupdict().get("kind") or "model"
        repo = self.server.store.repos.get(f"{kind}s/{match['name']}")
        if repo is None or (repo.private and self.token is None):
            raise Refusal(404 if self.token else 401, "Repository not found", "RepoNotFound")
        if write and self.token != WRITE:
            raise Refusal(403, f"You don't have the rights to write, {self.token}")
        return repo

    def revision(self, repo: Repo, name: str) -> str:
        commit = repo.resolve(unquote(name))
        if commit is None:
            raise Refusal(404, f"Invalid rev id: {name}", "RevisionNotFound")
        return commit

    def _chunked(self) -> bytes:
        content = b""
        while size := int(self.rfile.readline(), 16):
            content += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return content

    def _cut(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(2)

    def log_message(self, *args: Any) -> None:
        pass
