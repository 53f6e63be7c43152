"""Servers to look at: one that says what it is told, one that accepts and never answers, and Prefect's own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Generator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class Saying:
    """A server on this machine. ``says`` maps paths to status and body; ``heard`` are the requests that came."""

    def __init__(self) -> None:
        self.says: dict[str, tuple[int, object]] = {}
        self.heard: list[tuple[str, str, dict[str, str]]] = []
        saying = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                saying.heard.append((self.command, self.path, dict(self.headers)))
                status, said = saying.says.get(self.path, (404, "nothing here"))
                body = said.encode() if isinstance(said, str) else json.dumps(said).encode()
                self.send_response(status)
                self.send_header("Location", "http://127.0.0.1:9/elsewhere")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@contextlib.contextmanager
def saying() -> Generator[Saying]:
    one = Saying()
    thread = threading.Thread(target=one.server.serve_forever, daemon=True)
    thread.start()
    try:
        yield one
    finally:
        one.server.shutdown()
        one.server.server_close()


@contextlib.contextmanager
def silent() -> Generator[str]:
    """The address of a port that takes connections and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@contextlib.contextmanager
def dead() -> Generator[str]:
    """The address of a port that nobody listens on, nor can meanwhile."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@contextlib.contextmanager
def prefect_server(home: Path, host: str, settings: Mapping[str, str]) -> Generator[str]:
    """The address of the API of a real Prefect server, at ``host`` and a free port."""
    port = _free_port()
    own = {"PREFECT_HOME": str(home), "PREFECT_SERVER_ANALYTICS_ENABLED": "false", **settings}
    command = ["prefect", "server", "start", "--host", host, "--port", str(port), "--no-ui"]
    with _started(command, home, {**os.environ, **own}, f"http://127.0.0.1:{port}/api/health"):
        yield f"http://127.0.0.1:{port}/api"


@contextlib.contextmanager
def mlflow_server(root: Path, settings: Mapping[str, str]) -> Generator[str]:
    """The address of a real MLflow server on the SQLite database under ``root``."""
    port = _free_port()
    own = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true", **settings}
    command = ["mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += [
        "--backend-store-uri",
        f"sqlite:///{root / 'mlflow.db'}",
        "--artifacts-destination",
        str(root / "files"),
    ]
    others = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
    with _started(command, root, others | own, f"http://127.0.0.1:{port}/health"):
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def _started(command: list[str], folder: Path, environ: Mapping[str, str], health: str) -> Generator[None]:
    log = folder / f"{command[0]}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            env=environ, stdout=output, stderr=output, cwd=folder, start_new_session=True,
        )  # fmt: skip
    try:
        until = time.monotonic() + 120
        while True:
            assert process.poll() is None, log.read_text(errors="replace")
            assert time.monotonic() < until
            with contextlib.suppress(OSError), urllib.request.urlopen(health, timeout=5):
                break
            time.sleep(0.2)
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(20)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def posted(url: str, body: object, method: str = "POST") -> Any:
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        said = answer.read()
    return json.loads(said) if said else None
