"""Every kind of rule at every position of an interval, and every verdict, beside a second account of what must come
out that shares no code with the first."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import date
from typing import Any, cast

import pytest
from evidence_strategies import (
    ABSENT,
    BY_NAME,
    KINDS,
    METRIC,
    PLAIN,
    RANK,
    TODAY,
    USUAL,
    Asked,
    Kind,
    decided,
    estimate,
)

from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.measurement import Comparison, Measured, Measurement
from finetune_gate.evaluators.statistics import COUNTED, Estimate, Interval, required_n
from finetune_gate.gate.deciding import (
    Check,
    Circumstances,
    Decision,
    MeasuredSlice,
    Required,
    Review,
    RuleResult,
    Sliced,
    SlicedMeasurement,
    decide,
)
from finetune_gate.gate.gate_file.rules import Rule

BOUND = 0.25
STEPS = (-0.25, -0.125, 0.0, 0.125, 0.25)
PLACES = tuple(itertools.combinations_with_replacement(STEPS, 3))
"""(low, value, high) relative to the bound, where to the good side is positive."""


def at(kind: Kind, place: tuple[float, float, float], method: str = "t") -> Estimate:
    sign = 1 if kind.upward else -1
    low, value, high = sorted(BOUND + sign * step for step in place)
    return estimate(low, high, value, method)


def outcome_at(kind: Kind, place: tuple[float, float, float], method: str = "t") -> str:
    """What must come out, by where the worst and the best end lie on the good side's axis."""
    worst, value, best = place
    if kind.by_point:
        return "passed" if value >= 0 else "failed"
    if worst == best and method != COUNTED:
        return "unmeasured"
    if worst >= 0:
        return "passed"
    return "failed" if best < 0 else "inconclusive"


VERDICT_ALONE = {"passed": "promote", "failed": "block", "inconclusive": "hold", "unmeasured": "hold"}


@pytest.mark.parametrize("kind", PLAIN, ids=[kind.name for kind in PLAIN])
def test_every_position_of_an_interval(kind: Kind) -> None:
    assert len(PLACES) == 35
    for place, method in itertools.product(PLACES, ("t", COUNTED)):
        found, wanted = at(kind, place, method), outcome_at(kind, place, method)
        decision = decided([Asked(kind, BOUND, kind.rule(BOUND), (found,) * kind.count)])
        (result,) = decision.results
        assert (result.outcome, decision.verdict) == (wanted, VERDICT_ALONE[wanted]), (place, method)
        assert [check.against for check in result.checks] == ([None] if kind.own else ["base", "champion"])
        for check in result.checks:
            assert (check.outcome, check.bound) == (wanted, BOUND)
            assert check.side == ("at least" if kind.upward else "at most")
            assert (check.measured == found) == (wanted != "unmeasured")
            if wanted == "inconclusive":
                needed = required_n(found, BOUND)
                assert check.needed == (needed if needed is not None and needed > 200 else None)
            else:
                assert check.needed is None


PAIRED = [kind for kind in PLAIN if not kind.own]
WORST_FIRST = ("failed", "unmeasured", "inconclusive", "passed")
EXAMPLE: dict[str, tuple[float, float, float]] = {
    "passed": (0.0, 0.125, 0.25),
    "failed": (-0.25, -0.25, -0.125),
    "inconclusive": (-0.125, 0.0, 0.125),
    "unmeasured": (0.125, 0.125, 0.125),
}


@pytest.mark.parametrize("kind", PAIRED, ids=[kind.name for kind in PAIRED])
def test_the_worse_of_two_baselines_decides_and_against_chooses_one(kind: Kind) -> None:
    came = [outcome for outcome in WORST_FIRST if not (kind.by_point and outcome in ("inconclusive", "unmeasured"))]
    for base, champion in itertools.product([*came, "absent"], repeat=2):
        values: tuple[Measured, ...] = tuple(
            ABSENT if one == "absent" else at(kind, EXAMPLE[one]) for one in (base, champion)
        )
        base_came, champion_came = (one.replace("absent", "unmeasured") for one in (base, champion))
        both = decided([Asked(kind, BOUND, kind.rule(BOUND), values)]).results[0]
        assert both.outcome == min(base_came, champion_came, key=WORST_FIRST.index)
        first = decided([Asked(kind, BOUND, kind.rule(BOUND), values)], replace(USUAL, has_champion=False)).results[0]
        assert (first.outcome, [check.against for check in first.checks]) == (base_came, ["base"])
        for against, wanted in (("base", base_came), ("champion", champion_came)):
            for has_champion in (True, False):
                one = Asked(kind, BOUND, kind.rule(BOUND, against=against), values)
                alone = decided([one], replace(USUAL, has_champion=has_champion)).results[0]
                assert (alone.outcome, [check.against for check in alone.checks]) == (wanted, [against])


