"""One event loop in a thread of its own, and the connections that live in it: shared by all endpoint models of a
process, started with the first question and ended with the last model's release.

A forked child has no such thread; it forgets what it inherited, and starts its own at its first question.
"""

from __future__ import annotations

import asyncio
import atexit
import os
from collections.abc import Coroutine
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Lock, Thread
from typing import TypeVar

from .access import Access
from .pacing import Pace
from .turnstile import Turnstile

_Result = TypeVar("_Result")
_CLOSING_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class EndpointLimits:
    """What one endpoint may be asked at once, how long one answer may take (retries included), and how long a response
    may be."""

    max_in_flight: int = 64
    call_seconds: float = 120.0
    response_bytes: int = 4 << 20


class Loop:
    """``Loop().submit(coroutine)``: runs it in the thread, which no interpreter waits for at its end."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._run, name="finetune-gate endpoints", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def submit(self, coroutine: Coroutine[object, object, _Result]) -> Future[_Result]:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CLOSING_SECONDS)

    def _run(self) -> None:
        try:
            self._loop.run_forever()
            self._loop.run_until_complete(_wind_up())
        finally:
            self._loop.close()


async def _wind_up() -> None:
    loop = asyncio.get_running_loop()
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    await loop.shutdown_asyncgens()
    await loop.shutdown_default_executor()


class Connection:
    """One client and the pace that its server bears: kept from one question to the next."""

    def __init__(self, loop: Loop, access: Access, limits: EndpointLimits) -> None:
        from .client import Client

        self.loop = loop
        self.client = Client(access, limits.response_bytes)
        self.turnstile = Turnstile(Pace(limits.max_in_flight))

    def close(self) -> None:
        with suppress(TimeoutError):
            self.loop.submit(self.client.close()).result(_CLOSING_SECONDS)


@dataclass(slots=True)
class _Shared:
    lock: Lock = field(default_factory=Lock)
    loop: Loop | None = None
    connections: dict[tuple[Access, EndpointLimits], Connection] = field(
        default_factory=dict[tuple[Access, EndpointLimits], Connection]
    )
    users: dict[tuple[Access, EndpointLimits], set[object]] = field(
        default_factory=dict[tuple[Access, EndpointLimits], set[object]]
    )


_shared = _Shared()
_inherited: list[_Shared] = []


def connect(user: object, access: Access, limits: EndpointLimits) -> Connection:
    """The connection to ``access``, opened where there is none. It stays until every ``user`` has released it."""
    with _shared.lock:
        if _shared.loop is None or not _shared.loop.alive:
            _shared.connections.clear()
            _shared.loop = Loop()
        key = (access, limits)
        if key not in _shared.connections:
            _shared.connections[key] = Connection(_shared.loop, access, limits)
        _shared.users.setdefault(key, set()).add(user)
        return _shared.connections[key]


def release(user: object | None) -> None:
    """Close what nobody else uses (None: everything), and end the thread with the last connection."""
    with _shared.lock:
        for key, users in list(_shared.users.items()):
            users.discard(user)
            if not users or user is None:
                del _shared.users[key]
                if (connection := _shared.connections.pop(key, None)) and connection.loop.alive:
                    connection.close()
        if _shared.loop is not None and not _shared.connections:
            if _shared.loop.alive:
                _shared.loop.stop()
            _shared.loop = None


def _forget() -> None:
    """In a forked child. What was inherited is kept as it is: its end would be reported as an unclosed connection, and
    its sockets are the parent's."""
    global _shared
    _inherited.append(_shared)
    _shared = _Shared()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
atexit.register(release, None)
