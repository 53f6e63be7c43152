"""Small faults in what decides, each of which some evidence shows: what mutation testing asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.measurement import Comparison, Measured, Measurement
from finetune_gate.evaluators.statistics import COUNTED, Estimate, Interval
from finetune_gate.gate.deciding import (
    Check,
    Circumstances,
    MeasuredSlice,
    Required,
    RuleResult,
    Sliced,
    SlicedMeasurement,
    decide,
    open_step,
)
from finetune_gate.gate.gate_file.rules import Rule

TODAY = date(2026, 6, 1)
FIRST = Circumstances(has_champion=False, identical=(), today=TODAY)
AS_READ = "".join(list(COUNTED))
"""The same word as `COUNTED`, and another object, as one that was read from a record is."""


def rule(**settings: Any) -> Rule:
    return Rule.model_validate({"metric": "c.accuracy", **settings})


def found(value: float, low: float, high: float, **more: Any) -> Estimate:
    parts: dict[str, Any] = {"n": 100, "clusters": 100, "method": "t", "standard_error": 0.05} | more
    return Estimate(value, Interval(low, high), parts["n"], parts["clusters"], parts["method"], parts["standard_error"])


def measured(own: Measured, difference: Measured | None = None, baseline: Measured | None = None) -> Measurement:
    nothing = Unmeasured("not read")
    beside = Comparison(baseline or nothing, difference or nothing)
    return Measurement("c.accuracy", True, "", 0.95, 100, {"candidate": 100}, own, {"base": beside})


def judged(the_rule: Rule, measurement: Measurement | None, circumstances: Circumstances = FIRST) -> RuleResult:
    return decide([the_rule], {} if measurement is None else {0: measurement}, circumstances).results[0]


def only_check(the_rule: Rule, measurement: Measurement | None) -> Check:
    (check,) = judged(the_rule, measurement).checks
    return check


GOOD = found(0.8, 0.7, 0.9)
OUTSIDE = "the measured value lies outside of its own interval"
NO_ERROR = "its standard error is no number"
FLAT = "its interval has no width: the examples do not differ, so nothing is known of others"


def forged(**changes: float) -> Estimate:
    """`GOOD` with what the dataclass itself would refuse."""
    odd = replace(GOOD)
    for name, value in changes.items():
        object.__setattr__(odd, name, value)
    return odd


ODD = {
    "below its interval": (forged(value=0.6), OUTSIDE),
    "above its interval": (forged(value=0.95), OUTSIDE),
    "an error below zero": (forged(standard_error=-0.5), NO_ERROR),
    "an error that is no number": (forged(standard_error=float("nan")), NO_ERROR),
    "an error without end": (forged(standard_error=float("inf")), NO_ERROR),
}


@pytest.mark.parametrize("name", [*ODD])
def test_what_only_looks_like_evidence_says_why_it_is_none(name: str) -> None:
    odd, why = ODD[name]
    assert only_check(rule(min=0.5), measured(odd)) == Check(None, 0.5, "at least", Unmeasured(why), "unmeasured")


@pytest.mark.parametrize("name", [*ODD])
@pytest.mark.parametrize("at", ["own", "difference", "baseline"])
def test_a_relative_change_rests_on_three_and_one_odd_is_enough(name: str, at: str) -> None:
    odd, why = ODD[name]
    parts: dict[str, Measured] = {"own": GOOD, "difference": found(0.3, 0.2, 0.4), "baseline": found(0.5, 0.4, 0.6)}
    least = rule(min_relative_change=0.01)
    assert judged(least, measured(**parts)).outcome == "passed"
    assert only_check(least, measured(**{**parts, at: odd})).measured == Unmeasured(why)


@pytest.mark.parametrize("confidence", [-1.0, 0.3, 0.5, 1.0, 1.5])
def test_a_relative_change_needs_a_confidence_between_a_half_and_one(confidence: float) -> None:
    measurement = replace(measured(GOOD, found(0.3, 0.2, 0.4), found(0.5, 0.4, 0.6)), confidence=confidence)
    reason = f"it was measured at a confidence of {confidence:g}, which is none"
    assert only_check(rule(min_relative_change=0.01), measurement).measured == Unmeasured(reason)


def test_no_standard_error_is_no_fault() -> None:
    assert judged(rule(min=0.5), measured(found(0.8, 0.7, 0.9, standard_error=None))).outcome == "passed"


@pytest.mark.parametrize(
    ("method", "count", "outcome"),
    [
        (AS_READ, 1, "passed"),
        (AS_READ, 0, "unmeasured"),
        ("A", 1, "unmeasured"),
        ("A", 2, "unmeasured"),
        ("zzz", 2, "unmeasured"),
    ],
)
def test_only_what_was_counted_needs_no_width_and_no_second(method: str, count: int, outcome: str) -> None:
    flat = found(0.8, 0.8, 0.8, n=count, clusters=count, method=method)
    check = only_check(rule(min=0.5), measured(flat))
    assert check.outcome == outcome
    if count == 2:
        assert check.measured == Unmeasured(FLAT)


def test_a_metric_that_nobody_measured_is_one_check_without_a_side_to_it() -> None:
    wanted = Check(None, 0.0, "at least", Unmeasured("no evaluator measured c.accuracy"), "unmeasured")
    assert only_check(rule(max=0.5), None) == wanted


def test_a_bound_beyond_all_numbers_passes_nothing() -> None:
    """The margin is taken off, and what is left is no number any more."""
    endless = rule(min_change=-1e308, margin=1.7e308)
    wanted = Check("base", 0.0, "at least", Unmeasured("the rule's bound is not finite"), "unmeasured")
    assert only_check(endless, measured(GOOD, GOOD)) == wanted


@pytest.mark.parametrize(
    ("value", "low", "high", "bound", "needed"),
    [
        (0.8, 0.6, 1.0, 0.7, 400),
        (0.8, 0.0, 1.0, 0.7, 6400),
        (1e200, 0.5e200, 2e200, 1.5e200, 400),  # the product of value and bound is no number
        (1e308, 0.9e308, 1.7e308, 1.35e308, 400),  # nor is their sum
        (-1e308, -1.1e308, 1e308, 0.9e308, None),  # nor the width
        (0.0, -1.0, 1.0, 0.0, None),
    ],
)
def test_how_many_examples_would_settle_it(
    value: float, low: float, high: float, bound: float, needed: int | None
) -> None:
    check = only_check(rule(min=bound), measured(found(value, low, high)))
    assert (check.outcome, check.needed) == ("inconclusive", needed)


@pytest.mark.parametrize(("days", "outcome"), [(-1, "failed"), (0, "waived"), (1, "waived"), (400, "waived")])
def test_a_waiver_holds_up_to_its_last_day(days: int, outcome: str) -> None:
    waiver = {"owner": "ben", "reason": "known gap", "expires": TODAY + timedelta(days=days)}
    assert judged(rule(min=0.95, waiver=waiver), measured(GOOD)).outcome == outcome


@pytest.mark.parametrize("name", [*ODD])
def test_what_is_required_must_be_evidence(name: str) -> None:
    odd, why = ODD[name]
    required = Required("c.kappa", 0.5, "", measured(odd))
    (result,) = decide([rule(min=0.5)], {0: measured(GOOD)}, FIRST, {0: [required]}).results
    reason = f"c.kappa of at least 0.5 is required, and was not measured: {why}"
    assert result.checks[0].measured == Unmeasured(reason)
    assert result.outcome == "unmeasured"


# --- every value of a column

FAR, NEAR, CLOSE, FINE = (0.1, 0.2), (0.1, 0.45), (0.3, 0.49), (0.6, 0.9)
"""Intervals at the rule's own level, whose bound is 0.5: all but the last fail there."""