@pytest.mark.parametrize(
    ("against", "said"), [("champion", "there is no champion yet"), ("base", "no base was measured")]
)
def test_a_baseline_that_is_missing_is_said(against: str, said: str) -> None:
    kind = BY_NAME["min_change"]
    measurement = kind.measurement(())
    (result,) = decide([kind.rule(0.0, against=against)], {0: measurement}, USUAL).results
    assert result.checks[0].measured == Unmeasured(said)


def test_the_examples_that_are_there_are_not_asked_for() -> None:
    """As many as were planned, and still open: more of the same number would not settle it."""
    kind, found = BY_NAME["min"], replace(at(BY_NAME["min"], (-0.25, 0.0625, 0.25)), n=1000)
    needed = required_n(found, BOUND)
    assert needed is not None
    for planned, said in ((needed - 1, needed), (needed, None), (needed + 1, None)):
        measurement = replace(kind.measurement((found,)), planned=planned)
        (check,) = decide([kind.rule(BOUND)], {0: measurement}, USUAL).results[0].checks
        assert (check.outcome, check.needed) == ("inconclusive", said)


def control(value: Measured) -> Measurement:
    return Measurement("scripted.control", True, "", 0.95, 12, {"candidate": 12}, value, {}, subject="run")


NEEDS: dict[str, tuple[Measured, bool]] = {
    "more": (Estimate(0.6, Interval(0.1, 0.9), 12, 12, "t", 0.1), True),
    "just enough": (Estimate(0.5, Interval(0.1, 0.9), 12, 12, "t", 0.1), True),
    "less": (Estimate(0.375, Interval(0.1, 0.9), 12, 12, "t", 0.1), False),
    "nothing": (ABSENT, False),
}


@pytest.mark.parametrize("kind", PLAIN, ids=[kind.name for kind in PLAIN])
def test_every_requirement_must_be_met_whatever_the_metric_says(kind: Kind) -> None:
    for needs, outcome in itertools.product(
        [some for size in (1, 2) for some in itertools.product(NEEDS, repeat=size)], ("passed", "failed")
    ):
        required = tuple(Required("scripted.control", 0.5, "", control(NEEDS[need][0])) for need in needs)
        values = (at(kind, EXAMPLE[outcome]),) * kind.count
        decision = decided([Asked(kind, BOUND, kind.rule(BOUND), values, required)])
        (result,) = decision.results
        if all(NEEDS[need][1] for need in needs):
            assert result.outcome == outcome
        else:
            assert (result.outcome, decision.verdict) == ("unmeasured", "hold")
            assert "decides nothing" in result.sentence
            why = "which this rule requires" if "less" in needs else "was not measured: the judge crashed"
            assert why in result.sentence or "nothing" in needs


def share(**changes: Any) -> Measurement:
    """Of a candidate at 0.75 beside baselines at 0.5: half as much again."""
    parts: dict[str, Any] = {
        "candidate": Estimate(0.75, Interval(0.7, 0.8), 200, 200, "Wilson score", 0.03),
        "baseline": Estimate(0.5, Interval(0.45, 0.55), 200, 200, "Wilson score", 0.03),
        "difference": Estimate(0.25, Interval(0.2, 0.3), 200, 200, "Tango score", 0.03),
        "confidence": 0.95,
    } | changes
    measurement = BY_NAME["min_change"].measurement((parts["difference"],) * 2)
    comparison = Comparison(parts["baseline"], parts["difference"])
    return replace(
        measurement,
        candidate=parts["candidate"],
        confidence=parts["confidence"],
        comparisons={"base": comparison, "champion": comparison},
    )


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({}, "passed"),
        ({"candidate": ABSENT}, "unmeasured"),
        ({"baseline": ABSENT}, "unmeasured"),
        ({"difference": ABSENT}, "unmeasured"),
        ({"confidence": 0.5}, "unmeasured"),
        ({"confidence": 1.0}, "unmeasured"),
        ({"confidence": 0.51}, "passed"),
        ({"confidence": 0.99}, "passed"),
    ],
)
def test_a_relative_change_needs_all_three_and_a_level(changes: dict[str, Any], outcome: str) -> None:
    rule = BY_NAME["min_relative_change"].rule(8 * 0.1)
    assert decide([rule], {0: share(**changes)}, USUAL).results[0].outcome == outcome


