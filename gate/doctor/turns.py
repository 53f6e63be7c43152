"""Who gates what just now, as the log of turns says, and what nobody goes on with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from finetune_gate.evaluators.errors import FinetuneGateError

from ..clock import now_ms
from ..turns import Log, Standing, Turns
from ..watching import Pace
from .finding import Finding, faults_of, ok, warning
from .registry_look import RegistryLook, counted

TURNS: Final = "turns"
_SHOWN: Final = 5


def turn_findings(look: RegistryLook, model: str, gate_digest: str) -> Iterator[Finding]:
    try:
        log = look.asked(Turns(look.registry, model).read)
    except FinetuneGateError as error:
        yield from faults_of(TURNS, error)
        return
    yield from turns_order(log, gate_digest, now_ms())


def turns_order(log: Log, gate_digest: str, at_ms: int) -> Iterator[Finding]:
    """``gate_digest``: turns of other gate files that came to nothing are nobody's concern any more."""
    standings = sorted(log.standings.values(), key=lambda one: one.number)
    for one in (one for one in standings if one.state in ("running", "asked")):
        yield ok(TURNS, f"{_said(one, at_ms)}: {'running' if one.state == 'running' else 'asked for'}")
    left = [one for one in standings if one.row and one.row.turn.gate_digest == gate_digest]
    left = [one for one in left if one.row and not log.decided(one.row.turn.version)]
    for one in [one for one in left if one.state == "silent"][-_SHOWN:]:
        found = f"{_said(one, at_ms)}: not heard of any more"
        yield warning(TURNS, found, "nothing, if something watches; else `finetune-gate run` takes it over")
    for one in [one for one in left if one.state == "failed"][-_SHOWN:]:
        ending = one.row.ending if one.row else None
        why = f": {ending.sentence}" if ending and ending.sentence else ""
        given_up = ", given up" if one.attempts >= Pace().attempts else ""
        found = f"{_said(one, at_ms)}: no decision after {counted(one.attempts, 'attempt')}{given_up}{why}"
        yield warning(TURNS, found, "mend that, and gate it again: `finetune-gate run`")
    if not any(one.state in ("running", "asked") for one in standings):
        yield ok(TURNS, "nothing is being gated")


def _said(standing: Standing, at_ms: int) -> str:
    row = standing.row
    assert row is not None
    minutes = max(0, at_ms - row.written_ms) // 60_000
    return f"version {row.turn.version} by {row.who}, {minutes:,} min ago"
