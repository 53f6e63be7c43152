"""Laws of the decision, for any rules, evidence and circumstances. docs/deciding.md lists them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from math import isfinite
from random import Random

import pytest
from evidence_strategies import (
    ABSENT,
    BY_NAME,
    CASES,
    CIRCUMSTANCES,
    LAW,
    NOBODY_ANSWERS,
    PLAIN,
    RANK,
    REVIEWS,
    TODAY,
    USUAL,
    Asked,
    decided,
    questions,
)
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.estimators import Counted, Mean, Ratio
from finetune_gate.evaluators.measurement import Measured, Measurement, measure
from finetune_gate.evaluators.metrics import Estimator, Metric
from finetune_gate.evaluators.scores import EvaluatorScores, ScoredExample, ScoreTable
from finetune_gate.evaluators.statistics import COUNTED, Estimate, Interval
from finetune_gate.gate.deciding import Check, Circumstances, Decision, Review, RuleResult, decide
from finetune_gate.gate.gate_file.rules import Rule

ABOVE_ZERO = st.integers(1, 16).map(lambda eighths: eighths / 8)


def rank(asked: Sequence[Asked], circumstances: Circumstances) -> int:
    return RANK[decided(asked, circumstances).verdict]


def proved(decision: Decision) -> bool:
    return any(one.severity == "block" and one.outcome == "passed" for one in decision.results)


# --- another rule


@LAW
@given(CASES, questions("block", "fail"), CIRCUMSTANCES)
def test_another_failing_rule_always_blocks(asked: list[Asked], another: Asked, circumstances: Circumstances) -> None:
    another = another.with_settings(waiver=None, against=None)
    assume(decided([another], circumstances).results[0].outcome == "failed")  # not so where an interval has no width
    for at in range(len(asked) + 1):
        assert decided([*asked[:at], another, *asked[at:]], circumstances).verdict == "block"


@LAW
@given(CASES, questions("block"), CIRCUMSTANCES)
def test_another_blocking_rule_never_improves_the_verdict(
    asked: list[Asked], another: Asked, circumstances: Circumstances
) -> None:
    """But where nothing at all had been proved before, and that was why the candidate was held."""
    before = decided(asked, circumstances)
    after = decided([*asked, another], circumstances)
    if proved(before):
        assert RANK[after.verdict] <= RANK[before.verdict]
    if before.verdict == "block":
        assert after.verdict == "block"


@LAW
@given(CASES, st.lists(questions("warn"), max_size=3), CIRCUMSTANCES)
def test_warnings_never_change_the_verdict(
    asked: list[Asked], warnings: list[Asked], circumstances: Circumstances
) -> None:
    without = [one for one in asked if one.rule.severity == "block"]
    with_all = decided([*warnings, *asked], circumstances)
    assert with_all.verdict == decided(without, circumstances).verdict
    assert with_all.awaits_approval == decided(without, circumstances).awaits_approval


@LAW
@given(CASES, CIRCUMSTANCES)
def test_the_order_of_rules_never_matters(asked: list[Asked], circumstances: Circumstances) -> None:
    def told(decision: Decision) -> tuple[object, ...]:
        results = sorted((repr(one.rule), one.outcome, repr(one.checks)) for one in decision.results)
        return decision.verdict, decision.awaits_approval, results

    first = told(decided(asked, circumstances))
    for order in itertools.permutations(asked):
        assert told(decided(order, circumstances)) == first


# --- other evidence


@LAW
@given(CASES, ABOVE_ZERO, CIRCUMSTANCES)
def test_evidence_shifted_to_the_bad_side_never_improves_the_verdict(
    asked: list[Asked], by: float, circumstances: Circumstances
) -> None:
    def shifted(one: Asked) -> Asked:
        step = -by if one.kind.upward else by

        def shift(value: Measured) -> Measured:
            if isinstance(value, Unmeasured):
                return value
            ends = Interval(value.interval.low + step, value.interval.high + step)
            return replace(value, value=value.value + step, interval=ends)

        return one.with_values(shift)

    worse = [shifted(one) for one in asked]
    better, after = decided(asked, circumstances), decided(worse, circumstances)
    # with a waiver or an answering reviewer a rule that no longer passes is out of the way, and is no proof either
    assert RANK[after.verdict] <= RANK[better.verdict]


def weaker(before: Decision, after: Decision) -> bool:
    """Less evidence knows less: it may hold what was blocked or promoted, and does nothing else."""
    return after.verdict in (before.verdict, "hold")


@LAW
@given(CASES, ABOVE_ZERO, ABOVE_ZERO, NOBODY_ANSWERS)
def test_wider_intervals_never_decide_more(
    asked: list[Asked], below: float, above: float, circumstances: Circumstances
) -> None:
    def widen(value: Measured) -> Measured:
        # an interval without width is no evidence, unless everything was counted; wider, it would be some
        if isinstance(value, Unmeasured) or value.interval.width == 0:
            return value
        return replace(value, interval=Interval(value.interval.low - below, value.interval.high + above))

    before = decided(asked, circumstances)
    assert weaker(before, decided([one.with_values(widen) for one in asked], circumstances))


@LAW
@given(CASES, st.data(), NOBODY_ANSWERS)
def test_lost_measurements_never_decide_more(
    asked: list[Asked], data: st.DataObject, circumstances: Circumstances
) -> None:
    kept = [one.with_values(lambda value: data.draw(st.sampled_from([value, ABSENT]))) for one in asked]
    assert weaker(decided(asked, circumstances), decided(kept, circumstances))
    gone = [replace(one, values=data.draw(st.sampled_from([one.values, ()]))) for one in asked]
    assert weaker(decided(asked, circumstances), decided(gone, circumstances))


@LAW
@given(CASES, CIRCUMSTANCES)
def test_without_any_measurement_nothing_is_promoted(asked: list[Asked], circumstances: Circumstances) -> None:
    lost = [one.with_values(lambda value: ABSENT) for one in asked]
    assert decided(lost, circumstances).verdict != "promote"
    assert decided([replace(one, values=()) for one in asked], circumstances).verdict != "promote"


@LAW
@given(CASES, ABOVE_ZERO, NOBODY_ANSWERS)
def test_a_requirement_missed_by_more_never_decides_more(
    asked: list[Asked], more: float, circumstances: Circumstances
) -> None:
    stricter = [
        replace(one, required=tuple(replace(need, least=need.least + more) for need in one.required)) for one in asked
    ]
    assert weaker(decided(asked, circumstances), decided(stricter, circumstances))


@LAW
@given(CASES, CIRCUMSTANCES)
def test_a_requirement_that_is_met_changes_nothing_and_one_that_is_not_measures_nothing(
    asked: list[Asked], circumstances: Circumstances
) -> None:
    for one, result in zip(asked, decided(asked, circumstances).results, strict=True):
        met = all(
            isinstance(need.measurement.candidate, Estimate) and need.measurement.candidate.value >= need.least
            for need in one.required
        )
        if met:
            (alone,) = decided([replace(one, required=())], circumstances).results
            assert replace(result, index=0) == alone
        else:
            assert result.outcome in ("unmeasured", "waived")
            assert {check.outcome for check in result.checks} == {"unmeasured"}
            assert all(isinstance(check.measured, Unmeasured) and check.needed is None for check in result.checks)


# --- the scores beneath: in another order, and fewer of them

ESTIMATORS: dict[str, tuple[Estimator, tuple[str, ...]]] = {
    "a share": (Mean("right", 0.0, 1.0), ("right",)),
    "a graded mean": (Mean("grade", 0.0, 1.0), ("grade",)),
    "a mean without bounds": (Mean("grade"), ("grade",)),
    "a ratio": (Ratio("loss", "tokens"), ("loss", "tokens")),
    "what is counted": (Counted("right"), ("right",)),
}
SCORE = {
    "right": st.sampled_from([0.0, 1.0]),
    "grade": st.integers(0, 20).map(lambda twentieths: twentieths / 20),
    "loss": st.integers(1, 40).map(float),
    "tokens": st.integers(1, 9).map(float),
}


@st.composite
def tables(draw: st.DrawFn, components: Sequence[str]) -> ScoreTable:
    count = draw(st.integers(24, 32))
    examples = tuple(ScoredExample(f"e{at}", None, {"category": "ab"[at % 2]}) for at in range(count))
    columns = {
        role: {name: tuple(draw(st.lists(SCORE[name], min_size=count, max_size=count))) for name in components}
        for role in ("candidate", "base", "champion")
    }
    return ScoreTable((EvaluatorScores("scripted", examples, columns),))


def decided_on(table: ScoreTable, estimator: Estimator, rule: Rule) -> tuple[Decision, Measurement]:
    found = measure(Metric("quality", True, estimator), table.of("scripted"), min_coverage=0.9, slice_by=rule.slice)
    return decide([rule], {0: found}, USUAL), found


def numbers(measurement: Measurement) -> list[float]:
    measured = [measurement.candidate, *(one.difference for _, one in sorted(measurement.comparisons.items()))]
    found = [one for one in measured if isinstance(one, Estimate)]
    return [number for one in found for number in (one.value, one.interval.low, one.interval.high)]


RULES_ON_SCORES = [
    Rule(metric="scripted.quality", min=0.3),
    Rule(metric="scripted.quality", min_change=0.0, margin=0.21),
    Rule(metric="scripted.quality", max_change=0.13),
    Rule(metric="scripted.quality", min=0.3, slice={"category": "a"}),
]


@pytest.mark.parametrize("name", ESTIMATORS)
@settings(LAW, max_examples=8)
@given(st.data())
def test_the_order_of_examples_and_of_rows_never_matters(name: str, data: st.DataObject) -> None:
    estimator, components = ESTIMATORS[name]
    table = data.draw(tables(components))
    (scores,) = table.evaluators
    order = data.draw(st.permutations(range(len(scores.examples))))
    turned = EvaluatorScores(
        "scripted",
        tuple(scores.examples[at] for at in order),
        {
            role: {part: tuple(values[at] for at in order) for part, values in some.items()}
            for role, some in scores.columns.items()
        },
    )
    rows = list(table.rows())
    Random(data.draw(st.integers(0, 99))).shuffle(rows)
    for rule in RULES_ON_SCORES:
        decision, measurement = decided_on(table, estimator, rule)
        for other in (ScoreTable((turned,)), ScoreTable.from_rows(rows)):
            again, measured_again = decided_on(other, estimator, rule)
            assert again.verdict == decision.verdict
            assert [one.outcome for one in again.results] == [one.outcome for one in decision.results]
            assert numbers(measured_again) == pytest.approx(numbers(measurement), rel=1e-9, abs=1e-12)


@LAW
@given(tables(("right",)), st.data())
def test_lost_answers_never_promote_what_was_not(table: ScoreTable, data: st.DataObject) -> None:
    """They count against the candidate, whoever's they are."""
    (scores,) = table.evaluators
    role = data.draw(st.sampled_from(["candidate", "base", "champion"]))
    lost = data.draw(st.sets(st.integers(0, len(scores.examples) - 1), max_size=5))
    values = scores.columns[role]["right"]
    fewer = tuple(Unmeasured("timed out") if at in lost else value for at, value in enumerate(values))
    worse = ScoreTable((replace(scores, columns={**scores.columns, role: {"right": fewer}}),))
    for rule in (*RULES_ON_SCORES[:2], RULES_ON_SCORES[3]):  # the third is about what is too good
        before, _ = decided_on(table, Mean("right", 0.0, 1.0), rule)
        after, _ = decided_on(worse, Mean("right", 0.0, 1.0), rule)
        assert RANK[after.verdict] <= RANK[before.verdict] or (before.verdict, after.verdict) == ("block", "hold")


