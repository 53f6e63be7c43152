"""The real server, in a thread of this process, for as long as a test needs it."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

from finetune_gate.flows.rating.server import HOST, Served, listen, server_of
from finetune_gate.gate.rating import Desk


@dataclass(frozen=True, slots=True)
class Running:
    port: int
    key: str

    @property
    def origin(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def address(self) -> str:
        return f"{self.origin}/#{self.key}"

    def request(self, method: str, path: str, headers: dict[str, str] | None = None, **more: object) -> httpx.Response:
        usual = {"X-Rating-Key": self.key, "Content-Type": "application/json"}
        return httpx.request(method, self.origin + path, headers=usual | (headers or {}), timeout=20, **more)  # type: ignore[arg-type]


@contextmanager
def running(desk: Desk, port: int = 0, key: str = "k" * 32) -> Generator[Running]:
    served = Served(desk, key, time.monotonic())
    server = server_of(served)
    listening = listen(port)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    until = time.monotonic() + 20
    while not server.started:
        assert time.monotonic() < until
        time.sleep(0.01)
    try:
        yield Running(listening.getsockname()[1], key)
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()
        listening.close()
