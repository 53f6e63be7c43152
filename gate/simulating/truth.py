"""What a rule would see if it saw the truth: the value of its metric over all that worlds are drawn from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np

from finetune_gate.evaluators import confusion
from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.estimators import Confusion, Mean, Part, PartDifference, Ratio
from finetune_gate.evaluators.measurement import Comparison, Measurement
from finetune_gate.evaluators.metrics import Estimator, Metric
from finetune_gate.evaluators.statistics import COUNTED, Estimate, Interval

from ..deciding import MeasuredSlice, Sliced, SlicedMeasurement
from ..gate_file import Rule
from .population import BoolArray, Bounded, FloatArray, Population, Scaled


def true_measurement(rule: Rule, metric: Metric, population: Population, difference: float) -> Measurement:
    """With the truth in place of every estimate: to be decided by like any other."""
    whole = _measurement(metric, population, difference, rule.slice)
    if rule.slices is None:
        return whole
    counts = Counter(value for one in population.examples if (value := one.slices.get(rule.slices)) is not None)
    judged = sorted(value for value, count in counts.items() if count >= rule.least_n)
    found = [(value, _measurement(metric, population, difference, rule.on(value).slice)) for value in judged]
    comparisons = len(judged) * len(whole.comparisons)
    # the truth is the same at every level
    slices = tuple(MeasuredSlice(value, one, dict.fromkeys(range(2, comparisons + 1), one)) for value, one in found)
    parts = {one.name: getattr(whole, one.name) for one in fields(whole)}
    return SlicedMeasurement(**parts, sliced=(Sliced(rule.slices, rule.least_n, slices),))


def _measurement(metric: Metric, population: Population, difference: float, slice_by: Mapping[str, str]) -> Measurement:
    chosen = np.array([all(one.slices.get(k) == v for k, v in slice_by.items()) for one in population.examples])
    ours, size = _value(metric.estimator, _Of(population, "candidate", difference), chosen), int(chosen.sum())
    absent = Unmeasured("its true value is not known")
    comparisons: dict[str, Comparison] = {}
    for role in population.weights:
        theirs = None if role == "candidate" else _value(metric.estimator, _Of(population, role, 0.0), chosen)
        if ours is not None and theirs is not None:
            comparisons[role] = Comparison(_exactly(theirs), _exactly(ours - theirs))
        elif role != "candidate":
            comparisons[role] = Comparison(absent, absent)
    return Measurement(
        metric=f"{population.title}.{metric.name}",
        higher_is_better=metric.higher_is_better,
        unit=metric.unit,
        confidence=0.95,
        planned=size,
        scored=dict.fromkeys(population.weights, size),
        candidate=absent if ours is None else _exactly(ours),
        comparisons=comparisons,
        slice=dict(slice_by),
    )


@dataclass(frozen=True, slots=True)
class _Of:
    """One role's scores, moved by a difference."""

    population: Population
    role: str
    difference: float

    def weights(self, chosen: BoolArray) -> FloatArray:
        return np.where(chosen, self.population.weights[self.role][:, None], 0.0)


def _exactly(value: float) -> Estimate:
    return Estimate(value, Interval(value, value), 1, 1, COUNTED, 0.0)


def _value(estimator: Estimator, of_role: _Of, chosen: BoolArray) -> float | None:
    """Of the examples ``chosen`` (booleans, [examples] or [states, examples]); None where it is not known."""
    match estimator:
        case Mean(component=component):
            return _mean(of_role, component, chosen)
        case Ratio(numerator=numerator, denominator=denominator, transform=transform):
            over = _mean(of_role, denominator, chosen)
            under = _mean(of_role, numerator, chosen)
            if not over or under is None:
                return None
            return float(np.exp(under / over)) if transform == "exp" else under / over
        case Confusion(statistic=statistic, classes=classes):
            cells = _cells(of_role, chosen, classes)
            return float(confusion.STATISTICS[statistic](cells[None])[0]) if cells.sum() else None
        case Part(of=of, column=column, value=value):
            return _value(of, of_role, chosen & (of_role.population.states[column] == value))
        case PartDifference(of=of, column=column, first=first, second=second):
            column_values = of_role.population.states[column]
            one = _value(of, of_role, chosen & (column_values == first))
            other = _value(of, of_role, chosen & (column_values == second))
            return None if one is None or other is None else one - other
        case _:
            return None


def _mean(of_role: _Of, component: str, chosen: BoolArray) -> float | None:
    population, difference = of_role.population, of_role.difference
    values = population.states[component]
    match population.moved.get(component):
        case Bounded() as bounded if difference:
            share = population.share(component, difference)
            values = (1 - share) * values + share * bounded.end(difference)
        case Scaled() as scaled:
            values = values * scaled.factor(difference)
        case _:
            pass
    weights = of_role.weights(chosen & ~np.isnan(values))
    total = weights.sum()
    return float((weights * np.nan_to_num(values)).sum() / total) if total else None


def _cells(of_role: _Of, chosen: BoolArray, classes: int) -> FloatArray:
    """Expected confusion matrix [classes, classes + 1]: its mass moves towards the diagonal, or away from it."""
    population, difference = of_role.population, of_role.difference
    label, prediction = population.states["label"], population.states["prediction"]
    weights = of_role.weights(chosen & ~np.isnan(prediction)).ravel()
    rows = np.broadcast_to(label, prediction.shape).ravel().astype(np.int64)
    columns = np.nan_to_num(prediction).ravel().astype(np.int64)
    cells = np.zeros((classes, classes + 1))
    np.add.at(cells, (rows, columns), weights)
    share = population.share("prediction", difference) if difference else 0.0
    right = np.zeros_like(cells)
    np.fill_diagonal(right, np.diagonal(cells))
    wrong = cells - right
    if difference > 0:
        to_right = np.zeros_like(cells)
        np.fill_diagonal(to_right, wrong.sum(axis=1))
        return right + (1 - share) * wrong + share * to_right
    elsewhere = np.zeros_like(cells)
    elsewhere[:, :classes] = (1 - np.eye(classes)) * (np.diagonal(cells) / max(1, classes - 1))[:, None]
    return (1 - share) * right + wrong + share * elsewhere