# --- people


@LAW
@given(CASES, st.integers(0, 3), CIRCUMSTANCES)
def test_a_waiver_only_moves_towards_promotion_and_is_seen(
    asked: list[Asked], at: int, circumstances: Circumstances
) -> None:
    assume(at < len(asked))
    bare = asked[at].with_settings(waiver=None)
    waived = asked[at].with_settings(waiver={"owner": "cleo", "reason": "sold out", "expires": TODAY})
    before = decided([*asked[:at], bare, *asked[at + 1 :]], circumstances)
    after = decided([*asked[:at], waived, *asked[at + 1 :]], circumstances)
    assert RANK[after.verdict] >= RANK[before.verdict]
    was, now = before.results[at], after.results[at]
    assert now.checks == was.checks
    if was.outcome == "passed":
        assert now.outcome == "passed"
        assert now.sentence == was.sentence
    else:
        assert now.outcome == "waived"
        assert "waived by cleo until 2026-06-01: sold out" in now.sentence
    if after.verdict == "promote" != before.verdict:
        assert "1 waived" in after.sentence or "waived" in now.outcome


@LAW
@given(CASES, CIRCUMSTANCES)
def test_an_expired_waiver_is_no_waiver(asked: list[Asked], circumstances: Circumstances) -> None:
    yesterday = {"owner": "ben", "reason": "known gap", "expires": date(2026, 5, 31)}
    without = decided([one.with_settings(waiver=None) for one in asked], circumstances)
    expired = decided([one.with_settings(waiver=yesterday) for one in asked], circumstances)
    assert expired.verdict == without.verdict
    assert [one.outcome for one in expired.results] == [one.outcome for one in without.results]
    for result in expired.results:
        assert ("the waiver of ben expired on 2026-05-31" in result.sentence) == (result.outcome != "passed")


