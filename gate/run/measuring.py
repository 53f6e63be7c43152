"""From the score table to every measurement of a gate, each made once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from finetune_gate.evaluators.measurement import Measurement, measure
from finetune_gate.evaluators.metrics import Metric
from finetune_gate.evaluators.scores import ScoreTable

from ..deciding import Required
from ..gate_file import Gate
from ..gate_file.rules import Rule


@dataclass(frozen=True, slots=True)
class Measured:
    """Every measurement; for each rule in order, the position of the one that decides it, and what it requires."""

    measurements: tuple[Measurement, ...]
    rests_on: tuple[int, ...]
    required: Mapping[int, tuple[Required, ...]]


def measure_gate(gate: Gate, table: ScoreTable) -> Measured:
    """Every metric over all examples at the usual confidence, then what rules ask beyond that; each once."""
    metrics = {
        f"{title}.{one.name}": one for title, evaluator in gate.evaluators.items() for one in evaluator.metrics()
    }
    usual = [Rule(metric=name, min=0.0) for name in metrics]
    positions: dict[tuple[object, ...], int] = {}
    found: list[Measurement] = []

    def measured_by(rule: Rule) -> tuple[object, ...]:
        coverage = _coverage(rule, metrics[rule.metric])
        return (rule.metric, _confidence(rule), coverage, tuple(sorted(rule.slice.items())))

    for rule in (*usual, *gate.rules):
        key = measured_by(rule)
        if key not in positions:
            positions[key] = len(found)
            found.append(_measure_rule(gate, rule, metrics[rule.metric], table))

    def required(rule: Rule) -> Iterator[Required]:
        title = rule.metric.partition(".")[0]
        for one in metrics[rule.metric].requires:
            name = f"{title}.{one.metric}"
            yield Required(name, one.least, one.otherwise, found[positions[measured_by(Rule(metric=name, min=0.0))]])
        for name, least in rule.requires.items():
            yield Required(name, least, "", found[positions[measured_by(Rule(metric=name, min=0.0))]])

    return Measured(
        tuple(found),
        tuple(positions[measured_by(rule)] for rule in gate.rules),
        {index: tuple(required(rule)) for index, rule in enumerate(gate.rules)},
    )


def _confidence(rule: Rule) -> float:
    return 0.95 if rule.confidence == "none" else rule.confidence


def _coverage(rule: Rule, metric: Metric) -> float:
    return metric.min_coverage if rule.min_coverage is None else rule.min_coverage


def _measure_rule(gate: Gate, rule: Rule, metric: Metric, table: ScoreTable) -> Measurement:
    return measure(
        metric,
        table.of(rule.metric.partition(".")[0]),
        confidence=_confidence(rule),
        min_coverage=_coverage(rule, metric),
        slice_by=rule.slice,
        seed=gate.file.execution.seed,
    )
