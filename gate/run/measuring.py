"""From the score table to every measurement of a gate, each made once."""

from __future__ import annotations

from finetune_gate.evaluators.measurement import Measurement, measure
from finetune_gate.evaluators.scores import ScoreTable

from ..gate_file import Gate
from ..gate_file.rules import Rule


def measure_gate(gate: Gate, table: ScoreTable) -> tuple[tuple[Measurement, ...], tuple[int, ...]]:
    """Every metric over all examples at the usual confidence, then what rules ask beyond that; each once.

    Also, for each rule in order, the position of the measurement it is decided by.
    """
    usual = [
        Rule(metric=f"{title}.{metric.name}", min=0.0)
        for title, evaluator in gate.evaluators.items()
        for metric in evaluator.metrics()
    ]
    positions: dict[tuple[object, ...], int] = {}
    found: list[Measurement] = []
    for rule in (*usual, *gate.rules):
        key = _measured_by(rule)
        if key not in positions:
            positions[key] = len(found)
            found.append(_measure_rule(gate, rule, table))
    return tuple(found), tuple(positions[_measured_by(rule)] for rule in gate.rules)


def _confidence(rule: Rule) -> float:
    return 0.95 if rule.confidence == "none" else rule.confidence


def _measured_by(rule: Rule) -> tuple[object, ...]:
    return (rule.metric, _confidence(rule), rule.min_coverage, tuple(sorted(rule.slice.items())))


def _measure_rule(gate: Gate, rule: Rule, table: ScoreTable) -> Measurement:
    title, _, name = rule.metric.partition(".")
    metric = next(metric for metric in gate.evaluators[title].metrics() if metric.name == name)
    return measure(
        metric,
        table.of(title),
        confidence=_confidence(rule),
        min_coverage=rule.min_coverage,
        slice_by=rule.slice,
        seed=gate.file.execution.seed,
    )
