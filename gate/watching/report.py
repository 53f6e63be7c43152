"""What one look at the registry saw and did, as data."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Final, Literal

from finetune_gate.evaluators.errors import Problem

Did = Literal[
    "started",
    "queued",
    "under way",
    "taken",
    "not reached",
    "waited",
    "gave up",
    "done",
    "not ready",
    "reconciled",
    "began to watch",
    "no model",
]
"""What came of seeing a version (or a model): as `relay.Did`, and

waited          somebody is at it, or it is too early to try again
gave up         it was tried as often as it may be, or trying again would change nothing
done            decided, or cancelled by a person
not ready       MLflow has not finished registering it
reconciled      an alias was brought together with the promotion ledger
began to watch  later versions count as new from here on
no model        there is no registered model of that name yet
"""

NEWS: Final[frozenset[Did]] = frozenset(("started", "queued", "not reached", "gave up", "reconciled", "began to watch"))
"""Something was done, or somebody has to do something."""


@dataclass(frozen=True, slots=True)
class Looked:
    """``version`` is "" where it is about the model. ``why`` it asked to be gated, in a few words."""

    model: str
    version: str
    gate_file: str
    why: str
    did: Did
    sentence: str


@dataclass(frozen=True, slots=True)
class Report:
    """``at``: when the look began, ISO 8601. ``models`` were looked at; ``problems`` say what could not be, and why."""

    at: str
    models: tuple[str, ...] = ()
    looked: tuple[Looked, ...] = ()
    problems: tuple[Problem, ...] = ()

    def to_json(self) -> dict[str, object]:
        return asdict(self)
