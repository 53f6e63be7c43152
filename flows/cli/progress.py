"""Progress for whoever is watching: bars with time left on a terminal, a plain line now and then in CI."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager

from finetune_gate.gate.progress import Lines, Progress, Silent, rate_text

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

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
        )
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
        self._task = self._bars.add_task(label, total=total, rate="")

    def advance(self, count: int = 1) -> None:
        if self._task is not None:
            self._bars.advance(self._task, count)
            speed = self._bars.tasks[self._task].speed
            self._bars.update(self._task, rate=rate_text(speed) if speed else "")


class PlainLines(Lines):
    """On standard error, at most one line every ten seconds."""

    def __init__(self) -> None:
        super().__init__(LINE_EVERY_SECONDS)

    def say(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)  # noqa: T201 - progress is printed
