"""What the receiver says while it runs: a line for each thing that counts, and for the rest now and then how often."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Final

from finetune_gate.gate.clock import now_iso
from finetune_gate.gate.reports.inert import inert_text

EVERY_SECONDS: Final = 10.0


class Log:
    """``log.line("looked at 'bot'")``, ``log.count("refused: no signature")``.

    A flood of requests must not fill the disk: counts are said at most every ``every`` seconds, on one line.
    """

    def __init__(
        self,
        say: Callable[[str], None],
        *,
        every: float = EVERY_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._say = say
        self._every = every
        self._clock = clock
        self._counts: Counter[str] = Counter()
        self._told = float("-inf")

    def line(self, text: str) -> None:
        """One line, whatever is in ``text``: it may be others' words."""
        self._say(f"{now_iso()}  {inert_text(text)}")

    def count(self, what: str) -> None:
        """``what`` is one of a few fixed texts."""
        self._counts[what] += 1
        self.tell()

    def tell(self, *, now: bool = False) -> None:
        """Say the counts, if it is time or ``now``."""
        if self._counts and (now or self._clock() - self._told >= self._every):
            counts, self._counts = self._counts, Counter()
            self._told = self._clock()
            self.line("; ".join(f"{what} ({times})" if times > 1 else what for what, times in sorted(counts.items())))
