"""How many calls may be under way at once, and how long a refused one waits: arithmetic only, no clock and no loop.

The level starts low and doubles each round trip (slow start), until something is refused; then it is halved, grows fast
up to three quarters of where it was refused, and from there by one each round trip (additive increase, multiplicative
decrease: Chiu and Jain 1989, doi:10.1016/0169-7552(89)90019-6; slow start: Jacobson 1988, doi:10.1145/52325.52356).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

FIRST_LEVEL = 4
_KNEE = 0.75
_FIRST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Ticket:
    """One call under way. ``epoch`` counts the cuts before it was sent; ``beside`` the calls under way with it, itself
    included."""

    epoch: int
    beside: int


class Pace:
    """The level of concurrency::

        pace = Pace(most=64)
        ticket = pace.ticket(under_way=1)
        pace.answered(ticket, wanted=True)   # or:
        pause = pace.refused(ticket)         # seconds for which nothing at all should be sent

    What was sent before the last cut neither raises nor lowers the level: it tells of a load that is gone. So one round
    trip with fifty refusals halves the level once.
    """

    def __init__(self, most: int) -> None:
        self._most = max(1, most)
        self._level = float(min(FIRST_LEVEL, self._most))
        self._knee = math.inf
        self._epoch = 0
        self._refused_at_one = 0

    @property
    def allowed(self) -> int:
        """Calls that may be under way at once: at least 1, at most ``most``."""
        return int(self._level)

    def ticket(self, under_way: int) -> Ticket:
        """For a call that is sent now, as one of ``under_way``."""
        return Ticket(self._epoch, under_way)

    def answered(self, ticket: Ticket, wanted: bool) -> None:
        """The server took it, whatever it said. ``wanted``: something waits for a place; without, nothing grows."""
        self._refused_at_one = 0
        if wanted and ticket.epoch == self._epoch:
            self._level = min(self._most, self._level + (1.0 if self._level < self._knee else 1.0 / self._level))

    def refused(self, ticket: Ticket) -> float:
        """The server said it was too much (429, 503). Seconds for which nothing should be sent: 0 unless a single call
        was refused too, and then twice as long each time."""
        if ticket.epoch != self._epoch:
            return 0.0
        self._epoch += 1
        refused_at = min(self._level, float(ticket.beside))
        if refused_at <= 1:
            self._refused_at_one += 1
            self._level = 1.0
            return min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2.0 ** min(16, self._refused_at_one - 1))
        self._knee = max(1.0, refused_at * _KNEE)
        self._level = max(1.0, refused_at / 2)
        return 0.0


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waiting between attempts at one answer: ``first_seconds``, doubled each time up to ``longest_seconds``, of which
    a random half is waived so that calls that failed together do not come back together. ``attempts`` at most, but
    ``malformed`` where the reply was bad: that one has been paid for. A 429 is no attempt; the deadline bounds those.
    """

    first_seconds: float = 0.25
    longest_seconds: float = 8.0
    attempts: int = 6
    malformed: int = 3

    def seconds(self, failures: int, random: float) -> float:
        """Before attempt number ``failures`` + 1; ``random`` is from [0, 1)."""
        return min(self.longest_seconds, self.first_seconds * 2.0 ** min(16, failures - 1)) * (1.0 - random / 2)


def retry_after_seconds(milliseconds: str | None, value: str | None, now: datetime) -> float | None:
    """What the headers ``retry-after-ms`` (OpenAI's) and ``retry-after`` (RFC 9110, 10.2.3: seconds or a date) ask for,
    never below 0; None where they say nothing sensible."""
    for text, unit in ((milliseconds, 0.001), (value, 1.0)):
        if text is None or len(text) > 64:
            continue
        try:
            seconds = float(text) * unit
        except ValueError:
            seconds = _until(text, now)
        if not math.isnan(seconds):
            return max(0.0, seconds)
    return None


def _until(date: str, now: datetime) -> float:
    try:
        moment = parsedate_to_datetime(date)
    except (ValueError, TypeError, OverflowError):
        return math.nan
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now.timestamp()