@pytest.mark.parametrize(
    ("method", "count", "clusters", "outcome"),
    [
        (COUNTED, 1, 1, "passed"),
        (COUNTED, 0, 1, "unmeasured"),
        (COUNTED, 1, 0, "unmeasured"),
        ("t", 2, 2, "passed"),
        ("t", 1, 2, "unmeasured"),
        ("t", 2, 1, "unmeasured"),
        ("Wilson score", 2, 2, "passed"),
        ("an older method", 1, 1, "unmeasured"),
        ("an older method", 2, 2, "passed"),
    ],
)
def test_what_was_sampled_rests_on_two_and_what_was_counted_on_one(
    method: str, count: int, clusters: int, outcome: str
) -> None:
    found = Estimate(0.5, Interval(0.375, 0.625), count, clusters, method, 0.0)
    kind = BY_NAME["min"]
    assert decide([kind.rule(BOUND)], {0: kind.measurement((found,))}, USUAL).results[0].outcome == outcome


@pytest.mark.parametrize("bound", ["min_change", "max_change", "min_relative_change"])
def test_a_pair_has_no_change(bound: str) -> None:
    measurement = replace(share(), subject="pair")
    (result,) = decide([Rule(metric=METRIC, **{bound: 0.1})], {0: measurement}, USUAL).results
    assert result.outcome == "unmeasured"


IN_SLICES = [kind for kind in KINDS if kind.slices]
NEAR_AND_FAR: dict[str, tuple[float, float]] = {
    "passed": (0.0, 0.5),
    "open": (-0.25, 0.25),
    "just failed": (-0.5, -0.03125),
    "far failed": (-1.0, -0.75),
    "no width": (0.25, 0.25),
    "absent": (0.0, 0.0),
}
"""Ends relative to the bound. Made stricter for several comparisons, each end goes out by a sixteenth for each more."""


def in_slices(came: tuple[str, ...]) -> str:
    """What a rule on the values of a column must come to, by what stands beside each value and baseline."""
    if "far failed" in came:
        return "failed"
    if "absent" in came or "no width" in came:
        return "unmeasured"
    return "inconclusive" if {"open", "just failed"} & set(came) else "passed"


@pytest.mark.parametrize("kind", IN_SLICES, ids=[kind.name for kind in IN_SLICES])
def test_every_way_in_which_the_values_of_a_column_come_out(kind: Kind) -> None:
    for came in itertools.product(NEAR_AND_FAR, repeat=kind.count):
        values = tuple(
            ABSENT if one == "absent" else estimate(*(BOUND + end for end in NEAR_AND_FAR[one])) for one in came
        )
        decision = decided([Asked(kind, BOUND, kind.rule(BOUND), values)])
        (result,) = decision.results
        assert (result.outcome, decision.verdict) == (in_slices(came), VERDICT_ALONE[in_slices(came)]), came
        beside = (None,) if kind.own else ("base", "champion")
        assert [(check.slice["category"], check.against) for check in result.checks] == [
            (value, against) for value in kind.slices for against in beside
        ]


def test_slices_that_were_not_measured_pass_nothing() -> None:
    kind = BY_NAME["min on slices"]
    good = estimate(0.5, 0.75)
    measurement = cast("SlicedMeasurement", kind.measurement((good,) * 3))
    rule = kind.rule(BOUND)
    assert decide([rule], {0: measurement}, USUAL).verdict == "promote"
    for other in (kind.rule(BOUND, slices="language"), kind.rule(BOUND, min_n=31)):
        assert decide([other], {0: measurement}, USUAL).results[0].outcome == "unmeasured"
    whole = BY_NAME["min"].measurement((good,))
    assert decide([rule], {0: whole}, USUAL).results[0].outcome == "unmeasured"
    nothing = replace(measurement, sliced=(replace(measurement.sliced[0], slices=(), few={"a": 3}),))
    (result,) = decide([rule], {0: nothing}, USUAL).results
    assert result.outcome == "unmeasured"
    assert "no value of 'category' has 30 examples" in result.sentence


# --- the verdict, from outcomes and circumstances

Came = tuple[str, str, str]
"""What is measured, severity, and the rule's waiver: none, expired, valid."""

EVERY_RULE: list[Came] = [
    (came, severity, waiver)
    for came in ("passed", "failed", "inconclusive", "unmeasured")
    for severity in ("block", "warn")
    for waiver in ("none", "expired", "valid")
]
REVIEWS: dict[str, Review | None] = {
    "nobody": None,
    "approve": Review("approve", "ana", "typos only"),
    "block": Review("block", "ana", "it insults"),
}
LAST_DAY = {"expired": date(2026, 5, 31), "valid": TODAY}
EVERY_CIRCUMSTANCES = [
    (
        Circumstances(
            has_champion=True,
            identical=("base",) if identical else (),
            today=TODAY,
            champion_moved="version 5" if moved else None,
            files_changed="digest of v2" if changed else None,
            review=REVIEWS[said],
            review_waives=waives,
            approval_required=required,
        ),
        said,
    )
    for identical, moved, changed, waives, required in itertools.product((False, True), repeat=5)
    for said in REVIEWS
]


