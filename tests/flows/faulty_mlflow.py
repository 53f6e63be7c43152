"""A real MLflow server that can be killed and started again, and a proxy before it that fails at chosen writes.

    with real_mlflow(folder) as server, FaultyMlflow(server) as proxy:
        proxy.fail("unanswered", at=7)     # the seventh write is done, and its answer is lost
        ...                                # a gate whose MLflow is at proxy.address
        proxy.heal()

Writes are counted from `fail` on; tried again by its client, a write is the same write.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Literal

Fault = Literal["refused", "unanswered", "dropped", "hanging", "late", "restart"]
"""What happens to a request.

refused     it is answered with 500, and not passed on
unanswered  it is passed on, and then answered with 500
dropped     it is passed on, and then the connection is closed
hanging     it is not passed on, and not answered
late        it is not answered, and passed on when the test says so, long after its client gave up
restart     the server is killed, and the connection closed; the server is started again at once
"""

Scope = Literal["once", "writes", "everything"]
"""``once``: that one attempt. ``writes``: it, and all writes after it, until `FaultyMlflow.heal`; ``everything``: all
requests after it."""

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "host", "content-length"}


class RealMlflow:
    """The server: its database and artifacts lie in ``root`` and outlive it. It hands out artifacts itself."""

    def __init__(self, root: Path) -> None:
        self.root = root
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def database(self) -> Path:
        return self.root / "mlflow.db"

    @property
    def files(self) -> Path:
        return self.root / "files"

    def start(self) -> None:
        """Returns at once; see `wait`."""
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{self.database}"]
        command += ["--artifacts-destination", str(self.files)]
        settings = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
        settings |= {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        with (self.root / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, env=settings, cwd=self.root, stdout=log, stderr=log, start_new_session=True
            )

    def wait(self) -> None:
        """Until it answers."""
        until = time.monotonic() + 180
        while True:
            try:
                with urllib.request.urlopen(f"{self.address}/health", timeout=5) as answer:
                    assert answer.status == 200
                    return
            except OSError:
                assert time.monotonic() < until, (self.root / "log").read_text(errors="replace")
                time.sleep(0.2)

    def kill(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(20)


@contextlib.contextmanager
def real_mlflow(root: Path) -> Generator[RealMlflow]:
    root.mkdir(parents=True, exist_ok=True)
    server = RealMlflow(root)
    server.start()
    try:
        server.wait()
        yield server
    finally:
        server.kill()


@dataclass(frozen=True)
class Request:
    """As it came; ``name`` says in short what it writes."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def is_write(self) -> bool:
        route = urllib.parse.urlsplit(self.path).path
        return self.method not in ("GET", "HEAD") and not route.endswith(("/search", "/get-latest-versions"))

    @property
    def name(self) -> str:
        route = urllib.parse.urlsplit(self.path).path
        if "/mlflow-artifacts/" in route:
            return f"artifact {route.rpartition('/')[2]}"
        said = json.loads(self.body or b"{}")
        what = str(said.get("key") or said.get("alias") or said.get("name") or "")
        return f"{'/'.join(route.split('/')[-2:])} {what}".strip()


@dataclass
class Failing:
    """What is to fail: ``fault`` at the write of number ``at``, or at the first whose name begins with it."""

    fault: Fault
    at: int | str
    scope: Scope
    struck: Request | None = None  # None until that write came
    gone: bool = False  # "once", and it has been

    def begins_with(self, request: Request, number: int) -> bool:
        if not request.is_write:
            return False
        return request.name.startswith(self.at) if isinstance(self.at, str) else number == self.at


