"""FineTuneBench as its table is read: one line of intervals for every kind of question."""

from __future__ import annotations

from ...record import DecisionRecord, EvaluatorRecord
from .drawing import Axis, Picture
from .intervals import Group, interval_picture, of_roles

_KINDS = frozenset({"finetunebench"})


def task_pictures(evaluator: EvaluatorRecord, record: DecisionRecord) -> tuple[Picture, ...]:
    if evaluator.kind not in _KINDS:
        return ()
    groups = [
        Group(
            f"{one.metric.partition('.')[2].replace('_', ' ')}, {one.planned:,} questions",
            of_roles(
                (("candidate", one.candidate), *((role, pair.baseline) for role, pair in one.comparisons.items()))
            ),
        )
        for one in record.measurements
        if one.metric.partition(".")[0] == evaluator.title and not one.slice
    ]
    found = interval_picture(
        "Right answers by kind of question",
        "The dot is the share of right answers, the bar its interval; outdated answers are better further left.",
        groups,
        axis=Axis(-0.02, 1.02),
    )
    return () if found is None else (found,)