@LAW
@given(CASES, CIRCUMSTANCES)
def test_a_review_that_blocks_always_blocks(asked: list[Asked], circumstances: Circumstances) -> None:
    blocked = replace(circumstances, review=Review("block", "ana", "it insults"))
    assert decided(asked, blocked).verdict == "block"


@LAW
@given(CASES, CIRCUMSTANCES)
def test_an_approval_never_turns_what_failed_and_answers_only_where_reviews_waive(
    asked: list[Asked], circumstances: Circumstances
) -> None:
    alone = decided(asked, replace(circumstances, review=None))
    approved = decided(asked, replace(circumstances, review=Review("approve", "ana", "typos only")))
    for before, after in zip(alone.results, approved.results, strict=True):
        assert after.checks == before.checks
        answered = (
            circumstances.review_waives
            and before.severity == "block"
            and before.outcome in ("inconclusive", "unmeasured")
        )
        assert after.outcome == ("waived" if answered else before.outcome)
        assert ("approved by ana in review: typos only" in after.sentence) == answered
    if alone.verdict == "block":
        assert approved.verdict == "block"
    assert RANK[approved.verdict] >= RANK[alone.verdict]


@LAW
@given(CASES, CIRCUMSTANCES)
def test_a_required_approval_never_promotes_without_one(asked: list[Asked], circumstances: Circumstances) -> None:
    required = replace(circumstances, approval_required=True)
    nobody = decided(asked, replace(required, review=None))
    assert nobody.verdict != "promote"
    approved = replace(circumstances, review=Review("approve", "ana", "typos only"))
    assert decided(asked, replace(approved, approval_required=True)) == decided(
        asked, replace(approved, approval_required=False)
    )
    # it is awaited exactly where it would promote
    free = decided(asked, replace(required, review=None, approval_required=False))
    assert nobody.awaits_approval == (free.verdict == "promote")
    assert not free.awaits_approval


