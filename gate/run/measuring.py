"""From the score table to every measurement of a gate, each made once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace

from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.measurement import Comparison, Measurement, concerned, measure
from finetune_gate.evaluators.metrics import Metric
from finetune_gate.evaluators.scores import ScoreTable

from ..deciding import MeasuredSlice, Required, Sliced, SlicedMeasurement, open_step
from ..gate_file import Gate
from ..gate_file.rules import Rule
from .looks import Levels


@dataclass(frozen=True, slots=True)
class Measured:
    """Every measurement; for each rule in order, the position of the one that decides it, and what it requires."""

    measurements: tuple[Measurement, ...]
    rests_on: tuple[int, ...]
    required: Mapping[int, tuple[Required, ...]]


def measure_gate(gate: Gate, table: ScoreTable, levels: Levels | None = None) -> Measured:
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

    def position(rule: Rule) -> int:
        key = measured_by(rule)
        if key not in positions:
            positions[key] = len(found)
            found.append(_measure_rule(gate, rule, metrics[rule.metric], table))
        return positions[key]

    for rule in (*usual, *gate.rules):
        position(rule)
    for rule in gate.rules:
        if rule.slices is not None:
            whole = levels is None or levels.last
            values = _values(rule, metrics[rule.metric], table, whole)
            own = {value: found[position(rule.on(value))] for value in values.judged}
            sliced = _sliced(gate, rule, metrics[rule.metric], table, values, own)
            found[position(rule)] = _with_slices(found[position(rule)], sliced)

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


def _confidence(rule: Rule, comparisons: int = 1) -> float:
    """The level of a rule's interval; of one of many ``comparisons`` together, what Holm's step allows for so many."""
    confidence = 0.95 if rule.confidence == "none" else rule.confidence
    return confidence if comparisons == 1 else 1 - (1 - confidence) / comparisons


def _coverage(rule: Rule, metric: Metric) -> float:
    return metric.min_coverage if rule.min_coverage is None else rule.min_coverage


def _measure_rule(gate: Gate, rule: Rule, metric: Metric, table: ScoreTable, comparisons: int = 1) -> Measurement:
    return measure(
        metric,
        table.of(rule.metric.partition(".")[0]),
        confidence=_confidence(rule, comparisons),
        min_coverage=_coverage(rule, metric),
        slice_by=rule.slice,
        seed=gate.file.execution.seed,
    )


@dataclass(frozen=True, slots=True)
class _Values:
    """What occurs in the column of a rule's ``slices``: values to judge, those with too few examples and how many each
    has, and how many examples have none. ``early``: judged values that have too few examples so far."""

    judged: tuple[str, ...]
    few: Mapping[str, int]
    without: int
    early: Mapping[str, int]


def _values(rule: Rule, metric: Metric, table: ScoreTable, whole: bool) -> _Values:
    """Before the ``whole`` of the examples is there, nobody knows which values will have too few."""
    scores = table.of(rule.metric.partition(".")[0])
    column = rule.slices or ""
    found = [scores.examples[at].slices.get(column) for at in concerned(metric, scores)]
    counts = Counter(value for value in found if value is not None)
    few = {value: count for value, count in sorted(counts.items()) if count < rule.least_n}
    judged = tuple(value for value in sorted(counts) if value not in few or not whole)
    return _Values(judged, few if whole else {}, found.count(None), {} if whole else few)


def _sliced(
    gate: Gate, rule: Rule, metric: Metric, table: ScoreTable, values: _Values, own: Mapping[str, Measurement]
) -> Sliced:
    """With the stricter measurements of what fails by itself, as far as Holm's steps ask for them."""
    has_champion = "champion" in table.of(rule.metric.partition(".")[0]).columns
    stricter: dict[str, dict[int, Measurement]] = {value: {} for value in own}
    while True:
        slices = tuple(
            MeasuredSlice(value, _too_early(found, values.early[value], rule.least_n), {})
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
            stricter[value][comparisons] = _measure_rule(gate, rule.on(value), metric, table, comparisons)


def _too_early(measurement: Measurement, count: int, least: int) -> Measurement:
    reason = Unmeasured(f"{count} examples of at least {least} have been seen so far")
    return replace(
        measurement,
        candidate=reason,
        comparisons={role: Comparison(reason, reason) for role in measurement.comparisons},
    )


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
