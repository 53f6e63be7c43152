"""From the score table to every measurement of a gate, each made once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Final

from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.measurement import Comparison, Measurement, concerned, measure
from finetune_gate.evaluators.metrics import Metric
from finetune_gate.evaluators.scores import ScoreTable
from finetune_gate.evaluators.statistics import Estimate

from ..deciding import MeasuredSlice, Required, Sliced, SlicedMeasurement, open_step
from ..gate_file import Gate
from ..gate_file.rules import Rule
from .looks import Levels

LEAST_RESAMPLED: Final = 0.005
"""A tail of fewer than 50 of 10,000 resamples is mostly luck."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Every measurement; for each rule in order, the position of the one that decides it, and what it requires."""

    measurements: tuple[Measurement, ...]
    rests_on: tuple[int, ...]
    required: Mapping[int, tuple[Required, ...]]


def measure_gate(gate: Gate, table: ScoreTable, levels: Levels | None = None) -> Measured:
    """Every metric over all examples at the usual confidence, then what rules ask beyond that; each once. ``levels``:
    those of a look at some of the examples; rules are judged at them."""
    metrics = {
        f"{title}.{one.name}": one for title, evaluator in gate.evaluators.items() for one in evaluator.metrics()
    }
    usual = [Rule(metric=name, min=0.0) for name in metrics]
    positions: dict[tuple[object, ...], int] = {}
    found: list[Measurement] = []

    def position(rule: Rule, at: Levels | None) -> int:
        metric = metrics[rule.metric]
        key = (rule.metric, _confidence(rule, at), _coverage(rule, metric), tuple(sorted(rule.slice.items())))
        if key not in positions:
            positions[key] = len(found)
            found.append(_measure_rule(gate, rule, metric, table, at))
        return positions[key]

    for rule in usual:
        position(rule, None)
    for rule in gate.rules:
        position(rule, levels)
    for rule in gate.rules:
        if rule.slices is not None:
            values = _values(rule, metrics[rule.metric], table, levels)
            own = {value: found[position(rule.on(value), levels)] for value in values.judged}
            sliced = _sliced(gate, rule, metrics[rule.metric], table, values, own, levels)
            at = position(rule, levels)
            found[at] = _with_slices(found[at], sliced)

    def required(rule: Rule) -> Iterator[Required]:
        title = rule.metric.partition(".")[0]
        for one in metrics[rule.metric].requires:
            name = f"{title}.{one.metric}"
            yield Required(name, one.least, one.otherwise, found[position(Rule(metric=name, min=0.0), None)])
        for name, least in rule.requires.items():
            yield Required(name, least, "", found[position(Rule(metric=name, min=0.0), None)])

    return Measured(
        tuple(found),
        tuple(position(rule, levels) for rule in gate.rules),
        {index: tuple(required(rule)) for index, rule in enumerate(gate.rules)},
    )


def _confidence(rule: Rule, levels: Levels | None, comparisons: int = 1) -> float | None:
    """The level of a rule's interval; of one of many ``comparisons`` together, what Holm's step allows for so many.
    None where a look is too early to decide it."""
    confidence = 0.95 if rule.confidence == "none" else rule.confidence
    if comparisons > 1:
        confidence = 1 - (1 - confidence) / comparisons
    if levels is None or rule.confidence == "none":
        return confidence
    return levels.confidence(rule.metric.partition(".")[0], rule.slice, confidence)


def _coverage(rule: Rule, metric: Metric) -> float:
    return metric.min_coverage if rule.min_coverage is None else rule.min_coverage


def _measure_rule(
    gate: Gate, rule: Rule, metric: Metric, table: ScoreTable, levels: Levels | None, comparisons: int = 1
) -> Measurement:
    confidence = _confidence(rule, levels, comparisons)
    found = measure(
        metric,
        table.of(rule.metric.partition(".")[0]),
        confidence=0.95 if confidence is None else confidence,
        min_coverage=_coverage(rule, metric),
        slice_by=rule.slice,
        seed=gate.file.execution.seed,
    )
    if confidence is None:
        return _unmeasured(found, "this look is too early to decide it")
    if levels is not None and not levels.last and 1 - confidence < LEAST_RESAMPLED and _resampled(found):
        return _unmeasured(found, "this look is too early for an interval that rests on resampling")
    return found


