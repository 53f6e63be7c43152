"""Progress of long work, as the steps report it. Showing it is the business of whoever started the run."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """``begin`` a stretch of work of known size, then ``advance`` through it. ``say`` is one plain line."""

    def say(self, line: str) -> None: ...

    def begin(self, label: str, total: int) -> None: ...

    def advance(self, count: int = 1) -> None: ...


class Silent:
    """Shows nothing."""

    def say(self, line: str) -> None: ...

    def begin(self, label: str, total: int) -> None: ...

    def advance(self, count: int = 1) -> None: ...
