"""Metrics on parts of the data: what the record measured on values of a column, model by model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...record import CheckRecord, DecisionRecord, EstimateRecord, MeasurementRecord, RuleRecord
from ..checks import is_change, is_relative, of_slices, slice_name, worst_first, written_checks
from .drawing import BASELINES, Picture
from .intervals import Bar, Group, interval_picture, of_roles

MOST_SLICES = 12
"""Values of a column in one picture: of measurements those with most examples, of rules those that tell most."""


def slice_pictures(record: DecisionRecord) -> tuple[Picture, ...]:
    found = [*_of_measurements(record), *_of_rules(record)]
    return tuple(picture for picture in found if picture is not None)


def _of_measurements(record: DecisionRecord) -> Iterator[Picture | None]:
    on_all = {one.metric: one for one in record.measurements if not one.slice}
    by: dict[tuple[str, tuple[str, ...]], list[MeasurementRecord]] = {}
    for one in record.measurements:
        if one.slice:
            by.setdefault((one.metric, tuple(one.slice)), []).append(one)
    for (metric, columns), sliced in by.items():
        largest = sorted(sliced, key=lambda one: -one.planned)[:MOST_SLICES]
        groups = [Group(f"{slice_name(one.slice)}, {one.planned:,} examples", _bars(one)) for one in largest]
        if metric in on_all:
            groups.append(Group(f"all {on_all[metric].planned:,} examples", _bars(on_all[metric])))
        better = "right" if sliced[0].higher_is_better else "left"
        yield interval_picture(
            f"{metric} by {', '.join(columns)}{_left_out(sliced)}",
            f"The dot is the value, the bar its interval; further {better} is better.",
            groups,
            unit=sliced[0].unit,
        )


def _bars(one: MeasurementRecord) -> tuple[Bar, ...]:
    if one.subject == "pair":
        pairs = ((role, pair.difference) for role, pair in one.comparisons.items() if role in BASELINES)
        return tuple(Bar(f"against {role}", measured, role) for role, measured in pairs)
    baselines = ((role, pair.baseline) for role, pair in one.comparisons.items())
    return of_roles((("candidate", one.candidate), *baselines))


def _of_rules(record: DecisionRecord) -> Iterator[Picture | None]:
    for rule in record.rules:
        if not of_slices(rule):
            continue
        checks = [check for check in written_checks(rule) if check.slice]
        by_value: dict[str, list[CheckRecord]] = {}
        for check in worst_first(checks):
            by_value.setdefault(slice_name(check.slice), []).append(check)
        groups = [
            Group(
                f"{name}: {some[0].outcome}", tuple(_bar(rule, check) for check in some), some[0].bound, _bound(some[0])
            )
            for name, some in list(by_value.items())[:MOST_SLICES]
        ]
        yield interval_picture(
            f"Rule {rule.index + 1}: {rule.metric} by {rule.settings['slices']}{_left_out(list(by_value))}",
            "The dot is the value, the bar its interval, the upright line the rule's bound.",
            groups,
            unit="%" if is_relative(rule) else "",
        )


def _bar(rule: RuleRecord, check: CheckRecord) -> Bar:
    if check.against is None:
        return Bar("candidate", check.measured, "candidate")
    said = "minus" if is_change(rule) else "against"
    return Bar(f"{said} {check.against}", check.measured, check.against if check.against in BASELINES else "run")


def _bound(check: CheckRecord) -> str:
    several = "" if not isinstance(check.measured, EstimateRecord) else f", {check.measured.n:,} examples"
    return f"{check.side} {check.bound:g}{several}"


def _left_out(values: Sequence[object]) -> str:
    return f", {MOST_SLICES} of {len(values)} values" if len(values) > MOST_SLICES else ""
