"""One rule against its measurement. Every comparison is written so that a missing or odd value falls through to "not
passed": an outcome is ``passed`` only where a finite bound of a finite interval was seen on the good side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import isfinite
from typing import Literal

from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.measurement import Measurement
from finetune_gate.evaluators.statistics import COUNTED, Estimate, required_n

from ..gate_file.rules import Rule
from .terms import Check, Circumstances, Outcome, Required, RuleResult
from .wording import expired, nothing_by, reviewed, rule_sentence, waived

_WORST_FIRST: tuple[Literal["failed", "unmeasured", "inconclusive", "passed"], ...] = (
    "failed",
    "unmeasured",
    "inconclusive",
    "passed",
)


def judge(
    index: int,
    rule: Rule,
    measurement: Measurement | None,
    required: Sequence[Required],
    circumstances: Circumstances,
) -> RuleResult:
    checks = _checks(rule, measurement, circumstances)
    unmet = _unmet(required)
    if unmet is not None:
        checks = tuple(replace(check, measured=unmet, outcome="unmeasured", needed=None) for check in checks)
    outcome: Outcome = "unmeasured"
    for worst in _WORST_FIRST:
        if any(check.outcome == worst for check in checks):
            outcome = worst
            break
    sentence = rule_sentence(rule, outcome, checks, measurement)
    if unmet is not None:
        sentence = nothing_by(rule, unmet)
    if rule.waiver is not None and outcome != "passed":
        waiver = rule.waiver
        if circumstances.today <= waiver.expires:
            return RuleResult(index, rule, "waived", checks, f"{sentence}; {waived(waiver)}")
        sentence = f"{sentence}; {expired(waiver)}"
    review = circumstances.review
    unsettled = rule.severity == "block" and outcome in ("inconclusive", "unmeasured")
    if unsettled and circumstances.review_waives and review is not None and review.verdict == "approve":
        return RuleResult(index, rule, "waived", checks, f"{sentence}; {reviewed(review)}")
    return RuleResult(index, rule, outcome, checks, sentence)


def _unmet(required: Sequence[Required]) -> Unmeasured | None:
    """Why a rule may not rest on its metric, whatever that says. What is required must be seen to be there."""
    for one in required:
        found = one.measurement.candidate
        reason = one.otherwise or "which this rule requires"
        if isinstance(found, Unmeasured):
            return Unmeasured(
                f"{one.metric} of at least {one.least:g} is required, and was not measured: {found.reason}"
            )
        if not found.value >= one.least:
            return Unmeasured(f"{one.metric} is {found.value:.3g}, not at least {one.least:g}: {reason}")
    return None


def _checks(rule: Rule, measurement: Measurement | None, circumstances: Circumstances) -> tuple[Check, ...]:
    if measurement is None:
        return (Check(None, 0.0, "at least", Unmeasured(f"no evaluator measured {rule.metric}"), "unmeasured"),)
    if measurement.subject != "pair":
        if rule.min is not None:
            return (_check(rule, None, rule.min, "at least", measurement.candidate, measurement.planned),)
        if rule.max is not None:
            return (_check(rule, None, rule.max, "at most", measurement.candidate, measurement.planned),)
    least = (rule.min_change or 0.0) - (rule.margin or 0.0)
    if rule.against is not None:
        wanted = [rule.against]
    else:
        wanted = ["base", "champion"] if circumstances.has_champion else ["base"]
    checks: list[Check] = []
    for baseline in wanted:
        comparison = measurement.comparisons.get(baseline)
        if comparison is None:
            absent = "there is no champion yet" if baseline == "champion" else f"no {baseline} was measured"
            difference: Estimate | Unmeasured = Unmeasured(absent)
        else:
            difference = comparison.difference
        if rule.min is not None:
            checks.append(_check(rule, baseline, rule.min, "at least", difference, measurement.planned))
        elif rule.max is not None:
            checks.append(_check(rule, baseline, rule.max, "at most", difference, measurement.planned))
        elif measurement.higher_is_better:
            checks.append(_check(rule, baseline, least, "at least", difference, measurement.planned))
        else:
            checks.append(_check(rule, baseline, -least, "at most", difference, measurement.planned))
    return tuple(checks)


def _check(
    rule: Rule,
    against: str | None,
    bound: float,
    side: Literal["at least", "at most"],
    measured: Estimate | Unmeasured,
    planned: int,
) -> Check:
    if isinstance(measured, Unmeasured):
        return Check(against, bound, side, measured, "unmeasured")
    if rule.confidence == "none":
        low = high = measured.value
    else:
        low, high = measured.interval.low, measured.interval.high
    if not (isfinite(low) and isfinite(high) and low <= high and isfinite(bound)):
        return Check(against, bound, side, Unmeasured("the measurement is no finite interval"), "unmeasured")
    if low == high and rule.confidence != "none" and measured.method != COUNTED:
        reason = "its interval has no width: the examples do not differ, so nothing is known of others"
        return Check(against, bound, side, Unmeasured(reason), "unmeasured")
    if (side == "at least" and low >= bound) or (side == "at most" and high <= bound):
        return Check(against, bound, side, measured, "passed")
    if (side == "at least" and high < bound) or (side == "at most" and low > bound):
        return Check(against, bound, side, measured, "failed")
    needed = None if rule.confidence == "none" else required_n(measured, bound)
    return Check(against, bound, side, measured, "inconclusive", needed if needed and needed > planned else None)
