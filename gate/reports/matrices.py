"""Confusion matrices of classification evaluators, counted from the score table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from finetune_gate.evaluators.absent import Unmeasured, Value
from finetune_gate.evaluators.scores import EvaluatorScores, ScoreTable

from ..record import EvaluatorRecord

INVALID = "[invalid]"
MOST_DRAWN = 16
"""More labels than this are not drawn as a matrix, but as a list of the most frequent confusions."""
_MOST_LISTED = 12


@dataclass(frozen=True, slots=True)
class Mistake:
    """``count`` examples of ``label`` were taken for ``prediction``."""

    label: str
    prediction: str
    count: int


@dataclass(frozen=True, slots=True)
class ConfusionMatrix:
    """Counts by right label (rows) and prediction (columns; the last is ``[invalid]`` where any answer was that).

    ``shares`` are of the row, 0 where a label does not occur. ``unscored`` examples are in no cell.
    """

    role: str
    labels: tuple[str, ...]
    predictions: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    shares: tuple[tuple[float, ...], ...]
    right: int
    scored: int
    unscored: int
    mistakes: tuple[Mistake, ...]

    @property
    def drawn(self) -> bool:
        return len(self.labels) <= MOST_DRAWN


def confusion_matrices(evaluator: EvaluatorRecord, table: ScoreTable) -> tuple[ConfusionMatrix, ...]:
    """One for each role; none where the evaluator is no classification or the table holds nothing of it."""
    labels = evaluator.settings.get("labels")
    if evaluator.kind != "classification" or not isinstance(labels, (list, tuple)):
        return ()
    names = tuple(str(label) for label in cast("Sequence[object]", labels))
    scores = next((one for one in table.evaluators if one.evaluator == evaluator.title), None)
    return () if scores is None else tuple(_matrices(names, scores))


def _matrices(names: tuple[str, ...], scores: EvaluatorScores) -> list[ConfusionMatrix]:
    found = {
        role: _counts(len(names), components)
        for role, components in scores.columns.items()
        if "label" in components and "prediction" in components
    }
    any_invalid = any(row[-1] for counts in found.values() for row in counts)
    predictions = (*names, INVALID) if any_invalid else names
    return [_matrix(role, names, predictions, counts, len(scores.examples)) for role, counts in found.items()]


def _counts(classes: int, components: Mapping[str, Sequence[Value]]) -> list[list[int]]:
    """[classes, classes + 1]; whatever is no position of a label is left out, and so counts as unscored."""
    counts = [[0] * (classes + 1) for _ in range(classes)]
    for label, prediction in zip(components["label"], components["prediction"], strict=True):
        row, column = _position(label, classes), _position(prediction, classes + 1)
        if row is not None and column is not None:
            counts[row][column] += 1
    return counts


def _position(value: Value, size: int) -> int | None:
    if isinstance(value, Unmeasured) or not float(value).is_integer() or not 0 <= value < size:
        return None
    return int(value)


def _matrix(
    role: str, names: tuple[str, ...], predictions: tuple[str, ...], counts: list[list[int]], examples: int
) -> ConfusionMatrix:
    scored = sum(map(sum, counts))
    mistakes = [
        Mistake(label, prediction, count)
        for row, label in enumerate(names)
        for column, prediction in enumerate((*names, INVALID))
        if row != column and (count := counts[row][column])
    ]
    return ConfusionMatrix(
        role=role,
        labels=names,
        predictions=predictions,
        counts=tuple(tuple(row[: len(predictions)]) for row in counts),
        shares=tuple(tuple(count / (sum(row) or 1) for count in row[: len(predictions)]) for row in counts),
        right=sum(row[index] for index, row in enumerate(counts)),
        scored=scored,
        unscored=examples - scored,
        mistakes=tuple(sorted(mistakes, key=lambda one: -one.count)[:_MOST_LISTED]),
    )
