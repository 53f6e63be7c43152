"""Measurements: a metric for the candidate, its baselines and their differences, with intervals and coverage."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from .absent import Unmeasured, Value
from .errors import EvaluationError, Problem
from .estimators import Part, PartDifference
from .metrics import Metric, Subject
from .scores import EvaluatorScores
from .statistics import Estimate

if TYPE_CHECKING:
    from .metrics import Columns, FloatArray, IntArray

Measured = Estimate | Unmeasured


_OF_PAIRS = Unmeasured("it compares two models, and no model has a value of its own")
_NOT_ASKED = Unmeasured("the candidate was not asked")


@dataclass(frozen=True, slots=True)
class Comparison:
    """A baseline's own value, and candidate minus baseline paired by example. Of a metric about pairs, ``difference``
    is the value of the candidate beside that baseline, and the baseline has none of its own."""

    baseline: Measured
    difference: Measured


@dataclass(frozen=True, slots=True)
class Measurement:
    """One metric on one slice. ``planned`` counts examples; ``scored`` those really scored, by role.

    Interval ends are one-sided bounds at ``confidence``. Missing scores were taken at their worst for the candidate
    and at their best for a baseline before anything was estimated.
    """

    metric: str
    higher_is_better: bool
    unit: str
    confidence: float
    planned: int
    scored: Mapping[str, int]
    candidate: Measured
    comparisons: Mapping[str, Comparison]
    slice: Mapping[str, str] = field(default_factory=dict[str, str])
    subject: Subject = "model"

    @property
    def coverage(self) -> float:
        """The smallest share of examples scored for any role; 0 where nothing was planned."""
        return min(self.scored.values(), default=0) / self.planned if self.planned else 0.0


def measure(
    metric: Metric,
    scores: EvaluatorScores,
    *,
    confidence: float = 0.95,
    min_coverage: float = 0.99,
    slice_by: Mapping[str, str] | None = None,
    seed: int = 0,
) -> Measurement:
    """Estimate ``metric`` from ``scores``. Pure and deterministic: the same scores and seed give the same bits.

    Raises EvaluationError where scores lie outside of the range that the metric's estimator knows of, or are so large
    that no estimate can be made of them.
    """
    chosen = _concerned(metric, scores, _chosen(scores, slice_by or {}))
    groups = cluster_codes(scores.examples[index].group for index in chosen)
    roles = [role for role in scores.columns if _tells(metric, role)]
    columns = {role: _columns(metric, scores.columns[role], chosen) for role in roles}
    first_reasons = {role: _first_reason(metric, scores.columns[role], chosen) for role in roles}
    scored = {role: int((~_missing(values)).sum()) if chosen else 0 for role, values in columns.items()}

    def usable(role: str) -> Columns | Unmeasured:
        if not chosen:
            part = _part_name(metric)
            where = f" in the part {part!r}" if part else ""
            return Unmeasured(f"no example{where} has {_spelled(slice_by)}" if slice_by else f"no examples{where}")
        if scored[role] < min_coverage * len(chosen) or not scored[role]:
            who = {"model": f"{role} was", "pair": f"the candidate beside the {role} was", "run": "it was"}[
                metric.subject
            ]
            return Unmeasured(
                f"{who} scored on {scored[role]} of {len(chosen)} examples, below the coverage floor "
                f"{min_coverage:g}; first reason: {first_reasons[role]}"
            )
        return metric.estimator.impute(columns[role], best=metric.subject == "model" and role != "candidate")

    filled = {role: usable(role) for role in columns}

    def estimate(role: str) -> Measured:
        values = filled[role]
        if isinstance(values, Unmeasured):
            return values
        with _believed(metric, scores, role):
            return metric.estimator.estimate(values, groups, confidence, seed)

    def difference(role: str) -> Measured:
        ours, theirs = filled.get("candidate", _NOT_ASKED), filled[role]
        if isinstance(ours, Unmeasured):
            return ours
        if isinstance(theirs, Unmeasured):
            return theirs
        with _believed(metric, scores, role):
            return metric.estimator.difference(ours, theirs, groups, confidence, seed)

    def compared(role: str) -> Comparison:
        if metric.subject == "pair":
            return Comparison(_OF_PAIRS, estimate(role))
        return Comparison(estimate(role), difference(role))

    candidate = _OF_PAIRS if metric.subject == "pair" else _NOT_ASKED
    return Measurement(
        metric=f"{scores.evaluator}.{metric.name}",
        higher_is_better=metric.higher_is_better,
        unit=metric.unit,
        confidence=confidence,
        planned=len(chosen),
        scored=scored,
        candidate=estimate("candidate") if "candidate" in filled else candidate,
        comparisons={role: compared(role) for role in columns if role != "candidate"},
        slice=dict(slice_by or {}),
        subject=metric.subject,
    )


@contextmanager
def _believed(metric: Metric, scores: EvaluatorScores, role: str) -> Generator[None]:
    """The border to estimators: what they cannot make an estimate of is a fault of the evaluator, and no decision."""
    try:
        yield
    except (ValueError, ArithmeticError) as error:
        where = f"evaluator {scores.evaluator!r}, {metric.name}, {role}"
        raise EvaluationError(Problem(where, str(error), "scores that the metric can be estimated from")) from error


def _tells(metric: Metric, role: str) -> bool:
    """Whether the metric's values stand in the column of ``role``."""
    return {"model": True, "pair": role != "candidate", "run": role == "candidate"}[metric.subject]


