"""Pictures of a decision, as geometry: of each evaluator, of coverage, of slices, of the gates before.

drawn = pictures_of(record, scores, examples, history)
drawn.evaluators[0].pictures[0].title

Nothing here knows markup; ``report_pictures.html`` draws it. A picture is about as large for ten examples as for ten
thousand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from finetune_gate.evaluators.scores import EvaluatorScores, ScoreTable
from finetune_gate.evaluators.showing import ShownExamples

from ...history import PastDecision
from ...record import DecisionRecord, EvaluatorRecord
from ..history_plots import HistoryPlot
from .changes import Turned, changes, turned
from .coverage import Covered, coverage, coverage_picture
from .distributions import distribution
from .drawing import Picture
from .histories import history_plots
from .quantities import Quantity, quantities_of, verdicts_of
from .slices import slice_pictures
from .tasks import task_pictures
from .wins import leanings, wins

__all__ = ["EvaluatorPictures", "Pictures", "pictures_of"]


SEEN_AT_ONCE = 4
"""Pictures of one evaluator that need no click."""


@dataclass(frozen=True, slots=True)
class EvaluatorPictures:
    """``turned`` are the tables of right and wrong answers."""

    title: str
    pictures: tuple[Picture, ...]
    turned: tuple[Turned, ...]

    @property
    def first(self) -> tuple[Picture, ...]:
        return self.pictures[:SEEN_AT_ONCE]

    @property
    def others(self) -> tuple[Picture, ...]:
        return self.pictures[SEEN_AT_ONCE:]


@dataclass(frozen=True, slots=True)
class Pictures:
    """``history`` is None where nobody looked for earlier gates."""

    evaluators: tuple[EvaluatorPictures, ...]
    coverage: Picture | None
    missing: tuple[Covered, ...]
    slices: tuple[Picture, ...]
    history: tuple[HistoryPlot, ...] | None

    @property
    def anchors(self) -> tuple[tuple[str, str], ...]:
        """Name and id of each section that has something to show."""
        sections = (
            ("By evaluator", "pictures", self.evaluators),
            ("Slices", "slices", self.slices),
            ("Coverage", "coverage", self.coverage),
            ("History", "history", self.history is not None),
        )
        return tuple((name, anchor) for name, anchor, there in sections if there)


def pictures_of(
    record: DecisionRecord,
    scores: ScoreTable | None = None,
    examples: ShownExamples | None = None,
    history: Sequence[PastDecision] | None = None,
) -> Pictures:
    """Without ``scores``, what the record alone has: judges' leanings, tasks, coverage without reasons, slices."""
    quantities: dict[str, Sequence[Quantity]] = {}
    found: list[EvaluatorPictures] = []
    for evaluator in record.evaluators:
        own = next((one for one in scores.evaluators if one.evaluator == evaluator.title), None) if scores else None
        drawn: Sequence[Quantity] = ()
        if own is not None:
            shown = examples.by_evaluator.get(evaluator.title, ()) if examples else ()
            drawn = quantities_of(evaluator, record, own, shown)
            verdicts = verdicts_of(own)
            quantities[evaluator.title] = drawn or ((verdicts,) if verdicts else ())
        pictures = _of_evaluator(evaluator, record, own, drawn)
        if pictures.pictures or pictures.turned:
            found.append(pictures)
    covered = coverage(record, quantities)
    return Pictures(
        evaluators=tuple(found),
        coverage=coverage_picture(covered),
        missing=tuple(one for one in covered if one.reasons),
        slices=slice_pictures(record),
        history=None if history is None else history_plots(record, history),
    )


def _of_evaluator(
    evaluator: EvaluatorRecord, record: DecisionRecord, scores: EvaluatorScores | None, quantities: Sequence[Quantity]
) -> EvaluatorPictures:
    pictures = [*wins(scores)] if scores is not None else []
    pictures += [*leanings(evaluator, record), *task_pictures(evaluator, record)]
    for quantity in quantities:
        if quantity.kind == "continuous":
            change = changes(quantity)
            pictures += [distribution(quantity), *([change] if change else [])]
    tables = [table for quantity in quantities if quantity.kind == "right or wrong" for table in turned(quantity)]
    return EvaluatorPictures(evaluator.title, tuple(pictures), tuple(tables))
