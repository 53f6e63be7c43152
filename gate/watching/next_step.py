"""What to do about a version that asks to be gated. Pure: no registry, no clock.

step = next_step(ask.standing, now_ms, Pace(), missed=ask.missed)
step.kind, step.sentence             # start: "attempt 1 of 3: failed: no space left; once more"
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, assert_never

from ..turns import Row, Standing

Kind = Literal["start", "wait", "give up", "done"]


@dataclass(frozen=True, slots=True)
class Step:
    kind: Kind
    sentence: str


@dataclass(frozen=True, slots=True)
class Pace:
    """How often and how fast it is tried again. All in seconds.

    ``undelivered_s``: after this long, whoever asked was killed before the one to run it was reached. ``patience_s``:
    how long one who was reached may take to begin; ``patience_here_s``: the same of a process on the watcher's own
    machine. ``pauses_s``: after the first failed attempt, after the second, and so on; ``missed_s`` likewise where
    nobody was reached, which is tried for ever.
    """

    undelivered_s: float = 60.0
    patience_s: float = 3600.0
    patience_here_s: float = 300.0
    attempts: int = 3
    pauses_s: tuple[float, ...] = (60.0, 300.0)
    missed_s: tuple[float, ...] = (60.0, 300.0, 900.0, 3600.0)


HERE = "here"
"""The ``via`` of turns that are to run on the machine of the watcher that asked."""


def next_step(standing: Standing, now_ms: int, pace: Pace, *, missed: int = 0) -> Step:
    """``missed``: how many of the last turns reached nobody."""
    row = standing.row
    if row is None or standing.state == "none":
        return Step("start", "not gated yet")
    match standing.state:
        case "decided":
            return Step("done", _ended(row))
        case "cancelled":
            return Step("done", "cancelled by a person: to be gated after all, run it by hand")
        case "running":
            return Step("wait", f"being gated by {row.who} since {row.turn.at}")
        case "asked":
            return _asked(standing, row, now_ms, pace)
        case "silent":
            found = f"the run of {row.who} is not heard of any more"
            return _again(standing.attempts, found, 0.0, pace)
        case "failed":
            return _failed(standing, row, now_ms, pace, missed)
        case _:
            assert_never(standing.state)


def _asked(standing: Standing, row: Row, now_ms: int, pace: Pace) -> Step:
    age = (now_ms - row.last_ms) / 1000
    asked = f"asked for by {row.who} through {row.turn.via or 'nobody'} at {row.turn.at}"
    if not row.delivered:
        if age <= pace.undelivered_s:
            return Step("wait", asked)
        return Step("start", f"{asked}, and never passed on")
    patience = pace.patience_here_s if row.turn.via == HERE else pace.patience_s
    if age <= patience:
        return Step("wait", f"{asked} ({row.delivered})")
    return _again(standing.attempts + 1, f"{asked} ({row.delivered}), and not begun in {_spoken(patience)}", 0.0, pace)


def _failed(standing: Standing, row: Row, now_ms: int, pace: Pace, missed: int) -> Step:
    outcome = row.ending.outcome if row.ending else "failed"
    since = (now_ms - row.last_ms) / 1000
    if outcome == "misconfigured":
        return Step("give up", f"{_ended(row)}; it is tried again once the gate file has changed, or by hand")
    if outcome == "undelivered":
        pause = 0.0 if row.turn.kind == "run" else _pause(pace.missed_s, missed)
        if since < pause:
            return Step("wait", f"{_ended(row)}; again in {_spoken(pause - since)}")
        return Step("start", f"{_ended(row)}, so once more")
    pause = _pause(pace.pauses_s, standing.attempts)
    return _again(standing.attempts, _ended(row), pause - since, pace)


def _again(failed: int, found: str, left_s: float, pace: Pace) -> Step:
    """After ``failed`` attempts that came to nothing, the last as ``found`` says; ``left_s`` of the pause is left."""
    if failed >= pace.attempts:
        return Step("give up", f"attempt {failed} of {pace.attempts}: {found}; run it by hand to see why")
    if left_s > 0:
        return Step("wait", f"attempt {failed} of {pace.attempts}: {found}; again in {_spoken(left_s)}")
    return Step("start", f"attempt {failed} of {pace.attempts}: {found}; once more")


def _pause(pauses: tuple[float, ...], times: int) -> float:
    return pauses[min(max(times, 1), len(pauses)) - 1] if pauses else 0.0


def _ended(row: Row) -> str:
    if row.ending is None:
        return ""
    return f"{row.ending.outcome}: {row.ending.sentence}" if row.ending.sentence else row.ending.outcome


def _spoken(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
