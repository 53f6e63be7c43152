"""Progress for whoever is watching: bars with time left on a terminal, a plain line now and then in CI."""

from __future__ import annotations

import sys
import time
from collections.abc import Generator
from contextlib import contextmanager

from finetune_gate.gate.progress import Progress, Silent

LINE_EVERY_SECONDS = 10.0


@contextmanager
def shown_progress(quiet: bool) -> Generator[Progress]:
    """On standard error, so that standard output stays the result's."""
    if quiet:
        yield Silent()
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
            yield _Bars(bars)
    else:
        yield PlainLines()


class _Bars:
    def __init__(self, bars: object) -> None:
        from rich.progress import Progress as RichBars

        assert isinstance(bars, RichBars)
        self._bars = bars
        self._task = None

    def say(self, line: str) -> None:
        self._bars.console.print(line, style="dim", markup=False, highlight=False)

    def begin(self, label: str, total: int) -> None:
        self._task = self._bars.add_task(label, total=total)

    def advance(self, count: int = 1) -> None:
        if self._task is not None:
            self._bars.advance(self._task, count)


class PlainLines:
    """``candidate answers: 512 of 1,440 (36 %), 12 s left``, at most one line every ten seconds."""

    def __init__(self) -> None:
        self._label = ""
        self._total = self._done = 0
        self._begun = self._printed = 0.0

    def say(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)  # noqa: T201 - progress is printed

    def begin(self, label: str, total: int) -> None:
        self._label, self._total, self._done = label, total, 0
        self._begun = self._printed = time.monotonic()

    def advance(self, count: int = 1) -> None:
        self._done += count
        now = time.monotonic()
        if now - self._printed >= LINE_EVERY_SECONDS or (self._done == self._total and self._printed > self._begun):
            self._printed = now
            left = (now - self._begun) / self._done * (self._total - self._done)
            share = 100 * self._done // self._total
            self.say(f"  {self._label}: {self._done:,} of {self._total:,} ({share} %), {left:.0f} s left")