def _resampled(measurement: Measurement) -> bool:
    parts = [measurement.candidate, *(one.difference for one in measurement.comparisons.values())]
    return any(isinstance(part, Estimate) and part.method.startswith("BCa") for part in parts)


@dataclass(frozen=True, slots=True)
class _Values:
    """What occurs in the column of a rule's ``slices``: values to judge, those with too few examples and how many each
    has, and how many examples have none. ``early``: judged values that have too few examples so far."""

    judged: tuple[str, ...]
    few: Mapping[str, int]
    without: int
    early: Mapping[str, int]


def _values(rule: Rule, metric: Metric, table: ScoreTable, levels: Levels | None) -> _Values:
    """At a look before the last, a value that has too few examples, or none, may have enough in the end."""
    title = rule.metric.partition(".")[0]
    scores, column = table.of(title), rule.slices or ""
    found = [scores.examples[at].slices.get(column) for at in concerned(metric, scores)]
    early = levels is not None and not levels.last
    planned = _planned_values(levels, title, column) if levels is not None and early else ()
    counts = {**dict.fromkeys(planned, 0), **Counter(value for value in found if value is not None)}
    few = {value: count for value, count in sorted(counts.items()) if count < rule.least_n}
    judged = tuple(value for value in sorted(counts) if early or value not in few)
    return _Values(judged, {} if early else few, found.count(None), few if early else {})


def _planned_values(levels: Levels, title: str, column: str) -> Iterator[str]:
    """Those that a later look will show, as far as the plan of looks tells them."""
    for evaluator, slice_by in levels.units:
        if evaluator == title and len(slice_by) == 1 and slice_by[0][0] == column:
            yield slice_by[0][1]


def _sliced(
    gate: Gate,
    rule: Rule,
    metric: Metric,
    table: ScoreTable,
    values: _Values,
    own: Mapping[str, Measurement],
    levels: Levels | None,
) -> Sliced:
    """With the stricter measurements of what fails by itself, as far as Holm's steps ask for them."""
    has_champion = "champion" in table.of(rule.metric.partition(".")[0]).columns
    stricter: dict[str, dict[int, Measurement]] = {value: {} for value in own}
    while True:
        slices = tuple(
            MeasuredSlice(value, _unmeasured(found, _too_few(values.early[value], rule)), {})
            if value in values.early
            else MeasuredSlice(value, found, stricter[value])
            for value, found in own.items()
        )
        sliced = Sliced(rule.slices or "", rule.least_n, slices, values.few, values.without)
        step = open_step(rule, sliced, has_champion)
        if step is None:
            return sliced
        comparisons, lacking = step
        for value in lacking:
            stricter[value][comparisons] = _measure_rule(gate, rule.on(value), metric, table, levels, comparisons)


def _too_few(count: int, rule: Rule) -> str:
    return f"{count} examples of at least {rule.least_n} have been seen so far"


def _unmeasured(measurement: Measurement, reason: str) -> Measurement:
    absent = Unmeasured(reason)
    comparisons = {role: Comparison(absent, absent) for role in measurement.comparisons}
    return replace(measurement, candidate=absent, comparisons=comparisons)


def _with_slices(measurement: Measurement, sliced: Sliced) -> SlicedMeasurement:
    """``measurement`` with one more column, or with more of a column that another rule has brought."""
    if not isinstance(measurement, SlicedMeasurement):
        parts = {one.name: getattr(measurement, one.name) for one in fields(measurement)}
        return SlicedMeasurement(**parts, sliced=(sliced,))
    others: list[Sliced] = []
    for one in measurement.sliced:
        if (one.column, one.least) != (sliced.column, sliced.least):
            others.append(one)
            continue
        merged = (
            replace(ours, stricter={**theirs.stricter, **ours.stricter})
            for ours, theirs in zip(sliced.slices, one.slices, strict=True)
        )
        sliced = replace(sliced, slices=tuple(merged))
    return replace(measurement, sliced=(*others, sliced))
