"""A server on this machine that says what it is told and remembers what it was asked, for GitHub or Prefect."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Heard:
    method: str
    path: str
    headers: dict[str, str]
    body: Any


class Hub:
    """``says`` maps paths to status and body; other paths are a 404. ``slow_s``: how long it says nothing first;
    ``busy``: how many of the next requests are answered by 503."""

    def __init__(self) -> None:
        self.says: dict[str, tuple[int, object]] = {}
        self.heard: list[Heard] = []
        self.slow_s, self.busy = 0.0, 0
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                hub.heard.append(Heard(self.command, self.path, dict(self.headers), json.loads(sent) if sent else None))
                time.sleep(hub.slow_s)
                status, said = hub.says.get(self.path, (404, {"message": "Not Found"}))
                if hub.busy:
                    hub.busy, status = hub.busy - 1, 503
                body = b"" if status == 204 else json.dumps(said).encode()
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    self.send_response(status)
                    self.send_header("Location", f"{hub.url}/elsewhere")
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

            do_POST = do_GET

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@contextlib.contextmanager
def opened() -> Generator[Hub]:
    hub = Hub()
    threading.Thread(target=hub.server.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        hub.server.shutdown()
        hub.server.server_close()
