"""Decisions in words. Nothing here decides."""

from __future__ import annotations

from collections.abc import Sequence

from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.measurement import Measurement
from finetune_gate.evaluators.statistics import MOST_EXAMPLES

from ..gate_file.rules import Rule, Waiver
from .terms import Check, Circumstances, Outcome, Review, RuleResult


def rule_sentence(rule: Rule, outcome: Outcome, checks: Sequence[Check], measurement: Measurement | None) -> str:
    """The check that decided, in words."""
    check = next((check for check in checks if check.outcome == outcome), None)
    if check is None:
        return f"{rule.metric} was not measured"
    if isinstance(check.measured, Unmeasured):
        return f"{rule.metric} was not measured: {check.measured.reason}"
    estimate = check.measured
    metric = rule.metric + "".join(f" for {column} {value!r}" for column, value in rule.slice.items())
    shown = f"{estimate.value:.4g} [{estimate.interval.low:.4g}, {estimate.interval.high:.4g}]"
    what = metric
    if check.against is not None:
        of_pair = measurement is not None and measurement.subject == "pair"
        what = f"{metric} against the {check.against}" if of_pair else f"{metric} minus the {check.against}'s"
    if rule.confidence == "none":
        shown = f"{estimate.value:.4g} (point estimate)"
    relation = {
        "passed": f"is {check.side} {check.bound:g}",
        "failed": f"is not {check.side} {check.bound:g}",
        "inconclusive": f"may or may not be {check.side} {check.bound:g}",
    }[outcome]
    sentence = f"{what} {relation}: {shown}"
    if check.needed is not None and measurement is not None:
        about = "more than" if check.needed >= MOST_EXAMPLES else "about"
        sentence += f"; {about} {check.needed:,} examples would settle it, there are {measurement.planned:,}"
    return sentence


def verdict_sentence(verdict: str, results: Sequence[RuleResult]) -> str:
    more = f" ({len(results) - 1} more: see the rules)" if len(results) > 1 else ""
    return f"{verdict}: {results[0].sentence}{more}."


def proof_sentence(passed: Sequence[RuleResult], results: Sequence[RuleResult], circumstances: Circumstances) -> str:
    """What a promotion rests on."""
    blocking = [result for result in results if result.rule.severity == "block"]
    waived = len(blocking) - len(passed)
    warned = sum(result.rule.severity == "warn" and result.outcome != "passed" for result in results)
    parts = [f"{len(passed)} of {len(blocking)} blocking rules passed"]
    if waived:
        parts.append(f"{waived} waived")
    if warned:
        parts.append(f"{warned} warning" + ("s" if warned > 1 else ""))
    if circumstances.review is not None:
        parts.append(reviewed(circumstances.review))
    if not circumstances.has_champion:
        parts.append("first model, judged against its base alone")
    return "; ".join(parts)


def reviewed(review: Review) -> str:
    return f"approved by {review.reviewer} in review: {review.reason}"


def waived(waiver: Waiver) -> str:
    return f"waived by {waiver.owner} until {waiver.expires}: {waiver.reason}"


def expired(waiver: Waiver) -> str:
    return f"the waiver of {waiver.owner} expired on {waiver.expires}"


def nothing_by(rule: Rule, unmet: Unmeasured) -> str:
    return f"{rule.metric} decides nothing: {unmet.reason}"
