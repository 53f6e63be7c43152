"""A measurement against the bound of a rule. Every comparison is written so that a missing or odd value falls through
to "not passed": an outcome is ``passed`` only where a finite bound of a finite interval was seen on the good side.
"""

from __future__ import annotations

from math import isfinite
from typing import Literal

from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.measurement import Comparison, Measured, Measurement
from finetune_gate.evaluators.statistics import COUNTED, Estimate, relative_change, required_n

from ..gate_file.rules import Rule
from .terms import Check

Side = Literal["at least", "at most"]


def checks_of(rule: Rule, measurement: Measurement | None, has_champion: bool) -> tuple[Check, ...]:
    """One for the candidate's own value, or one for each baseline that the rule names."""
    if measurement is None:
        return (not_measured(f"no evaluator measured {rule.metric}"),)
    bound, side = _bound(rule, measurement)
    if not rule.of_change and measurement.subject != "pair":
        return (_check(rule, None, bound, side, measurement.candidate, measurement.planned),)
    wanted = (rule.against,) if rule.against is not None else ("base", "champion") if has_champion else ("base",)
    return tuple(
        _check(rule, baseline, bound, side, _beside(rule, measurement, baseline), measurement.planned)
        for baseline in wanted
    )


def not_measured(reason: str) -> Check:
    return Check(None, 0.0, "at least", Unmeasured(reason), "unmeasured")


def oddness(estimate: Estimate) -> str | None:
    """What makes this no evidence, though it has the form of an estimate; None where nothing does."""
    value, low, high = estimate.value, estimate.interval.low, estimate.interval.high
    if not (_is_number(value) and _is_number(low) and _is_number(high)):
        return "the measurement is no finite interval"
    if not low <= value <= high:
        return "the measured value lies outside of its own interval"
    error = estimate.standard_error
    if not (error is None or (_is_number(error) and error >= 0)):
        return "its standard error is no number"
    least = 1 if estimate.method == COUNTED else 2
    if not (estimate.n >= least and estimate.clusters >= least):
        return f"it rests on {estimate.n} examples in {estimate.clusters} clusters, and needs at least {least}"
    return None


def _is_number(found: object) -> bool:
    return isinstance(found, (int, float)) and not isinstance(found, bool) and isfinite(found)


def _bound(rule: Rule, measurement: Measurement) -> tuple[float, Side]:
    """In the unit and direction of what is measured. An improvement of a metric of which less is better is a fall."""
    upward = rule.kind not in ("max", "max_change")
    if rule.of_change and not measurement.higher_is_better:
        return -rule.bound, "at most" if upward else "at least"
    return rule.bound, "at least" if upward else "at most"


def _beside(rule: Rule, measurement: Measurement, baseline: str) -> Measured:
    comparison = measurement.comparisons.get(baseline)
    if comparison is None:
        return Unmeasured("there is no champion yet" if baseline == "champion" else f"no {baseline} was measured")
    if rule.of_change and measurement.subject == "pair":
        return Unmeasured(f"{rule.metric} is about the candidate beside a baseline: it has no change over one")
    return _relative(measurement, comparison) if rule.kind == "min_relative_change" else comparison.difference


def _relative(measurement: Measurement, comparison: Comparison) -> Measured:
    difference, ours, theirs = comparison.difference, measurement.candidate, comparison.baseline
    if isinstance(difference, Unmeasured):
        return difference
    if isinstance(ours, Unmeasured):
        return ours
    if isinstance(theirs, Unmeasured):
        return theirs
    if (odd := oddness(difference) or oddness(ours) or oddness(theirs)) is not None:
        return Unmeasured(odd)
    if not 0.5 < measurement.confidence < 1:
        return Unmeasured(f"it was measured at a confidence of {measurement.confidence:g}, which is none")
    return relative_change(ours, theirs, difference, measurement.confidence)


def _check(
    rule: Rule,
    against: str | None,
    bound: float,
    side: Side,
    measured: Estimate | Unmeasured,
    planned: int,
) -> Check:
    if isinstance(measured, Unmeasured):
        return Check(against, bound, side, measured, "unmeasured")
    if (odd := oddness(measured)) is not None:
        return Check(against, bound, side, Unmeasured(odd), "unmeasured")
    if not isfinite(bound):
        return Check(against, 0.0, side, Unmeasured("the rule's bound is not finite"), "unmeasured")
    if rule.confidence == "none":
        low = high = measured.value
    else:
        low, high = measured.interval.low, measured.interval.high
    if low == high and rule.confidence != "none" and measured.method != COUNTED:
        reason = "its interval has no width: the examples do not differ, so nothing is known of others"
        return Check(against, bound, side, Unmeasured(reason), "unmeasured")
    if (side == "at least" and low >= bound) or (side == "at most" and high <= bound):
        return Check(against, bound, side, measured, "passed")
    if (side == "at least" and high < bound) or (side == "at most" and low > bound):
        return Check(against, bound, side, measured, "failed")
    needed = _needed(measured, bound)
    return Check(against, bound, side, measured, "inconclusive", needed if needed and needed > planned else None)


def _needed(estimate: Estimate, bound: float) -> int | None:
    """None also where numbers are so large that their differences are not finite."""
    distances = (estimate.interval.width, estimate.value - bound, estimate.standard_error or 0.0)
    return required_n(estimate, bound) if all(map(isfinite, distances)) else None
