"""Rules that decide nothing, or make no sense for their metric or their data: found before anything is spent."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from finetune_gate.evaluators.datasets import Dataset
from finetune_gate.evaluators.errors import Problem
from finetune_gate.evaluators.evaluator import Evaluator
from finetune_gate.evaluators.metrics import Metric

from .rules import Rule
from .suggesting import suggestion

Place = Callable[[tuple[str | int, ...]], str]
"""Where in the gate file: its path, the line and the key."""

_ABOUT = {"model": "each model", "pair": "the candidate beside a baseline", "run": "the run as a whole"}


def empty_bounds(rules: Sequence[Rule], metrics: Mapping[str, Metric], place: Place) -> list[Problem]:
    """Bounds that every value of a metric fulfils, or none can: 90 for a share, a margin of two for two points."""
    problems: list[Problem] = []
    for index, rule in enumerate(rules):
        metric = metrics.get(rule.metric)
        if metric is None:
            continue
        key, found = ("margin" if rule.margin else rule.kind), rule.bound
        if expected := _expected(rule, metric):
            where = place(("rules", index, key))
            problems.append(Problem(where, f"{found:g} for {rule.metric}", expected, "as it is, it decides nothing"))
    return problems


def _expected(rule: Rule, metric: Metric) -> str:
    """What the bound should be instead; empty where it is one."""
    low, high, found = metric.low, metric.high, rule.bound
    expected = ""
    if rule.kind == "min":
        if (low is not None and found <= low) or (high is not None and found > high):
            expected = f"above {low:g}" if high is None else f"above {low:g}, up to {high:g}"
        if not metric.higher_is_better:
            expected = "max: lower values of this metric are better"
    elif rule.kind == "max":
        if (high is not None and found >= high) or (low is not None and found < low):
            expected = f"at least {low:g}" if high is None else f"at least {low:g}, below {high:g}"
        if metric.higher_is_better:
            expected = "min: higher values of this metric are better"
    elif rule.kind == "min_relative_change":
        # a baseline is above zero where anything is relative to it, so no value falls by more than all of it
        if metric.higher_is_better and low is not None and low >= 0 and found <= -1:
            expected = "above -1: no value can be worse by more than all of the baseline's"
        if not metric.higher_is_better and low is not None and low >= 0 and found >= 1:
            expected = "below 1: no value can be better by all of the baseline's"
    elif low is not None and high is not None and abs(found) >= high - low:
        expected = f"less than the metric's whole range, {high - low:g}"
    return expected


def wrong_subjects(rules: Sequence[Rule], metrics: Mapping[str, Metric], place: Place) -> list[Problem]:
    """Bounds that make no sense for what a metric is about, and requirements that cannot be looked up."""
    problems: list[Problem] = []
    for index, rule in enumerate(rules):
        metric = metrics.get(rule.metric)
        if metric is None:
            continue
        if rule.of_change and metric.subject != "model":
            given: float = getattr(rule, rule.kind)
            found = f"{given:g} for {rule.metric}, which is about {_ABOUT[metric.subject]}"
            problems.append(Problem(place(("rules", index, rule.kind)), found, "min or max"))
        elif rule.against is not None and not rule.of_change and metric.subject != "pair":
            found = f"{rule.against!r}, and {rule.kind} bounds the candidate's own value"
            expected = "min_change, max_change, min_relative_change, or no against"
            problems.append(Problem(place(("rules", index, "against")), found, expected))
        for name in rule.requires:
            where = place(("rules", index, "requires", name))
            if name not in metrics:
                problems.append(Problem(where, f"unknown metric {name!r}", way_out=suggestion(name, metrics)))
            elif metrics[name].subject == "pair":
                problems.append(Problem(where, f"{name!r} is about pairs of models", "a metric with one value"))
    return problems


def unknown_slices(index: int, rule: Rule, evaluator: Evaluator, data: Mapping[str, Dataset]) -> list[Problem]:
    """Columns and values that no example of the evaluator has."""
    problems: list[Problem] = []
    for column in sorted(rule.columns):
        where = f"rules[{index}].slices" if rule.slices is not None else f"rules[{index}].slice.{column}"
        values = {found for example in evaluator.examples(data) if (found := example.slice_value(column)) is not None}
        wanted = rule.slice.get(column)
        if not values:
            columns = {name for dataset in evaluator.reads() for name in data[dataset].columns}
            problems.append(Problem(where, f"no example has a {column!r}", way_out=suggestion(column, columns)))
        elif wanted is not None and wanted not in values:
            problems.append(Problem(where, f"no example has {wanted!r}", way_out=suggestion(wanted, values)))
    return problems