# --- the world


@LAW
@given(CASES, CIRCUMSTANCES)
def test_what_is_identical_has_moved_or_was_changed_is_never_promoted(
    asked: list[Asked], circumstances: Circumstances
) -> None:
    plain = replace(circumstances, identical=(), champion_moved=None, files_changed=None)
    before = decided(asked, plain)
    for odd in ({"identical": ("base",)}, {"champion_moved": "version 5"}, {"files_changed": "digest of v2"}):
        after = decided(asked, replace(plain, **odd))
        assert after.verdict == ("hold" if before.verdict == "promote" else before.verdict)
        assert after.results == before.results
        assert not after.awaits_approval
        if before.verdict == "promote":
            (said,) = odd.values()
            assert (said if isinstance(said, str) else said[0]) in after.sentence


@LAW
@given(CASES, CIRCUMSTANCES, st.booleans())
def test_a_decision_is_the_same_when_taken_again(asked: list[Asked], circumstances: Circumstances, twice: bool) -> None:
    assert decided(asked, circumstances) == decided(asked, circumstances)


FAR = 1e150  # squares, sums and quotients of such numbers are still finite
HUGE = st.one_of(
    st.floats(-FAR, FAR, allow_nan=False),
    st.sampled_from([0.0, -0.0, 5e-324, -5e-324, 1e-300, FAR, -FAR]),
)


