"""Rules on changes: the most a model may be better, and changes relative to the baseline."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.measurement import Comparison, Measured, Measurement
from finetune_gate.evaluators.statistics import Estimate, Interval, relative_change
from finetune_gate.gate.deciding import Circumstances, Required, RuleResult, decide
from finetune_gate.gate.gate_file import Rule

USUAL = Circumstances(has_champion=True, identical=(), today=date(2026, 6, 1))
FIRST = replace(USUAL, has_champion=False)
ABSENT = Unmeasured("the judge crashed")


def around(value: float, half: float, n: int = 300) -> Estimate:
    return Estimate(value, Interval(value - half, value + half), n, n, "Tango score", half / 1.65)


def measured(
    difference: Measured, candidate: Measured = ABSENT, baseline: Measured = ABSENT, higher: bool = True, unit: str = ""
) -> Measurement:
    beside = Comparison(baseline, difference)
    scored = {"candidate": 300, "base": 300, "champion": 300}
    both = {"base": beside, "champion": beside}
    return Measurement("c.accuracy", higher, unit, 0.95, 300, scored, candidate, both)


def rule(**settings: Any) -> Rule:
    return Rule.model_validate({"metric": "c.accuracy", **settings})


def judged(the_rule: Rule, measurement: Measurement, required: tuple[Required, ...] = ()) -> RuleResult:
    return decide([the_rule], {0: measurement}, USUAL, {0: required}).results[0]


# --- max_change


@pytest.mark.parametrize(
    ("value", "higher", "outcome"),
    [
        (0.05, True, "passed"),
        (0.15, True, "passed"),
        (0.19, True, "inconclusive"),
        (0.30, True, "failed"),
        (-0.30, True, "passed"),
        # of lower values that are better, a fall is the leap
        (-0.05, False, "passed"),
        (-0.19, False, "inconclusive"),
        (-0.30, False, "failed"),
        (0.30, False, "passed"),
    ],
)
def test_a_leap_fails(value: float, higher: bool, outcome: str) -> None:
    result = judged(rule(max_change=0.2), measured(around(value, 0.05), higher=higher))
    assert result.outcome == outcome
    assert {check.against for check in result.checks} == {"base", "champion"}


def test_it_mirrors_the_least_change() -> None:
    for value in (-0.3, -0.22, -0.1, 0.0, 0.1, 0.22, 0.3):
        for bound in (-0.2, 0.0, 0.2):
            found = around(value, 0.05)
            mirrored = Estimate(-value, Interval(-value - 0.05, -value + 0.05), 300, 300, "Tango score", 0.03)
            most = judged(rule(max_change=bound), measured(found))
            least = judged(rule(min_change=-bound), measured(mirrored))
            assert most.outcome == least.outcome


def test_a_leap_has_no_number_where_nothing_was_measured() -> None:
    assert judged(rule(max_change=0.2), measured(ABSENT)).outcome == "unmeasured"
    first = decide([rule(max_change=0.2, against="champion")], {0: replace(measured(ABSENT), comparisons={})}, FIRST)
    assert (first.verdict, first.results[0].outcome) == ("hold", "unmeasured")


# --- min_relative_change


def of_models(ours: float, theirs: float, half: float = 0.03, higher: bool = True) -> Measurement:
    return measured(around(ours - theirs, half), around(ours, 0.04), around(theirs, 0.04), higher)


@pytest.mark.parametrize(
    ("ours", "theirs", "higher", "bound", "outcome"),
    [
        (0.80, 0.70, True, 0.02, "passed"),
        (0.72, 0.70, True, 0.02, "inconclusive"),
        (0.60, 0.70, True, 0.02, "failed"),
        (0.70, 0.70, True, -0.06, "passed"),
        (0.70, 0.70, True, -0.02, "inconclusive"),
        (0.60, 0.70, True, -0.02, "failed"),
        # less is better: a third less is better by a third
        (0.50, 0.75, False, 0.25, "passed"),
        (0.50, 0.75, False, 0.33, "inconclusive"),
        (0.75, 0.50, False, -0.1, "failed"),
    ],
)
def test_a_change_is_judged_as_a_share_of_the_baseline(
    ours: float, theirs: float, higher: bool, bound: float, outcome: str
) -> None:
    measurement = of_models(ours, theirs, higher=higher)
    result = judged(rule(min_relative_change=bound), measurement)
    assert result.outcome == outcome
    for check in result.checks:
        assert isinstance(check.measured, Estimate)
        assert check.measured.value == pytest.approx((ours - theirs) / theirs)
        assert check.bound == (bound if higher else -bound)
        assert check.side == ("at least" if higher else "at most")


def test_the_interval_is_the_one_of_the_statistics() -> None:
    measurement = of_models(0.8, 0.7)
    beside = measurement.comparisons["base"]
    parts = [measurement.candidate, beside.baseline, beside.difference]
    ours, theirs, difference = (part for part in parts if isinstance(part, Estimate))
    for confidence in (0.9, 0.99):
        result = judged(rule(min_relative_change=0.02), replace(measurement, confidence=confidence))
        assert result.checks[0].measured == relative_change(ours, theirs, difference, confidence)


@pytest.mark.parametrize(
    ("measurement", "reason"),
    [
        (of_models(0.4, 0.0), "the baseline's value is 0"),
        (of_models(0.4, -0.2), "the baseline's value is -0.2"),
        (of_models(0.4, 0.04), "reaches zero"),
        (of_models(0.4, 0.02), "reaches zero"),
        (measured(around(0.1, 0.02), around(0.5, 0.04), Estimate(0.4, Interval(0.3, 0.5), 9, 9, "t", None)), "none of"),
        (measured(around(0.1, 0.02), ABSENT, around(0.4, 0.04)), "the judge crashed"),
        (measured(around(0.1, 0.02), around(0.5, 0.04), ABSENT), "the judge crashed"),
        (measured(ABSENT, around(0.5, 0.04), around(0.4, 0.04)), "the judge crashed"),
        (replace(of_models(0.8, 0.7), confidence=95.0), "confidence of 95"),
        (replace(of_models(0.8, 0.7), subject="pair"), "has no change over one"),
    ],
    ids=[
        "zero", "negative", "touches", "includes", "no_error", "no_candidate", "no_baseline", "no_difference",
        "confidence", "pair",
    ],
)  # fmt: skip
@pytest.mark.parametrize("confidence", [0.95, "none"])
def test_what_is_not_relative_to_anything_is_unmeasured(
    measurement: Measurement, reason: str, confidence: object
) -> None:
    result = judged(rule(min_relative_change=-0.5, confidence=confidence), measurement)
    assert result.outcome == "unmeasured"
    assert reason in result.sentence


def test_rules_of_every_kind_go_with_the_other_keys() -> None:
    low = Required("c.kappa", 0.6, "the raters do not agree", measured(ABSENT, around(0.1, 0.05)))
    waiver = {"owner": "ana", "reason": "known gap", "expires": "2026-06-01"}
    for bound in ({"max_change": 0.2}, {"min_relative_change": 0.02}):
        bad = of_models(0.95, 0.5) if "max_change" in bound else of_models(0.5, 0.7)
        good = of_models(0.8, 0.7)
        assert judged(rule(**bound), bad).outcome == "failed"
        assert judged(rule(**bound, waiver=waiver), bad).outcome == "waived"
        assert judged(rule(**bound), good).outcome == "passed"
        assert judged(rule(**bound), good, (low,)).outcome == "unmeasured"
        assert judged(rule(**bound, confidence="none"), good).outcome == "passed"
        assert len(judged(rule(**bound, against="base"), good).checks) == 1
        assert decide([rule(**bound, severity="warn")], {0: bad}, USUAL).verdict == "hold"


# --- sentences


def sentence(settings: dict[str, Any], measurement: Measurement) -> str:
    return judged(rule(**settings, against="base"), measurement).sentence


@pytest.mark.parametrize(
    ("settings", "measurement", "said"),
    [
        (
            {"min_change": 0.0, "margin": 0.02},
            measured(Estimate(-0.008, Interval(-0.031, 0.015), 300, 300, "Tango score", 0.014)),
            "c.accuracy may be 3.1 points worse than the base's: -0.008 [-0.031, 0.015], at most 0.02 worse is wanted; "
            "about 1,103 examples would settle it, there are 300",
        ),
        (
            {"min_change": 0.0, "margin": 0.02},
            measured(around(0.01, 0.02)),
            "c.accuracy is at most 0.02 worse than the base's: 0.01 [-0.01, 0.03]",
        ),
        (
            {"min_change": 0.0, "margin": 0.02},
            measured(around(-0.05, 0.02)),
            "c.accuracy is at least 3 points worse than the base's: -0.05 [-0.07, -0.03], at most 0.02 worse is wanted",
        ),
        (
            {"min_change": 0.05},
            measured(around(0.02, 0.01)),
            "c.accuracy is at most 3 points better than the base's: 0.02 [0.01, 0.03], at least 0.05 better is wanted",
        ),
        (
            {"min_change": 0.0, "margin": 0.1},
            measured(
                Estimate(0.2, Interval(0.05, 0.35), 300, 300, "delta", 0.1), higher=False, unit="bits/byte"
            ),
            "c.accuracy may be 0.35 bits/byte worse than the base's: 0.2 [0.05, 0.35], at most 0.1 worse is wanted",
        ),
        (
            {"max_change": 0.2},
            measured(around(0.3, 0.05)),
            "c.accuracy is at least 25 points better than the base's: 0.3 [0.25, 0.35], at most 0.2 better is wanted",
        ),
        (
            {"max_change": 0.2},
            measured(around(0.1, 0.05)),
            "c.accuracy is at most 0.2 better than the base's: 0.1 [0.05, 0.15]",
        ),
        (
            {"max_change": 0.0},
            measured(around(-0.04, 0.05)),
            "c.accuracy may be 1 point better than the base's: -0.04 [-0.09, 0.01], not better is wanted",
        ),
        (
            {"min_change": 0.0, "confidence": "none"},
            measured(around(-0.04, 0.05)),
            "c.accuracy is 4 points worse than the base's: -0.04 (point estimate), not worse is wanted",
        ),
        (
            {"min_relative_change": -0.02, "confidence": "none"},
            of_models(0.6, 0.75),
            "c.accuracy is 20 % worse than the base's: -20 % (point estimate), at most 2 % worse is wanted",
        ),
    ],
    ids=[
        "non_inferiority", "passed", "failed", "too_little", "other_unit", "leap", "no_leap", "no_better", "point",
        "relative_point",
    ],
)  # fmt: skip
def test_a_sentence_says_what_is_known_and_what_would_be_enough(
    settings: dict[str, Any], measurement: Measurement, said: str
) -> None:
    found = sentence(settings, measurement)
    assert found.startswith(said), found
    assert "; " in found or found == said


def test_a_relative_change_is_said_in_per_cent() -> None:
    found = sentence({"min_relative_change": 0.02}, of_models(0.80, 0.70))
    assert found.startswith("c.accuracy is at least 2 % better than the base's: 14.29 % [")
    assert found.endswith("] %")
    unsure = sentence({"min_relative_change": -0.02}, of_models(0.70, 0.70))
    assert " % worse than the base's: 0 % [-4." in unsure
    assert ", at most 2 % worse is wanted; about " in unsure


# --- the rule in one line


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"max_change": 0.2}, "c.accuracy at most 0.2 better than base and champion"),
        ({"max_change": 0.0, "against": "base"}, "c.accuracy not better than base"),
        ({"max_change": -0.1}, "c.accuracy at least 0.1 worse than base and champion"),
        ({"min_relative_change": 0.02}, "c.accuracy at least 2 % better than base and champion"),
        ({"min_relative_change": -0.02, "against": "base"}, "c.accuracy at most 2 % worse than base"),
        ({"min_relative_change": 0.0}, "c.accuracy not worse than base and champion"),
        ({"min": 0.7, "slices": "language"}, "c.accuracy [each language] >= 0.7"),
        ({"min_change": 0.0, "slices": "language"}, "c.accuracy [each language] not worse than base and champion"),
    ],
)
def test_a_rule_reads_as_one_line(settings: dict[str, Any], text: str) -> None:
    assert rule(**settings).text == text


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({}, "no bound given; expected exactly one of min, max, min_change, max_change, min_relative_change"),
        ({"min_change": 0.0, "max_change": 0.2}, "min_change and max_change given"),
        ({"min_relative_change": 0.0, "min": 0.2}, "min and min_relative_change given"),
        ({"max_change": 0.2, "margin": 0.1}, "margin goes with min_change"),
        ({"min_relative_change": 0.2, "margin": 0.1}, "margin goes with min_change"),
        ({"min": 0.2, "slices": "language", "slice": {"language": "de"}}, "slice and slices given"),
        ({"min": 0.2, "min_n": 30}, "min_n goes with slices"),
        ({"min": 0.2, "slices": "language", "min_n": 1}, "greater than or equal to 2"),
        ({"min": 0.2, "slices": ""}, "at least 1 character"),
        ({"max_change": float("nan")}, "finite"),
        ({"min_relative_change": float("inf")}, "finite"),
        ({"min_relative_change": "2 %"}, "valid number"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        rule(**settings)