def _spelled(slice_by: Mapping[str, str] | None) -> str:
    return " and ".join(f"{column}={value!r}" for column, value in (slice_by or {}).items())


def _chosen(scores: EvaluatorScores, slice_by: Mapping[str, str]) -> list[int]:
    return [
        index
        for index, example in enumerate(scores.examples)
        if all(example.slices.get(column) == value for column, value in slice_by.items())
    ]


def concerned(metric: Metric, scores: EvaluatorScores, slice_by: Mapping[str, str] | None = None) -> list[int]:
    """Positions of the examples that the metric speaks of, on a slice. Which part an example belongs to is known before
    any model has answered, so scores of failed answers will do."""
    return _concerned(metric, scores, _chosen(scores, slice_by or {}))


def _concerned(metric: Metric, scores: EvaluatorScores, chosen: Sequence[int]) -> list[int]:
    """Those that the metric speaks of: of a metric on one part of the examples, the others are not lacking."""
    match metric.estimator:
        case Part(column=column, value=value):
            wanted = (value,)
        case PartDifference(column=column, first=first, second=second):
            wanted = (first, second)
        case _:
            return list(chosen)
    parts = [columns[column] for columns in scores.columns.values() if column in columns]
    return [index for index in chosen if any(part[index] in wanted for part in parts)]


def _part_name(metric: Metric) -> str:
    return metric.estimator.name if isinstance(metric.estimator, Part) else ""


def cluster_codes(groups: Iterable[str | None]) -> IntArray | None:
    """Which cluster each example is in, by its group, or None where no two share one. An example without a group is a
    cluster of its own."""
    keys = _cluster_keys(groups)
    codes = {key: code for code, key in enumerate(dict.fromkeys(keys))}
    if len(codes) == len(keys):
        return None
    return np.array([codes[key] for key in keys], dtype=np.int64)


def cluster_count(groups: Iterable[str | None]) -> int:
    """How many clusters examples of these groups are."""
    return len(set(_cluster_keys(groups)))


def _cluster_keys(groups: Iterable[str | None]) -> list[tuple[str, str]]:
    return [("row", str(row)) if name is None else ("group", name) for row, name in enumerate(groups)]


def _columns(metric: Metric, values: Mapping[str, Sequence[Value]], chosen: Sequence[int]) -> Columns:
    return {
        component: _as_array([values[component][index] for index in chosen])
        if component in values
        else np.full(len(chosen), np.nan)
        for component in metric.estimator.components
    }


def _as_array(values: Sequence[Value]) -> FloatArray:
    return np.array([np.nan if isinstance(value, Unmeasured) else value for value in values], dtype=np.float64)


def _missing(columns: Columns) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return np.any(np.stack([np.isnan(column) for column in columns.values()]), axis=0)


def _first_reason(metric: Metric, values: Mapping[str, Sequence[Value]], chosen: Sequence[int]) -> str:
    for component in metric.estimator.components:
        if component not in values:
            return f"the evaluator gave no {component}"
        for index in chosen:
            value = values[component][index]
            if isinstance(value, Unmeasured):
                return value.reason
    return "none"
