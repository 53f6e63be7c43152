"""Which score of an example says whose answer was better, where an evaluator has many."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import cast

from pydantic import ValidationError

from finetune_gate.evaluators.absent import Unmeasured, Value
from finetune_gate.evaluators.catalog import BUILT_IN, evaluator_class
from finetune_gate.evaluators.estimators import LengthControlled, Mean, Part, PartDifference, Ratio
from finetune_gate.evaluators.evaluator import Evaluator
from finetune_gate.evaluators.metrics import Estimator

from ..record import DecisionRecord, EvaluatorRecord, MeasurementRecord


@dataclass(frozen=True, slots=True)
class Chief:
    """``metric`` and the components that it is made of, one score for each example. ``pair``: the candidate's score
    against a baseline stands in that baseline's column, from 1 for won to 0 for lost."""

    metric: str
    component: str
    divisor: str | None
    higher_is_better: bool
    pair: bool

    @property
    def name(self) -> str:
        """What one example's score is called."""
        return self.component if self.divisor is None else f"{self.component} / {self.divisor}"

    def scores(self, components: Mapping[str, tuple[Value, ...]]) -> tuple[Value, ...]:
        """One role's, in the order of its examples."""
        values = components[self.component]
        if self.divisor is None:
            return values
        return tuple(map(_share, values, components[self.divisor]))


def chief_of(record: DecisionRecord, evaluator: EvaluatorRecord, components: Collection[str]) -> Chief | None:
    """The first metric that can be told of a single example: those of rules first, then the record's others. None
    where there is no such metric, or where ``components``, those of the score table, lack what it is made of.

    Components of evaluators that are not built in are found by the metric's name alone: nothing that a record names is
    imported for drawing it.
    """
    made_of = _made_of(evaluator)
    for measurement in _measurements(record, evaluator.title):
        name = measurement.metric.partition(".")[2]
        component, divisor = made_of.get(name, (name, None))
        if component in components and (divisor is None or divisor in components) and measurement.subject != "run":
            return Chief(name, component, divisor, measurement.higher_is_better, measurement.subject == "pair")
    return None


def _measurements(record: DecisionRecord, title: str) -> Iterator[MeasurementRecord]:
    ruled = (record.measurements[rule.measurement] for rule in record.rules if rule.measurement is not None)
    for measurement in (*ruled, *record.measurements):
        if measurement.metric.partition(".")[0] == title:
            yield measurement


def _made_of(evaluator: EvaluatorRecord) -> Mapping[str, tuple[str, str | None]]:
    if evaluator.kind not in BUILT_IN:
        return {}
    try:
        built: object = evaluator_class(evaluator.kind).model_validate(evaluator.settings)
    except ValidationError:  # settings of another version of this program
        return {}
    found = {metric.name: _read_by(metric.estimator) for metric in cast("Evaluator", built).metrics()}
    return {name: pair for name, pair in found.items() if pair is not None}


def _read_by(estimator: Estimator) -> tuple[str, str | None] | None:
    match estimator:
        case Mean(component=component) | LengthControlled(score=component):
            return component, None
        case Ratio(numerator=numerator, denominator=denominator):
            return numerator, denominator
        case Part(of=part) | PartDifference(of=part):
            return _read_by(part)
        case _:  # of all examples together, such as an F1 score
            return None


def _share(value: Value, divisor: Value) -> Value:
    if isinstance(value, Unmeasured):
        return value
    if isinstance(divisor, Unmeasured):
        return divisor
    return value / divisor if divisor else Unmeasured("nothing to divide by")
