"""Interleaved rounds, ratios with their spread, and tools in processes of their own."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .outcome import Outcome, Stopwatch

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Ratio:
    """Median, least and greatest of the ratios of the rounds."""

    median: float
    low: float
    high: float

    @staticmethod
    def of(ratios: Sequence[float]) -> Ratio:
        return Ratio(statistics.median(ratios), min(ratios), max(ratios))


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. ``target`` is its number in PERFORMANCE's list, empty for what is only told; ``limit``
    the ratio allowed, at most, or at least where ``at_least``. ``note`` says why a target is missed."""

    group: str
    target: str
    what: str
    ratio: Ratio | None
    limit: float | None = None
    at_least: bool = False
    note: str = ""

    @property
    def reached(self) -> bool | None:
        if self.ratio is None or self.limit is None:
            return None
        return self.ratio.median >= self.limit if self.at_least else self.ratio.median <= self.limit


class Clock:
    """Progress lines with the time left, on standard error: ``[3/12] tiny: choices   1 min 20 s, about 4 min left``."""

    def __init__(self, steps: int) -> None:
        self._steps, self._done, self._begun = steps, 0, time.monotonic()

    def step(self, what: str) -> None:
        """Say that ``what`` begins."""
        spent = time.monotonic() - self._begun
        left = f", about {_duration(spent / self._done * (self._steps - self._done))} left" if self._done else ""
        self._done += 1
        print(f"[{self._done}/{self._steps}] {what}   {_duration(spent)}{left}", file=sys.stderr, flush=True)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def cpu_of(work: Callable[[], object]) -> float:
    watch = Stopwatch()
    work()
    return watch.cpu


def interleaved(rounds: int, ours: Callable[[], object], theirs: Callable[[], object]) -> Ratio:
    """Our CPU seconds as a ratio of theirs: once each unmeasured, then in turns, and every other time the other way
    round."""
    ours()
    theirs()
    ratios: list[float] = []
    for at in range(rounds):
        if at % 2:
            second, first = cpu_of(theirs), cpu_of(ours)
        else:
            first, second = cpu_of(ours), cpu_of(theirs)
        ratios.append(first / second)
    return Ratio.of(ratios)


def fresh(module: str, *arguments: object, **settings: str) -> tuple[Any, float]:
    """What ``python -m benchmarks.MODULE`` prints as JSON in a process of its own, and its wall seconds from start to
    end. Raises RuntimeError with its last lines where it fails."""
    command = [sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)]
    begun = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, **settings})
    seconds = time.perf_counter() - begun
    if done.returncode:
        raise RuntimeError(f"benchmarks.{module} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1]), seconds


def fresh_outcome(module: str, *arguments: object) -> tuple[Outcome, float]:
    found, seconds = fresh(module, *arguments)
    return Outcome(**found), seconds