def interval(ends: tuple[float, float]) -> Estimate:
    return found(sum(ends) / 2, *ends)


def sliced(values: Mapping[str, tuple[tuple[float, float], Mapping[int, Measured]]], **more: Any) -> SlicedMeasurement:
    """By value: its interval, and what was measured at the level of so many comparisons."""
    slices = tuple(
        MeasuredSlice(
            name,
            measured(interval(ends)),
            {k: replace(measured(one), confidence=1 - 0.05 / k) for k, one in stricter.items()},
        )
        for name, (ends, stricter) in values.items()
    )
    return whole(Sliced("language", 30, slices, **more))


def whole(*cuts: Sliced) -> SlicedMeasurement:
    return SlicedMeasurement("c.accuracy", True, "", 0.95, 400, {"candidate": 400}, GOOD, {}, sliced=cuts)


EACH = rule(min=0.5, slices="language")
BY_POINT = rule(min=0.5, slices="language", confidence="none")


def came(measurement: SlicedMeasurement, the_rule: Rule = EACH) -> list[tuple[str, str, float | None]]:
    """Value, outcome, and the confidence of the interval that decided, where it is not the rule's own."""
    return [(one.slice["language"], one.outcome, one.confidence) for one in judged(the_rule, measurement).checks]


def level(comparisons: int) -> float:
    return 1 - 0.05 / comparisons


