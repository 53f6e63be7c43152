"""One rule: its checks, what it requires, and who answers for it where it does not pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.measurement import Measurement

from ..gate_file.rules import Rule
from .by_slice import slice_checks, slices_for
from .comparing import checks_of, not_measured, oddness
from .terms import Check, Circumstances, Outcome, Required, RuleResult, Sliced
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
    sliced = slices_for(rule, measurement)
    checks = _checks(rule, measurement, sliced, circumstances.has_champion)
    unmet = _unmet(required)
    if unmet is not None:
        checks = tuple(replace(check, measured=unmet, outcome="unmeasured", needed=None) for check in checks)
    outcome: Outcome = "unmeasured"
    for worst in _WORST_FIRST:
        if any(check.outcome == worst for check in checks):
            outcome = worst
            break
    sentence = rule_sentence(rule, outcome, checks, measurement, sliced)
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
        if (odd := oddness(found)) is not None:
            return Unmeasured(f"{one.metric} of at least {one.least:g} is required, and was not measured: {odd}")
        if not found.value >= one.least:
            return Unmeasured(f"{one.metric} is {found.value:.3g}, not at least {one.least:g}: {reason}")
    return None


def _checks(
    rule: Rule, measurement: Measurement | None, sliced: Sliced | None, has_champion: bool
) -> tuple[Check, ...]:
    if rule.slices is None or measurement is None:
        return checks_of(rule, measurement, has_champion)
    if sliced is None:
        return (not_measured(f"it was not measured on each value of {rule.slices!r}"),)
    return slice_checks(rule, sliced, has_champion)