@st.composite
def huge_questions(draw: st.DrawFn) -> Asked:
    one = draw(questions(kinds=PLAIN))
    low, value, high = sorted((draw(HUGE), draw(HUGE), draw(HUGE)))
    error, method = draw(st.one_of(st.none(), HUGE.map(abs))), draw(st.sampled_from(["t", COUNTED]))
    found = Estimate(value, Interval(low, high), draw(st.integers(2, 10**9)), 5, method, error)
    return replace(one.with_values(lambda _: found), rule=one.kind.rule(draw(HUGE)))


@LAW
@given(st.lists(huge_questions(), max_size=2), CIRCUMSTANCES)
def test_any_numbers_give_a_decision(asked: list[Asked], circumstances: Circumstances) -> None:
    assert decided(asked, circumstances).verdict in RANK


@pytest.mark.parametrize(
    ("low", "bound", "count"), [(-1e308, -1e-300, 0), (-1.7e308, -1.7e308, 2)], ids=["nothing", "infinite"]
)
def test_numbers_beyond_all_measure_give_a_decision_too(low: float, bound: float, count: int) -> None:
    value = 0.0 if count == 0 else 1.7e308
    found = Estimate(value, Interval(low, value), count, 5, "t", None)
    bound = bound / 2 if count else bound
    asked = Asked(BY_NAME["min"], bound, BY_NAME["min"].rule(bound), (found,))
    assert decided([asked]).verdict == "hold"


# --- positive proof, said again in other words than those of the code


def on_the_good_side(check: Check, result: RuleResult) -> bool:
    if check.outcome != "passed" or not isinstance(check.measured, Estimate):
        return False
    end = check.measured.interval.low if check.side == "at least" else check.measured.interval.high
    if result.rule.confidence == "none":
        end = check.measured.value
    ends = (check.measured.interval.low, check.measured.interval.high, end, check.bound)
    distance = end - check.bound if check.side == "at least" else check.bound - end
    return all(map(isfinite, ends)) and distance >= 0


@LAW
@given(CASES, CIRCUMSTANCES)
def test_a_promotion_rests_on_positive_proof(asked: list[Asked], circumstances: Circumstances) -> None:
    decision = decided(asked, circumstances)
    assert [one.rule for one in decision.results] == [one.rule for one in asked]
    if decision.verdict != "promote":
        return
    blocking = [one for one in decision.results if one.rule.severity == "block"]
    for result in blocking:
        if result.outcome == "waived":
            waived = result.rule.waiver is not None and result.rule.waiver.expires >= circumstances.today
            assert waived or circumstances.review_waives
            assert "waived by" in result.sentence or "approved by" in result.sentence
        else:
            assert result.checks
            assert all(on_the_good_side(check, result) for check in result.checks)
    assert any(result.outcome == "passed" for result in blocking)
    assert decision.sentence.startswith("Promote: ")


def test_nothing_to_decide_on_is_held() -> None:
    assert decide([], {}, USUAL).verdict == "hold"


@LAW
@given(CASES, REVIEWS)
def test_every_rule_is_answered_in_its_place(asked: list[Asked], review: Review | None) -> None:
    results = decided(asked, replace(USUAL, review=review)).results
    assert [(one.index, one.rule) for one in results] == [(at, one.rule) for at, one in enumerate(asked)]
