"""What people see of an example beside its scores: what was asked, what was wanted, what every model answered.

    Shown("17", asked="Ticket: it crashes", wanted="bug", answers={"candidate": Said("bug"), "base": Said("praise")})

Model output is in here, as it came: whoever draws it makes it inert. Nothing here is ever decided by.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from .evaluator import Answers, Datasets, Evaluator


@dataclass(frozen=True, slots=True)
class Said:
    """An answer as text; ``fault`` is the reason where there is none, or where it could not be read; ``detail`` says
    more of how it came about, such as a likelihood, in which models differ where they answer alike."""

    text: str
    fault: str | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """What somebody said of an example: ``by`` a judge or a rater, ``about`` one role's answer or a pair of them."""

    by: str
    about: str
    text: str


@dataclass(frozen=True, slots=True)
class Shown:
    """One example of one evaluator. ``id`` is the one that its scores have; ``wanted`` is empty where nothing is."""

    id: str
    asked: str
    wanted: str = ""
    answers: Mapping[str, Said] = field(default_factory=dict[str, Said])
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class ShownExamples:
    """By the title of the evaluator, in the order of its examples."""

    by_evaluator: Mapping[str, tuple[Shown, ...]]


@runtime_checkable
class ShowingEvaluator(Evaluator, Protocol):
    """An evaluator whose examples are worth reading one by one."""

    def shown(self, data: Datasets, answers: Mapping[str, Answers], verdicts: Mapping[str, Answers]) -> Sequence[Shown]:
        """One for each of ``examples(data)``, in that order; answers by role, verdicts by judge, as for `findings`."""
        ...