def asked_for(came: Came) -> Asked:
    outcome, severity, waiver = came
    kind = BY_NAME["min"]
    settings: dict[str, Any] = {"severity": severity}
    if waiver != "none":
        settings["waiver"] = {"owner": "ben", "reason": "known gap", "expires": LAST_DAY[waiver]}
    return Asked(kind, BOUND, kind.rule(BOUND, **settings), (at(kind, EXAMPLE[outcome]),))


def outcome_for(came: Came, said: str, waives: bool) -> str:
    outcome, severity, waiver = came
    if outcome != "passed" and waiver == "valid":
        return "waived"
    answered = severity == "block" and outcome in ("inconclusive", "unmeasured") and said == "approve" and waives
    return "waived" if answered else outcome


def verdict_for(rules: tuple[Came, ...], circumstances: Circumstances, said: str) -> tuple[str, bool]:
    """Verdict, and whether it is only held for an approval."""
    blocking = [outcome_for(one, said, circumstances.review_waives) for one in rules if one[1] == "block"]
    if said == "block" or "failed" in blocking:
        return "block", False
    fit = set(blocking) <= {"passed", "waived"} and "passed" in blocking
    still = not (circumstances.identical or circumstances.champion_moved or circumstances.files_changed)
    if not (fit and still):
        return "hold", False
    waits = circumstances.approval_required and said != "approve"
    return ("hold", True) if waits else ("promote", False)


def test_every_verdict_of_up_to_two_rules_in_every_circumstance() -> None:
    sets = [rules for size in (0, 1, 2) for rules in itertools.combinations_with_replacement(EVERY_RULE, size)]
    assert len(sets) == 1 + 24 + 300
    assert len(EVERY_CIRCUMSTANCES) == 96
    seen = dict.fromkeys(RANK, 0)
    known = {came: asked_for(came) for came in EVERY_RULE}
    for rules, (circumstances, said) in itertools.product(sets, EVERY_CIRCUMSTANCES):
        decision = decided([known[one] for one in rules], circumstances)
        wanted = tuple(outcome_for(one, said, circumstances.review_waives) for one in rules)
        assert tuple(one.outcome for one in decision.results) == wanted, (rules, circumstances)
        assert (decision.verdict, decision.awaits_approval) == verdict_for(rules, circumstances, said)
        assert decision.sentence.startswith(decision.verdict.capitalize() + ": ")
        seen[decision.verdict] += 1
    assert min(seen.values()) > 100


@pytest.mark.parametrize(
    ("rules", "changes", "said"),
    [
        (["failed", "passed"], {}, "Block: scripted.quality is not at least 0.25"),
        (["passed", "failed", "failed"], {}, "(1 more: see the rules)."),
        (["passed", "inconclusive"], {}, "Hold: scripted.quality may or may not be at least 0.25"),
        (["passed", "unmeasured"], {}, "Hold: scripted.quality was not measured"),
        (["passed"], {"identical": ("base", "champion")}, "identical to the base and champion's."),
        (["passed"], {"files_changed": "v2 differs", "champion_moved": "v5"}, "but meanwhile v2 differs; see who"),
        (["passed"], {"champion_moved": "v5"}, "but meanwhile v5; gate it again."),
        ([], {}, "Hold: no blocking rule passed by measurement."),
        (["passed", "passed"], {}, "Promote: 2 of 2 blocking rules passed."),
    ],
)
def test_the_sentence_names_what_decided(rules: list[str], changes: dict[str, Any], said: str) -> None:
    decision = decided([asked_for((came, "block", "none")) for came in rules], replace(USUAL, **changes))
    assert said in decision.sentence


@pytest.mark.parametrize(
    "term", [Check, Circumstances, Decision, MeasuredSlice, Required, Review, RuleResult, Sliced, SlicedMeasurement]
)
def test_what_is_decided_with_cannot_be_changed_afterwards(term: type) -> None:
    parameters = cast("Any", term).__dataclass_params__
    assert (parameters.frozen, parameters.eq, "__slots__" in vars(term)) == (True, True, True)


def test_what_is_not_said_is_not_so() -> None:
    usual = Circumstances(has_champion=True, identical=(), today=TODAY)
    assert (usual.champion_moved, usual.files_changed, usual.review) == (None, None, None)
    assert (usual.review_waives, usual.approval_required) == (False, False)
    check = Check(None, 0.5, "at least", ABSENT, "unmeasured")
    assert (check.needed, dict(check.slice), check.confidence) == (None, {}, None)
    assert not Decision("hold", "Hold.", ()).awaits_approval
    sliced = Sliced("category", 30, (MeasuredSlice("a", control(ABSENT)),))
    assert (dict(sliced.few), sliced.without, dict(sliced.slices[0].stricter)) == ({}, 0, {})
    (result,) = decided([asked_for(("passed", "warn", "none"))]).results
    assert result.severity == "warn"
