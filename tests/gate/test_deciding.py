"""The decision: a table of outcomes, the ways to fail closed, and laws that hold for any measurements."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.measurement import Comparison, Measured, Measurement
from finetune_gate.evaluators.statistics import Estimate, Interval
from finetune_gate.gate.deciding import Circumstances, Decision, Required, Review, decide
from finetune_gate.gate.gate_file import Rule

TODAY = date(2026, 6, 1)
USUAL = Circumstances(has_champion=True, identical=(), today=TODAY, review_waives=True)
ABSENT = Unmeasured("the judge crashed")


def estimate(low: float, high: float, value: float | None = None) -> Estimate:
    middle = (low + high) / 2 if value is None else value
    return Estimate(middle, Interval(low, high), 200, 200, "t", (high - low) / 3.3)


def measured(
    candidate: Measured = ABSENT, base: Measured = ABSENT, champion: Measured = ABSENT, higher_is_better: bool = True
) -> Measurement:
    return Measurement(
        metric="c.accuracy",
        higher_is_better=higher_is_better,
        unit="",
        confidence=0.95,
        planned=200,
        scored={"candidate": 200, "base": 200, "champion": 200},
        candidate=candidate,
        comparisons={"base": Comparison(ABSENT, base), "champion": Comparison(ABSENT, champion)},
    )


def rule(**settings: Any) -> Rule:
    return Rule.model_validate({"metric": "c.accuracy", **settings})


def judge(the_rule: Rule, measurement: Measurement, circumstances: Circumstances = USUAL) -> Decision:
    return decide([the_rule], {0: measurement}, circumstances)


@pytest.mark.parametrize(
    ("settings", "low", "high", "outcome"),
    [
        ({"min": 0.75}, 0.76, 0.80, "passed"),
        ({"min": 0.75}, 0.75, 0.80, "passed"),
        ({"min": 0.75}, 0.74, 0.80, "inconclusive"),
        ({"min": 0.75}, 0.70, 0.75, "inconclusive"),
        ({"min": 0.75}, 0.70, 0.749, "failed"),
        ({"max": 0.5}, 0.1, 0.5, "passed"),
        ({"max": 0.5}, 0.1, 0.6, "inconclusive"),
        ({"max": 0.5}, 0.5, 0.6, "inconclusive"),
        ({"max": 0.5}, 0.51, 0.6, "failed"),
        ({"min": 0.75, "confidence": "none"}, 0.5, 1.0, "passed"),
        ({"min": 0.76, "confidence": "none"}, 0.5, 1.0, "failed"),
    ],
)
def test_a_value_is_judged_by_its_interval(
    settings: Mapping[str, object], low: float, high: float, outcome: str
) -> None:
    assert judge(rule(**settings), measured(estimate(low, high))).results[0].outcome == outcome


@pytest.mark.parametrize(
    ("settings", "low", "high", "higher_is_better", "outcome"),
    [
        ({"min_change": 0.0}, 0.00, 0.04, True, "passed"),
        ({"min_change": 0.0}, -0.01, 0.04, True, "inconclusive"),
        ({"min_change": 0.0}, -0.04, -0.01, True, "failed"),
        ({"min_change": 0.0, "margin": 0.02}, -0.02, 0.04, True, "passed"),
        ({"min_change": 0.0, "margin": 0.02}, -0.03, 0.04, True, "inconclusive"),
        ({"min_change": 0.0, "margin": 0.02}, -0.05, -0.03, True, "failed"),
        ({"min_change": 0.05}, 0.06, 0.09, True, "passed"),
        ({"min_change": 0.05}, 0.01, 0.04, True, "failed"),
        # lower is better: a drop is the improvement
        ({"min_change": 0.0}, -0.5, -0.1, False, "passed"),
        ({"min_change": 0.0}, 0.1, 0.5, False, "failed"),
        ({"min_change": 0.0, "margin": 0.5}, 0.1, 0.5, False, "passed"),
        ({"min_change": 0.2}, -0.5, -0.2, False, "passed"),
        ({"min_change": 0.2}, -0.5, -0.1, False, "inconclusive"),
    ],
)
def test_a_change_is_an_improvement_in_the_metrics_own_direction(
    settings: Mapping[str, object], low: float, high: float, higher_is_better: bool, outcome: str
) -> None:
    difference = estimate(low, high)
    measurement = measured(base=difference, champion=difference, higher_is_better=higher_is_better)
    assert judge(rule(**settings), measurement).results[0].outcome == outcome


GOOD, BAD, OPEN = estimate(0.01, 0.05), estimate(-0.05, -0.01), estimate(-0.02, 0.02)


@pytest.mark.parametrize(
    ("against", "base", "champion", "outcome"),
    [
        (None, GOOD, GOOD, "passed"),
        (None, GOOD, BAD, "failed"),
        (None, BAD, GOOD, "failed"),
        (None, GOOD, OPEN, "inconclusive"),
        (None, GOOD, ABSENT, "unmeasured"),
        (None, OPEN, ABSENT, "unmeasured"),
        (None, BAD, ABSENT, "failed"),
        ("base", GOOD, BAD, "passed"),
        ("champion", BAD, GOOD, "passed"),
    ],
)
def test_a_change_is_compared_with_every_baseline_it_names(
    against: str | None, base: Measured, champion: Measured, outcome: str
) -> None:
    result = judge(rule(min_change=0.0, against=against), measured(base=base, champion=champion))
    assert result.results[0].outcome == outcome


def test_a_first_model_is_judged_against_its_base_alone_and_says_so() -> None:
    first = replace(USUAL, has_champion=False)
    decision = judge(rule(min_change=0.0), measured(base=GOOD), first)
    assert decision.verdict == "promote"
    assert "judged against its base alone" in decision.sentence
    required = judge(rule(min_change=0.0, against="champion"), replace(measured(), comparisons={}), first)
    assert required.verdict == "hold"
    assert "there is no champion yet" in required.sentence


PASSED, FAILED, UNSETTLED = measured(estimate(0.8, 0.9)), measured(estimate(0.1, 0.2)), measured(estimate(0.7, 0.9))
RULE = rule(min=0.75)
WARNING = rule(min=0.75, severity="warn")


@pytest.mark.parametrize(
    ("rules", "measurements", "verdict"),
    [
        ([], [], "hold"),
        ([WARNING], [PASSED], "hold"),
        ([RULE], [PASSED], "promote"),
        ([RULE, WARNING], [PASSED, FAILED], "promote"),
        ([RULE, RULE], [PASSED, FAILED], "block"),
        ([RULE, RULE], [PASSED, UNSETTLED], "hold"),
        ([RULE, RULE], [FAILED, UNSETTLED], "block"),
        ([RULE, RULE], [PASSED, measured()], "hold"),
        ([RULE], [None], "hold"),
    ],
)
def test_verdicts(rules: Sequence[Rule], measurements: Sequence[Measurement | None], verdict: str) -> None:
    found = {index: measurement for index, measurement in enumerate(measurements) if measurement is not None}
    assert decide(rules, found, USUAL).verdict == verdict


def test_identical_or_changed_files_and_a_moved_champion_never_promote() -> None:
    identical = judge(RULE, PASSED, replace(USUAL, identical=("champion",)))
    assert (identical.verdict, identical.sentence) == (
        "hold",
        "Hold: the candidate's files are identical to the champion's.",
    )
    moved = judge(RULE, PASSED, replace(USUAL, champion_moved="alias champion points to version 5"))
    assert moved.verdict == "hold"
    assert "version 5" in moved.sentence
    changed = judge(RULE, PASSED, replace(USUAL, files_changed="the files of v2 are others: digest changed"))
    assert changed.verdict == "hold"
    assert "meanwhile the files of v2 are others: digest changed; see who writes there" in changed.sentence
    assert judge(RULE, FAILED, replace(USUAL, identical=("base",))).verdict == "block"


@pytest.mark.parametrize(
    ("expires", "outcome", "verdict"), [("2026-06-01", "waived", "hold"), ("2026-05-31", "failed", "block")]
)
def test_a_waiver_holds_until_its_day_and_is_no_positive_proof(expires: str, outcome: str, verdict: str) -> None:
    waived = rule(min=0.75, waiver={"owner": "ana", "reason": "known gap", "expires": expires})
    decision = judge(waived, FAILED)
    assert (decision.results[0].outcome, decision.verdict) == (outcome, verdict)
    assert "ana" in decision.results[0].sentence
    beside = decide([waived, RULE], {0: FAILED, 1: PASSED}, USUAL)
    assert beside.verdict == ("promote" if outcome == "waived" else "block")


APPROVED, BLOCKED = (Review(verdict, "ana", "typos only") for verdict in ("approve", "block"))
WAIVED = rule(min=0.75, waiver={"owner": "ben", "reason": "known gap", "expires": "2026-06-01"})
EXPIRED = rule(min=0.75, waiver={"owner": "ben", "reason": "known gap", "expires": "2026-05-31"})


@pytest.mark.parametrize(
    ("rules", "measurements", "approved", "outcomes"),
    [
        ([RULE, RULE], [PASSED, UNSETTLED], "promote", ["passed", "waived"]),
        ([RULE, RULE], [PASSED, measured()], "promote", ["passed", "waived"]),
        ([RULE, RULE], [PASSED, None], "promote", ["passed", "waived"]),
        ([RULE, RULE], [PASSED, FAILED], "block", ["passed", "failed"]),
        ([RULE, RULE, RULE], [PASSED, UNSETTLED, FAILED], "block", ["passed", "waived", "failed"]),
        ([RULE, EXPIRED], [PASSED, FAILED], "block", ["passed", "failed"]),
        ([RULE, EXPIRED], [PASSED, UNSETTLED], "promote", ["passed", "waived"]),
        ([RULE, WAIVED], [PASSED, FAILED], "promote", ["passed", "waived"]),
        # no positive proof, so nothing to promote by
        ([RULE], [UNSETTLED], "hold", ["waived"]),
        ([RULE], [None], "hold", ["waived"]),
        ([RULE, WAIVED], [UNSETTLED, FAILED], "hold", ["waived", "waived"]),
        ([], [], "hold", []),
        ([WARNING], [PASSED], "hold", ["passed"]),
        # a warning is not in the way, and nobody has to answer for it
        ([RULE, WARNING], [PASSED, UNSETTLED], "promote", ["passed", "inconclusive"]),
        ([RULE, WARNING], [PASSED, FAILED], "promote", ["passed", "failed"]),
    ],
)
def test_a_review_settles_what_is_open_and_nothing_else(
    rules: Sequence[Rule], measurements: Sequence[Measurement | None], approved: str, outcomes: Sequence[str]
) -> None:
    found = {index: measurement for index, measurement in enumerate(measurements) if measurement is not None}
    decision = decide(rules, found, replace(USUAL, review=APPROVED))
    assert (decision.verdict, [result.outcome for result in decision.results]) == (approved, outcomes)
    if approved == "promote":
        assert "approved by ana in review: typos only" in decision.sentence
    blocked = decide(rules, found, replace(USUAL, review=BLOCKED))
    assert blocked.verdict == "block"
    assert [result.outcome for result in blocked.results] == [
        result.outcome for result in decide(rules, found, USUAL).results
    ]


@pytest.mark.parametrize(
    "circumstances",
    [
        replace(USUAL, identical=("base",)),
        replace(USUAL, champion_moved="alias champion points to version 5"),
        replace(USUAL, files_changed="the files of v2 are others: digest changed"),
    ],
)
def test_no_review_promotes_what_is_identical_or_was_judged_against_another_champion(
    circumstances: Circumstances,
) -> None:
    for measurement in (PASSED, UNSETTLED):
        reviewed = decide([RULE, RULE], {0: PASSED, 1: measurement}, replace(circumstances, review=APPROVED))
        assert reviewed.verdict == "hold"
        assert (
            decide([RULE, RULE], {0: PASSED, 1: measurement}, replace(circumstances, review=BLOCKED)).verdict == "block"
        )


def test_a_requirement_that_is_not_met_can_be_approved_and_its_rule_says_by_whom() -> None:
    required = {1: (Required("c.kappa", 0.6, "the raters do not agree", measured(estimate(0.1, 0.3))),)}
    decision = decide([RULE, RULE], {0: PASSED, 1: PASSED}, replace(USUAL, review=APPROVED), required)
    assert decision.verdict == "promote"
    assert decision.results[1].outcome == "waived"
    assert decision.results[1].sentence.endswith("; approved by ana in review: typos only")


def test_an_inconclusive_rule_says_how_many_examples_would_settle_it() -> None:
    sentence = judge(RULE, measured(estimate(0.70, 0.84))).sentence
    assert "examples would settle it, there are 200" in sentence


class _Odd(Interval):
    """An interval that its own constructor would have refused."""

    def __post_init__(self) -> None: ...


_ODD_NUMBERS = (float("nan"), float("inf"), float("-inf"))


@pytest.mark.parametrize("low", [*_ODD_NUMBERS, 0.5])
@pytest.mark.parametrize("high", [*_ODD_NUMBERS, 0.9])
@pytest.mark.parametrize(
    "settings", [{"min": 0.1}, {"max": 0.95}, {"min_change": 0.1}, {"min_change": -1, "margin": 1}]
)
@pytest.mark.parametrize("higher_is_better", [True, False])
def test_what_is_not_finite_never_passes(
    low: float, high: float, settings: Mapping[str, object], higher_is_better: bool
) -> None:
    odd = object.__new__(Estimate)
    parts = {"value": 0.7, "interval": _Odd(low, high), "n": 9, "clusters": 9, "method": "t"}
    for name, value in (parts | {"standard_error": None, "warnings": ()}).items():
        object.__setattr__(odd, name, value)
    decision = judge(rule(**settings), measured(odd, odd, odd, higher_is_better=higher_is_better))
    if (low, high) != (0.5, 0.9):
        assert decision.results[0].outcome == "unmeasured"
        assert decision.verdict == "hold"


@pytest.mark.parametrize("bound", ["min", "max", "min_change"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), "0.5", True, None])
def test_a_bound_is_a_finite_number(bound: str, value: object) -> None:
    with pytest.raises(ValueError, match=r"finite|number|expected exactly one"):
        rule(**{bound: value})


ENDS = st.floats(-2, 2, allow_nan=False).map(lambda x: round(x, 3))


@st.composite
def measureds(draw: st.DrawFn) -> Measured:
    if draw(st.integers(0, 4)) == 0:
        return ABSENT
    low, high = sorted((draw(ENDS), draw(ENDS)))
    return estimate(low, high)


@st.composite
def rules_with_measurements(draw: st.DrawFn) -> list[tuple[Rule, Measurement]]:
    pairs: list[tuple[Rule, Measurement]] = []
    for _ in range(draw(st.integers(0, 4))):
        bound = draw(st.sampled_from(["min", "max", "min_change"]))
        settings = {bound: draw(ENDS), "severity": draw(st.sampled_from(["block", "warn"]))}
        measurement = measured(draw(measureds()), draw(measureds()), draw(measureds()), draw(st.booleans()))
        pairs.append((rule(**settings), measurement))
    return pairs


RANK = {"block": 0, "hold": 1, "promote": 2}


def decide_pairs(pairs: Sequence[tuple[Rule, Measurement]]) -> Decision:
    return decide([pair[0] for pair in pairs], {i: pair[1] for i, pair in enumerate(pairs)}, USUAL)


@given(rules_with_measurements(), rules_with_measurements())
def test_another_rule_never_improves_a_settled_decision(
    pairs: list[tuple[Rule, Measurement]], more: list[tuple[Rule, Measurement]]
) -> None:
    before, after = decide_pairs(pairs).verdict, decide_pairs([*pairs, *more]).verdict
    has_blocking_rule = any(the_rule.severity == "block" for the_rule, _ in pairs)
    if has_blocking_rule:
        assert RANK[after] <= RANK[before]


@given(rules_with_measurements())
def test_the_order_of_rules_never_matters(pairs: list[tuple[Rule, Measurement]]) -> None:
    verdicts = {decide_pairs(list(order)).verdict for order in itertools.permutations(pairs)}
    assert len(verdicts) == 1


@given(rules_with_measurements())
def test_losing_a_measurement_never_promotes(pairs: list[tuple[Rule, Measurement]]) -> None:
    if decide_pairs(pairs).verdict == "promote":
        return
    lost = [(the_rule, measured()) for the_rule, _ in pairs]
    assert decide_pairs(lost).verdict != "promote"


@given(ENDS, ENDS, st.floats(0, 1), ENDS)
def test_worse_evidence_never_improves_the_decision(a: float, b: float, drop: float, bound: float) -> None:
    low, high = sorted((a, b))
    better = judge(rule(min=bound), measured(estimate(low, high)))
    worse = judge(rule(min=bound), measured(estimate(low - drop, high - drop)))
    assert RANK[worse.verdict] <= RANK[better.verdict]


@given(rules_with_measurements(), st.sampled_from([APPROVED, BLOCKED]))
def test_a_review_never_makes_a_failed_rule_pass(pairs: list[tuple[Rule, Measurement]], review: Review) -> None:
    rules, found = [pair[0] for pair in pairs], {i: pair[1] for i, pair in enumerate(pairs)}
    alone, reviewed = decide(rules, found, USUAL), decide(rules, found, replace(USUAL, review=review))
    for before, after in zip(alone.results, reviewed.results, strict=True):
        assert before.outcome == after.outcome or (before.outcome, after.outcome) in (
            ("inconclusive", "waived"),
            ("unmeasured", "waived"),
        )
        assert before.outcome not in ("passed", "failed") or after == before
    if alone.verdict == "block" or review is BLOCKED:
        assert reviewed.verdict == "block"
    elif alone.verdict == "promote":
        assert reviewed.verdict == "promote"
    elif reviewed.verdict == "promote":
        assert any(result.outcome == "passed" and result.severity == "block" for result in alone.results)
