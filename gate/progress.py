"""Progress of long work, as the steps report it. Showing it is the business of whoever started the run."""

from __future__ import annotations

import time
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


class Lines:
    """Progress as plain lines, for logs: at the end of a stretch, and at most every ``every`` seconds within it.

    ``candidate: texts: 512 of 1,440 (36 %), 43.1/s, 22 s left``. To be given its ``say``: subclasses print or log.
    """

    def __init__(self, every: float) -> None:
        self._every = every
        self._label = ""
        self._total = self._done = 0
        self._begun = self._said = 0.0

    def say(self, line: str) -> None:
        raise NotImplementedError

    def begin(self, label: str, total: int) -> None:
        self._label, self._total, self._done = label, total, 0
        self._begun = self._said = time.monotonic()

    def advance(self, count: int = 1) -> None:
        self._done += count
        now = time.monotonic()
        if now - self._said >= self._every or self._done == self._total:
            self._said = now
            self.say("  " + progress_line(self._label, self._done, self._total, now - self._begun))


def progress_line(label: str, done: int, total: int, seconds: float) -> str:
    """One line about a stretch of work that has taken ``seconds`` so far."""
    share = f" ({100 * done // total} %)" if total else ""
    line = f"{label}: {done:,} of {total:,}{share}"
    if done and seconds > 0:
        line += f", {rate_text(done / seconds)}"
        line += (
            f", {duration_text(seconds / done * (total - done))} left"
            if done < total
            else f", {duration_text(seconds)}"
        )
    return line


def rate_text(per_second: float) -> str:
    """``43.1/s``; ``3.0/min`` where it is slow."""
    if per_second >= 1:
        return f"{per_second:,.1f}/s" if per_second < 1000 else f"{per_second:,.0f}/s"
    return f"{60 * per_second:.1f}/min"


def duration_text(seconds: float) -> str:
    """``0.4 s``, ``42 s``, ``3 min 05 s``, ``2 h 07 min``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