@dataclass
class FaultyMlflow:
    """The proxy. ``writes``: the names of those that came since `fail`, or since the beginning."""

    server: RealMlflow
    writes: list[str] = field(default_factory=list[str])

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._failing: Failing | None = None
        self._held: list[Request] = []
        self._last: Request | None = None
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> FaultyMlflow:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.heal()
        self._http.shutdown()
        self._http.server_close()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def fail(self, fault: Fault, at: int | str, scope: Scope = "once") -> None:
        with self._lock:
            self.writes.clear()
            self._last = None
            self._failing = Failing(fault, at, scope)

    def heal(self) -> bool:
        """Pass everything on again. Whether anything failed since `fail`."""
        with self._lock:
            failing, self._failing, self._last = self._failing, None, None
            self.writes.clear()
        return failing is not None and failing.struck is not None

    def deliver(self) -> list[str]:
        """Pass on what was to come late; their names."""
        with self._lock:
            held, self._held = self._held, []
        for request in held:
            self.passed_on(request)
        return [request.name for request in held]

    def fault_of(self, request: Request) -> Fault | None:
        """What is to happen to ``request``; None: it is passed on."""
        with self._lock:
            failing = self._failing
            if request.is_write and request != self._last:
                self.writes.append(request.name)
                self._last = request
            if failing is None or failing.gone:
                return None
            if failing.struck is None:
                if not failing.begins_with(request, len(self.writes)):
                    return None
                failing.struck = request
                failing.gone = failing.scope == "once" or failing.fault == "restart"
            if not request.is_write:
                if failing.scope == "writes":
                    return None
                return "hanging" if failing.fault == "late" else failing.fault
            if failing.fault == "late":
                self._held.append(request)
            return failing.fault

    def passed_on(self, request: Request) -> tuple[int, list[tuple[str, str]], bytes]:
        upstream = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        try:
            upstream.request(request.method, request.path, request.body, dict(request.headers))
            answer = upstream.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            upstream.close()


def _handler(proxy: FaultyMlflow) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            kept = tuple((key, value) for key, value in self.headers.items() if key.lower() not in HOP_BY_HOP)
            request = Request(self.command, self.path, kept, body)
            fault = proxy.fault_of(request)
            if fault in ("hanging", "late"):
                self.until_given_up()
            elif fault == "restart":
                proxy.server.kill()
                proxy.server.start()
                self.drop()
            elif fault == "refused":
                self.answer(500, [], b'{"error_code": "INTERNAL_ERROR", "message": "made to fail"}')
            else:
                try:
                    status, headers, content = proxy.passed_on(request)
                except (OSError, http.client.HTTPException):  # the server is down
                    self.drop()
                    return
                if fault == "dropped":
                    self.drop()
                elif fault == "unanswered":
                    self.answer(500, [], b'{"error_code": "INTERNAL_ERROR", "message": "made to fail"}')
                else:
                    self.answer(status, headers, content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = handle_one

        def answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
            self.send_response_only(status)
            for key, value in headers:
                if key.lower() not in HOP_BY_HOP:
                    self.send_header(key, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def drop(self) -> None:
            self.close_connection = True
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

        def until_given_up(self) -> None:
            """No answer; the client closes its end when its time is over."""
            with contextlib.suppress(OSError):
                select.select([self.connection], [], [], 60)
            self.drop()

        def handle(self) -> None:
            with contextlib.suppress(ConnectionError, BrokenPipeError):
                super().handle()

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def watched_alias(database: Path, model: str, alias: str = "champion") -> Callable[[], str | None]:
    """Reads the alias from the server's database, whatever the server does."""
    import sqlite3

    def read() -> str | None:
        connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)
        try:
            found = connection.execute(
                "select version from registered_model_aliases where name = ? and alias = ?", (model, alias)
            ).fetchone()
        finally:
            connection.close()
        return None if found is None else str(found[0])

    return read


@contextlib.contextmanager
def alias_values(database: Path, model: str) -> Generator[set[str | None]]:
    """Every value that the alias was seen at meanwhile, looked up all the time."""
    seen: set[str | None] = set()
    read, over = watched_alias(database, model), threading.Event()

    def watch() -> None:
        while not over.wait(0.01):
            seen.add(read())

    seen.add(read())
    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()
        seen.add(read())