def test_each_step_allows_for_those_that_are_left() -> None:
    """Four values: one fails as one of four, the next as one of three, the third not even as one of two."""
    steps = sliced(
        {
            "de": (FAR, {4: interval(FAR)}),
            "fr": (NEAR, {4: interval((0.1, 0.55)), 3: interval(NEAR)}),
            "nl": (CLOSE, {4: interval((0.3, 0.6)), 3: interval((0.3, 0.6)), 2: interval((0.3, 0.55))}),
            "pl": (FINE, {}),
        }
    )
    assert came(steps) == [
        ("de", "failed", level(4)),
        ("fr", "failed", level(3)),
        ("nl", "inconclusive", level(2)),
        ("pl", "passed", None),
    ]
    assert open_step(EACH, steps.sliced[0], has_champion=False) is None
    assert judged(EACH, steps).outcome == "failed"


def test_one_that_is_taken_out_makes_room_for_the_next_and_for_no_other() -> None:
    both = sliced(
        {
            "de": (FAR, {3: interval(FAR)}),
            "fr": (CLOSE, {3: interval((0.3, 0.6)), 2: interval(CLOSE)}),
            "nl": (FINE, {}),
        }
    )
    assert came(both) == [("de", "failed", level(3)), ("fr", "failed", level(2)), ("nl", "passed", None)]


def test_a_value_alone_is_decided_at_the_rules_own_level() -> None:
    assert came(sliced({"de": (CLOSE, {})})) == [("de", "failed", None)]
    assert open_step(EACH, sliced({"de": (CLOSE, {})}).sliced[0], has_champion=False) is None


def test_one_of_two_is_decided_at_the_level_of_two() -> None:
    two = sliced({"de": (CLOSE, {2: interval((0.3, 0.6))}), "fr": (FINE, {})})
    assert came(two) == [("de", "inconclusive", level(2)), ("fr", "passed", None)]


def test_all_may_fail_and_the_last_at_the_rules_own_level() -> None:
    all_fail = sliced({"de": (FAR, {2: interval(FAR)}), "fr": (CLOSE, {2: interval((0.3, 0.6))})})
    assert came(all_fail) == [("de", "failed", level(2)), ("fr", "failed", None)]


def test_what_is_lacking_is_asked_for_and_passes_nothing() -> None:
    lacking = sliced({"de": (FAR, {3: interval((0.1, 0.6))}), "fr": (NEAR, {}), "nl": (CLOSE, {2: interval(CLOSE)})})
    assert open_step(EACH, lacking.sliced[0], has_champion=False) == (3, ("fr", "nl"))
    checks = judged(EACH, lacking).checks
    assert [check.outcome for check in checks] == ["inconclusive", "unmeasured", "unmeasured"]
    reason = "it fails by itself, and was not measured at the level of 3 comparisons"
    assert [check.measured for check in checks[1:]] == [Unmeasured(reason)] * 2


@pytest.mark.parametrize(
    ("at_level", "outcome"),
    [
        (Unmeasured("the judge crashed"), "unmeasured"),
        (interval(FINE), "inconclusive"),
        (interval((0.3, 0.6)), "inconclusive"),
    ],
    ids=["absent", "good", "open"],
)
def test_what_fails_by_itself_passes_at_no_level(at_level: Measured, outcome: str) -> None:
    two = sliced({"de": (CLOSE, {2: at_level}), "fr": (FINE, {})})
    assert came(two)[0] == ("de", outcome, level(2))
    assert judged(EACH, two).checks[0].measured == at_level


def test_by_point_there_are_no_steps() -> None:
    two = sliced({"de": (CLOSE, {}), "fr": (FINE, {})})
    assert came(two, BY_POINT) == [("de", "failed", None), ("fr", "passed", None)]
    assert open_step(BY_POINT, two.sliced[0], has_champion=False) is None
    assert open_step(EACH, two.sliced[0], has_champion=False) == (2, ("de",))


@pytest.mark.parametrize(
    ("few", "said"),
    [({}, "no value of 'language' has 30 examples"), ({"de": 3}, "no value of 'language' has 30 examples, 'de' (3)")],
)
def test_no_value_with_enough_examples_is_said_with_those_that_have_few(few: Mapping[str, int], said: str) -> None:
    assert only_check(EACH, sliced({}, few=few)).measured == Unmeasured(said)


def test_a_rule_reads_its_own_column_and_its_own_least() -> None:
    def cut(column: str, least: int, ends: tuple[float, float]) -> Sliced:
        return Sliced(column, least, (MeasuredSlice("x", measured(interval(ends))),))

    others: Sequence[Sliced] = [
        cut("zone", 30, FAR),
        cut("language", 31, FAR),
        cut("area", 30, FAR),
        cut("language", 2, FAR),
    ]
    assert judged(EACH, whole(*others, cut("language", 30, FINE))).outcome == "passed"
    assert judged(EACH, whole(*others)).outcome == "unmeasured"
