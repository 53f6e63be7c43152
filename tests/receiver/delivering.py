"""Deliveries as MLflow makes them, and the real server in a thread of this process for as long as a test needs it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import threading
import time
import uuid
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import httpx

from finetune_gate.flows.receiver import Inbox, Log, Receiver
from finetune_gate.flows.receiver.server import application, listen, server_of

T = TypeVar("T")

SECRET = b"correct-horse-battery-staple"
OLD_SECRET = b"tr0ub4dor-and-three-more"
NOW = 1_790_000_000
MODELS = {"support-bot": frozenset({"champion"}), "sql-bot": frozenset({"live"})}


def in_a_thread(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run ``work`` to its end. Not in this thread: a browser of another test may keep an event loop running here."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(work())).result()


@dataclass(frozen=True)
class Delivery:
    """One signed delivery. The signature is made as MLflow makes it, and not by the code under test."""

    body: bytes
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    at: int = NOW
    secret: bytes = SECRET

    @property
    def headers(self) -> dict[str, str]:
        signed = f"{self.id}.{self.at}.".encode() + self.body
        mac = base64.b64encode(hmac.new(self.secret, signed, hashlib.sha256).digest()).decode()
        return {
            "Content-Type": "application/json",
            "X-MLflow-Delivery-Id": self.id,
            "X-MLflow-Timestamp": str(self.at),
            "X-MLflow-Signature": f"v1,{mac}",
        }

    def again(self, **changes: object) -> Delivery:
        return replace(self, **changes)  # type: ignore[arg-type]


def event(kind: str = "model_version.created", name: str = "support-bot", **data: object) -> bytes:
    entity, _, action = kind.partition(".")
    told = {"name": name, "version": "7", **data}
    return json.dumps(
        {"entity": entity, "action": action, "timestamp": "2026-09-21T13:33:20+00:00", "data": told}
    ).encode()


@dataclass
class Box:
    """A receiver whose worker is not there: what it keeps stays."""

    receiver: Receiver
    said: list[str]
    woken: list[None]

    @property
    def waiting(self) -> list[str]:
        return [job.model for job in self.receiver.inbox.waiting()]

    def client(self) -> httpx.AsyncClient:
        """In this process, without a socket."""
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(application(self.receiver)),  # type: ignore[arg-type]
            base_url="http://receiver",
        )


@contextmanager
def box(path: Path, *, now: Callable[[], float] = lambda: NOW) -> Generator[Box]:
    said: list[str] = []
    woken: list[None] = []
    with Inbox.open(path, clock=now) as inbox:
        receiver = Receiver(
            (SECRET, OLD_SECRET), MODELS, inbox, Log(said.append), wake=lambda: woken.append(None), now=now
        )
        try:
            yield Box(receiver, said, woken)
        finally:
            receiver.writer.shutdown()


@contextmanager
def served(receiver: Receiver) -> Generator[str]:
    """The address of uvicorn, listening."""
    server = server_of(receiver)
    with listen("127.0.0.1", 0) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        until = time.monotonic() + 20
        while not server.started:
            assert time.monotonic() < until
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive()
