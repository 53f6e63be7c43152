"""Decisions in words. Nothing here decides."""

from __future__ import annotations

from collections.abc import Sequence

from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.measurement import Measurement
from finetune_gate.evaluators.statistics import MOST_EXAMPLES, Estimate

from ..gate_file.rules import Rule, Waiver
from .naming import counted_names, names, quoted
from .terms import Check, Circumstances, Outcome, Review, RuleResult, Sliced

_SHARES = frozenset({"Wilson score", "Tango score"})
"""Methods that only estimate shares of examples, whose changes are counted in points."""


def rule_sentence(
    rule: Rule, outcome: Outcome, checks: Sequence[Check], measurement: Measurement | None, sliced: Sliced | None
) -> str:
    """The check that decided, in words, and of a rule on the values of a column how the others came out."""
    deciding = [check for check in checks if check.outcome == outcome]
    if not deciding:
        return f"{rule.metric} was not measured"
    if sliced is None:
        return _check_sentence(rule, deciding[0], measurement)
    check = min(deciding, key=_room)
    value = check.slice.get(sliced.column)
    measurement = next((one.measurement for one in sliced.slices if one.value == value), measurement)
    return _check_sentence(rule, check, measurement) + _others(outcome, check, deciding, checks, sliced)


def _check_sentence(rule: Rule, check: Check, measurement: Measurement | None) -> str:
    by = check.slice or rule.slice
    metric = rule.metric + "".join(f" for {column} {quoted(value)}" for column, value in by.items())
    if isinstance(check.measured, Unmeasured) or measurement is None:
        reason = check.measured.reason if isinstance(check.measured, Unmeasured) else "there is no measurement"
        return f"{metric} was not measured: {reason}"
    if rule.of_change:
        sentence = f"{metric} {_change(rule, check, check.measured, measurement)}"
    else:
        against = f" against the {check.against}" if check.against is not None else ""
        sentence = f"{metric}{against} {_value(rule, check, check.measured)}"
    if check.needed is not None:
        about = "more than" if check.needed >= MOST_EXAMPLES else "about"
        sentence += f"; {about} {check.needed:,} examples would settle it, there are {measurement.planned:,}"
    return sentence


def _value(rule: Rule, check: Check, estimate: Estimate) -> str:
    relation = {"passed": "is", "failed": "is not"}.get(check.outcome, "may or may not be")
    return f"{relation} {check.side} {check.bound:g}: {_shown(rule, estimate)}"


def _change(rule: Rule, check: Check, estimate: Estimate, measurement: Measurement) -> str:
    """``may be 3.1 points worse than the base's: -0.008 [-0.031, 0.015], at most 0.02 worse is wanted``."""
    than, shown = f"than the {check.against}'s", _shown(rule, estimate)
    if check.outcome == "passed":
        return f"is {rule.wanted} {than}: {shown}"
    ends = (estimate.interval.low, estimate.interval.high)
    if rule.confidence == "none":
        ends = (estimate.value, estimate.value)
    worst, best = ends if measurement.higher_is_better else (-ends[1], -ends[0])
    leap = rule.kind == "max_change"
    if check.outcome == "inconclusive":
        found = f"may be {_compared(best if leap else worst, rule, estimate, measurement)}"
    else:
        near = worst if leap else best
        found = f"is {_compared(near, rule, estimate, measurement)}"
        if near and rule.confidence != "none":
            found = found.replace("is ", "is at least " if (near > 0) == leap else "is at most ", 1)
    return f"{found} {than}: {shown}, {rule.wanted} is wanted"


def _compared(improvement: float, rule: Rule, estimate: Estimate, measurement: Measurement) -> str:
    """``3.1 points worse``. Shares are compared in points, everything else in its own unit."""
    if improvement == 0:
        return "no worse" if rule.kind == "max_change" else "no better"
    size, unit = abs(improvement), measurement.unit
    if rule.kind == "min_relative_change":
        amount = f"{100 * size:.3g} %"
    elif estimate.method in _SHARES or unit in ("%", "percent"):
        points = f"{size if estimate.method not in _SHARES else 100 * size:.3g}"
        amount = f"{points} point{'' if points == '1' else 's'}"
    else:
        amount = f"{size:.3g} {unit}".rstrip()
    return f"{amount} {'better' if improvement > 0 else 'worse'}"


def _shown(rule: Rule, estimate: Estimate) -> str:
    factor, unit = (100.0, " %") if rule.kind == "min_relative_change" else (1.0, "")
    value = f"{factor * estimate.value:.4g}{unit}"
    if rule.confidence == "none":
        return f"{value} (point estimate)"
    return f"{value} [{factor * estimate.interval.low:.4g}, {factor * estimate.interval.high:.4g}]{unit}"


def _room(check: Check) -> float:
    """How far the interval lies on the good side: of several checks with one outcome, the least tells most."""
    if isinstance(check.measured, Unmeasured):
        return 0.0
    ends = check.measured.interval
    return ends.low - check.bound if check.side == "at least" else check.bound - ends.high


def _others(outcome: Outcome, check: Check, deciding: Sequence[Check], checks: Sequence[Check], found: Sliced) -> str:
    """Which values of a column came out so, and which were not judged at all."""
    said: list[str] = []
    if check.confidence is not None:
        said.append(f"at {100 * check.confidence:.4g} % confidence, for {len(checks)} comparisons")
    values = list(dict.fromkeys(one.slice[found.column] for one in deciding if found.column in one.slice))
    count, among = len(values), len(found.slices)
    came = {"inconclusive": "is inconclusive", "unmeasured": "was not measured"}.get(outcome, outcome)
    if count > 1:
        came = came.replace("is ", "are ").replace("was ", "were ")
    if among > 1:
        how_many = f"all {among:,}" if count == among else f"{count:,} of {among:,}"
        which = "" if count == among else f": {names(values)}"
        said.append(f"{how_many} values of {found.column!r} {came}{which}")
    if found.few and found.slices:
        unjudged = f"{len(found.few):,} value{'' if len(found.few) == 1 else 's'}"
        said.append(f"{unjudged} with fewer than {found.least:,} examples not judged: {counted_names(found.few)}")
    if found.without:
        said.append(f"{found.without:,} example{'' if found.without == 1 else 's'} without {found.column!r} not judged")
    return "".join(f"; {one}" for one in said)


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
