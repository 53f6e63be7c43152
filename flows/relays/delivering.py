"""What relays to other services have in common: note the ask, deliver it, note what came of that.

started = delivered(ask, turns, "github", lambda number: Reached("repository_dispatch to octo/bots"))
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from finetune_gate.evaluators.errors import RegistryError
from finetune_gate.gate.turns import Ending, Turns
from finetune_gate.gate.watching import Ask, Started

SECONDS: Final = 20.0
"""Deadline of one call."""


@dataclass(frozen=True, slots=True)
class Reached:
    """``note``: where to look for the run."""

    note: str


@dataclass(frozen=True, slots=True)
class NotReached:
    """``sentence``: why, and the way out."""

    sentence: str


def delivered(ask: Ask, turns: Turns, via: str, deliver: Callable[[int], Reached | NotReached]) -> Started:
    """``deliver`` gets the number of the turn, which is unique among all that were ever asked for this model. Killed
    in between, the ask is made once more; who is asked twice gates once, because runs take turns as well."""
    number = turns.ask(ask.subject, ask.standing, via, ask.why)
    if number is None:
        return Started("taken", "somebody else was faster")
    found = deliver(number)
    if isinstance(found, NotReached):
        turns.end(number, Ending(outcome="undelivered", sentence=found.sentence))
        return Started("not reached", found.sentence)
    try:
        turns.delivered(number, found.note)
    except RegistryError:
        return Started("started", f"{found.note}; the registry could not be told, so it may be asked for twice")
    return Started("started", found.note)
