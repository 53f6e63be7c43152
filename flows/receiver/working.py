"""Have models looked at: those that deliveries asked for, and all of them now and then, asked for or not.

    working = Working(inbox, look, sweep_seconds=300, log=log)
    working.run()       # in a thread of its own, until stop()

The sweep is the guarantee: deliveries get lost where the receiver was down or MLflow was restarted.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import Final

from finetune_gate.evaluators.errors import FinetuneGateError

from .inbox import Inbox, Job
from .log import Log

Look = Callable[[frozenset[str] | None], None]
"""Looks at models of these names, or at all, and does what is to be done. May be called as often as one likes, never
by two threads at once. Raises FinetuneGateError where it could not look: it is asked again."""

LONGEST_PAUSE: Final = 60.0

_LONGEST_WAIT: Final = 5.0


class Working:
    """Calls ``look`` for one job at a time: a model that cannot be looked at holds up no other."""

    def __init__(self, inbox: Inbox, look: Look, *, sweep_seconds: float, log: Log, first_pause: float = 1.0) -> None:
        """``sweep_seconds`` 0: only what deliveries ask for. ``first_pause`` doubles with every failure in a row."""
        self._inbox = inbox
        self._look = look
        self._log = log
        self._sweep = sweep_seconds
        self._first_pause = first_pause
        # by model, None for all of them; times are monotonic
        self._looked: dict[str | None, float] = {}
        self._failures: dict[str | None, int] = {}
        self._not_before: dict[str | None, float] = {}
        self._awake = threading.Event()
        self._ending = False

    def run(self) -> None:
        """Until `stop`. Whatever ``look`` raises besides FinetuneGateError leaves this, and the job stays."""
        failures = 0
        while not self._ending:
            self._awake.clear()  # before looking: what comes from here on is seen now or wakes
            try:
                wait = self._next()
                failures = 0
            except FinetuneGateError as error:  # of the inbox itself
                failures += 1
                wait = self._pause(failures)
                self._log.line(f"again in {wait:g} s: {error.problems[0]}")
            if wait > 0:
                self._awake.wait(min(wait, _LONGEST_WAIT))

    def wake(self) -> None:
        """There may be something new in the inbox."""
        self._awake.set()

    def stop(self) -> None:
        """End after the look that is under way."""
        self._ending = True
        self._awake.set()

    def _next(self) -> float:
        """Do what is due first; seconds to wait where nothing is due."""
        due: list[tuple[float, bool, Job | None]] = [
            (self._time_of(job.model, 0.0), False, job) for job in self._inbox.waiting()
        ]
        if self._sweep:
            due.append((self._time_of(None, self._sweep), True, None))
        # by time alone: a model that is asked for again and again does not keep the others from their sweep
        at, _, job = min(due, key=lambda one: one[:2], default=(math.inf, True, None))
        wait = at - time.monotonic()
        if wait > 0:
            return wait
        if self._has_looked(job.model if job else None) and job:
            self._inbox.done(job)
        return 0.0

    def _time_of(self, model: str | None, after: float) -> float:
        looked = self._looked.get(model, -math.inf)
        return max(looked + after, self._not_before.get(model, -math.inf))

    def _has_looked(self, model: str | None) -> bool:
        begun = time.monotonic()
        at = repr(model) if model else "all models"
        try:
            self._look(frozenset({model}) if model else None)
        except FinetuneGateError as error:
            failures = self._failures[model] = self._failures.get(model, 0) + 1
            pause = self._pause(failures)
            self._not_before[model] = time.monotonic() + pause
            self._log.line(f"could not look at {at}, again in {pause:g} s: {error.problems[0]}")
            return False
        failures = self._failures.pop(model, 0)
        if failures:
            self._log.line(f"looked at {at} after {failures} failures")
        self._not_before.pop(model, None)
        self._looked[model] = begun
        return True

    def _pause(self, failures: int) -> float:
        return min(LONGEST_PAUSE, self._first_pause * 2.0 ** min(failures - 1, 30))
