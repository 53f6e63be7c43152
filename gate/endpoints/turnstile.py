"""Lets calls through at the pace the server bears. Lives in one event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from .pacing import Pace, Ticket


class Turnstile:
    """Two doors. An answer is begun when fewer are begun than may be under way; each of its attempts then waits for a
    free place::

        await turnstile.begin()
        try:
            async with turnstile.attempt() as ticket: ...
        finally:
            turnstile.end()

    So those that have to be tried again never queue behind new ones, and no deadline runs before its first call.
    """

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._begun = 0
        self._under_way = 0
        self._beginners: deque[asyncio.Future[None]] = deque()
        self._attempts: deque[asyncio.Future[None]] = deque()
        self._closed_until = 0.0
        self._opening: asyncio.TimerHandle | None = None

    async def begin(self) -> None:
        await self._through(self._beginners)

    def end(self) -> None:
        self._begun -= 1
        self._admit()

    @asynccontextmanager
    async def attempt(self) -> AsyncGenerator[Ticket]:
        await self._through(self._attempts)
        try:
            yield self._pace.ticket(self._under_way)
        finally:
            self._under_way -= 1
            self._admit()

    def answered(self, ticket: Ticket) -> None:
        self._pace.answered(ticket, wanted=bool(self._beginners or self._attempts))
        self._admit()

    def refused(self, ticket: Ticket, pause: float) -> None:
        """Close for ``pause`` seconds (or longer where the pace says so): for everything that is not yet under way."""
        pause = max(pause, self._pace.refused(ticket))
        self._closed_until = max(self._closed_until, asyncio.get_running_loop().time() + pause)

    async def _through(self, door: deque[asyncio.Future[None]]) -> None:
        place = asyncio.get_running_loop().create_future()
        door.append(place)
        self._admit()
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():  # let through, and cancelled before it could go
                self._leave(door)
            raise

    def _leave(self, door: deque[asyncio.Future[None]]) -> None:
        if door is self._beginners:
            self._begun -= 1
        else:
            self._under_way -= 1
        self._admit()

    def _admit(self) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() < self._closed_until:
            if self._opening is None and (self._beginners or self._attempts):
                self._opening = loop.call_at(self._closed_until, self._open)
            return
        while self._under_way < self._pace.allowed and (place := _next(self._attempts)):
            self._under_way += 1
            place.set_result(None)
        while self._begun < self._pace.allowed and (place := _next(self._beginners)):
            self._begun += 1
            place.set_result(None)

    def _open(self) -> None:
        self._opening = None
        self._admit()


def _next(door: deque[asyncio.Future[None]]) -> asyncio.Future[None] | None:
    while door:
        place = door.popleft()
        if not place.done():
            return place
    return None
