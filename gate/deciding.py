"""Decide: measurements and rules in, decision out. Pure and total: no I/O, no clock, no registry, no exception.

Promotion needs positive proof. Every comparison below is written so that a missing or odd value falls through to
"not passed": an outcome is ``passed`` only where a finite bound of a finite interval was seen on the good side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from math import isfinite
from typing import Literal

from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.measurement import Measurement
from finetune_gate.evaluators.statistics import COUNTED, MOST_EXAMPLES, Estimate, required_n

from .gate_file.rules import Rule, Severity

Verdict = Literal["promote", "block", "hold"]
"""What the gate decides.

promote   every blocking rule passed, at least one of them by measurement
block     a blocking rule failed
hold      neither: something is inconclusive or unmeasured, there is nothing to promote, or nobody has approved yet
"""

Outcome = Literal["passed", "failed", "inconclusive", "unmeasured", "waived"]
"""Of one rule.

passed        the whole interval lies on the good side of the bound
failed        the whole interval lies on the bad side
inconclusive  the bound lies inside the interval
unmeasured    there is no number to compare, and a reason why
waived        it did not pass, and somebody answers for that until a date
"""

_WORST_FIRST: tuple[Literal["failed", "unmeasured", "inconclusive", "passed"], ...] = (
    "failed",
    "unmeasured",
    "inconclusive",
    "passed",
)


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison of one rule. ``against`` is None where the candidate's own value is bounded, else the baseline
    that it is compared with, or beside which it was measured.

    ``bound`` is in the unit of the measured value or difference; ``side`` says on which side of it good values lie.
    ``needed`` is about how many examples would settle an inconclusive check, None where that cannot be said.
    """

    against: str | None
    bound: float
    side: Literal["at least", "at most"]
    measured: Estimate | Unmeasured
    outcome: Outcome
    needed: int | None = None


@dataclass(frozen=True, slots=True)
class RuleResult:
    """A rule with its outcome; ``sentence`` says it in words."""

    index: int
    rule: Rule
    outcome: Outcome
    checks: tuple[Check, ...]
    sentence: str

    @property
    def severity(self) -> Severity:
        return self.rule.severity


@dataclass(frozen=True, slots=True)
class Required:
    """What a rule requires of another metric: ``least``, compared with the point value of ``measurement``.
    ``otherwise`` says what is wrong where it is less."""

    metric: str
    least: float
    otherwise: str
    measurement: Measurement


@dataclass(frozen=True, slots=True)
class Review:
    """What a person said of a decision to hold. ``approve`` is the approval where one is required, and where a review
    waives, it answers for every rule that is not settled, as a waiver does; rules that failed stay failed. ``block``
    blocks. There is no default."""

    verdict: Literal["approve", "block"]
    reviewer: str
    reason: str


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a decision must know besides measurements.

    ``identical`` names baselines whose files are the candidate's own. ``has_champion`` is False for a first model.
    ``today`` is the day on which waivers are judged, pinned when the run started. ``champion_moved`` says where the
    champion alias was found just before promotion, if that was no longer where it pointed when the run began;
    ``files_changed`` how the candidate's files then differed from those that were judged, if they did.
    ``review`` is a person's, where one was asked for and given; ``review_waives``: an approval answers for rules that
    are not settled. ``approval_required``: what would be promoted is held until a person approves it.
    """

    has_champion: bool
    identical: tuple[str, ...]
    today: date
    champion_moved: str | None = None
    files_changed: str | None = None
    review: Review | None = None
    review_waives: bool = False
    approval_required: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """``verdict`` with one sentence for people, and every rule's result in the order of the gate file.
    ``awaits_approval``: it is held for nothing but the approval that is required."""

    verdict: Verdict
    sentence: str
    results: tuple[RuleResult, ...]
    awaits_approval: bool = False


def decide(
    rules: Sequence[Rule],
    measurements: Mapping[int, Measurement],
    circumstances: Circumstances,
    required: Mapping[int, Sequence[Required]] | None = None,
) -> Decision:
    """``measurements[i]`` belongs to ``rules[i]``, and so does what it requires; a rule without one is unmeasured."""
    needs = required or {}
    results = tuple(
        _judge(index, rule, measurements.get(index), needs.get(index, ()), circumstances)
        for index, rule in enumerate(rules)
    )
    review = circumstances.review
    blocking = [result for result in results if result.rule.severity == "block"]
    failed = [result for result in blocking if result.outcome == "failed"]
    if failed:
        return Decision("block", _sentence("Block", failed), results)
    if review is not None and review.verdict == "block":
        return Decision("block", f"Block: {review.reviewer} decided so in review: {review.reason}.", results)
    if circumstances.identical:
        names = " and ".join(circumstances.identical)
        return Decision("hold", f"Hold: the candidate's files are identical to the {names}'s.", results)
    unsettled = [result for result in blocking if result.outcome not in ("passed", "waived")]
    if unsettled:
        return Decision("hold", _sentence("Hold", unsettled), results)
    passed = [result for result in blocking if result.outcome == "passed"]
    if not passed:
        return Decision("hold", "Hold: no blocking rule passed by measurement.", results)
    if circumstances.files_changed is not None:
        way_out = "see who writes there, and gate it again"
        sentence = f"Hold: every blocking rule passed, but meanwhile {circumstances.files_changed}; {way_out}."
        return Decision("hold", sentence, results)
    if circumstances.champion_moved is not None:
        sentence = f"Hold: every blocking rule passed, but meanwhile {circumstances.champion_moved}; gate it again."
        return Decision("hold", sentence, results)
    proof = _proof(passed, results, circumstances)
    if circumstances.approval_required and (review is None or review.verdict != "approve"):
        sentence = f"Hold: {proof}; promotion waits for a person's approval."
        return Decision("hold", sentence, results, awaits_approval=True)
    return Decision("promote", f"Promote: {proof}.", results)


def _judge(
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
    sentence = _rule_sentence(rule, outcome, checks, measurement)
    if unmet is not None:
        sentence = f"{rule.metric} decides nothing: {unmet.reason}"
    if rule.waiver is not None and outcome != "passed":
        waiver = rule.waiver
        if circumstances.today <= waiver.expires:
            note = f"waived by {waiver.owner} until {waiver.expires}: {waiver.reason}"
            return RuleResult(index, rule, "waived", checks, f"{sentence}; {note}")
        sentence = f"{sentence}; the waiver of {waiver.owner} expired on {waiver.expires}"
    review = circumstances.review
    unsettled = rule.severity == "block" and outcome in ("inconclusive", "unmeasured")
    if unsettled and circumstances.review_waives and review is not None and review.verdict == "approve":
        return RuleResult(index, rule, "waived", checks, f"{sentence}; {_reviewed(review)}")
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


def _reviewed(review: Review) -> str:
    return f"approved by {review.reviewer} in review: {review.reason}"


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


def _rule_sentence(rule: Rule, outcome: Outcome, checks: Sequence[Check], measurement: Measurement | None) -> str:
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


def _sentence(verdict: str, results: Sequence[RuleResult]) -> str:
    more = f" ({len(results) - 1} more: see the rules)" if len(results) > 1 else ""
    return f"{verdict}: {results[0].sentence}{more}."


def _proof(passed: Sequence[RuleResult], results: Sequence[RuleResult], circumstances: Circumstances) -> str:
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
        parts.append(_reviewed(circumstances.review))
    if not circumstances.has_champion:
        parts.append("first model, judged against its base alone")
    return "; ".join(parts)
