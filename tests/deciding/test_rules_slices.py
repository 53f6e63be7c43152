"""Rules on every value of a column: measured, decided by Holm's step-down, said, and recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finetune_gate.evaluators.absent import Unmeasured, Value
from finetune_gate.evaluators.estimators import Mean
from finetune_gate.evaluators.evaluator import Evaluator
from finetune_gate.evaluators.measurement import Comparison, Measured, Measurement
from finetune_gate.evaluators.metrics import Metric
from finetune_gate.evaluators.scores import EvaluatorScores, ScoredExample, ScoreTable
from finetune_gate.evaluators.statistics import Estimate, Interval
from finetune_gate.evaluators.statistics.quantiles import normal_cdf, normal_quantile
from finetune_gate.gate.deciding import (
    Check,
    Circumstances,
    Decision,
    MeasuredSlice,
    Required,
    Sliced,
    SlicedMeasurement,
    decide,
    open_step,
)
from finetune_gate.gate.gate_file import Gate, Rule
from finetune_gate.gate.gate_file.settings import GateFile
from finetune_gate.gate.run.looks import Levels
from finetune_gate.gate.run.measuring import measure_gate
from finetune_gate.gate.run.record_parts import rule_record

FIRST = Circumstances(has_champion=False, identical=(), today=date(2026, 6, 1))
USUAL = replace(FIRST, has_champion=True)
ABSENT = Unmeasured("the judge crashed")
ERROR = 0.05


def rule(**bound: Any) -> Rule:
    return Rule.model_validate({"metric": "c.accuracy", "slices": "language", **bound})


def normal(value: float, confidence: float) -> Estimate:
    half = normal_quantile(confidence) * ERROR
    return Estimate(value, Interval(value - half, value + half), 100, 100, "t", ERROR)


def measured(value: float | Unmeasured, confidence: float = 0.95) -> Measurement:
    found: Measured = value if isinstance(value, Unmeasured) else normal(value, confidence)
    beside = Comparison(ABSENT, found)
    return Measurement(
        "c.accuracy", True, "", confidence, 100, {"candidate": 100}, found, {"base": beside, "champion": beside}
    )


def sliced(values: Mapping[str, float | Unmeasured], comparisons: int | None = None, **more: Any) -> SlicedMeasurement:
    """Every value measured at every level that could be asked for."""
    most = comparisons or len(values)
    slices = tuple(
        MeasuredSlice(name, measured(value), {k: measured(value, 1 - 0.05 / k) for k in range(2, most + 1)})
        for name, value in values.items()
    )
    found = measured(0.9)
    return SlicedMeasurement(
        found.metric, True, "", 0.95, 900, {"candidate": 900}, found.candidate, found.comparisons,
        sliced=(Sliced("language", 30, slices, **more),),
    )  # fmt: skip


def judged(the_rule: Rule, measurement: Measurement, circumstances: Circumstances = FIRST) -> Decision:
    return decide([the_rule], {0: measurement}, circumstances)


def by_value(decision: Decision) -> dict[str, str]:
    return {check.slice["language"]: check.outcome for check in decision.results[0].checks}


def holm(values: Sequence[float], bound: float) -> set[int]:
    """Which of them fail, from p-values: of the i-th smallest of m, p <= alpha / (m - i + 1), and so of all before."""
    p = [normal_cdf((value - bound) / ERROR) for value in values]
    failed: set[int] = set()
    for step, at in enumerate(sorted(range(len(p)), key=lambda at: p[at])):
        if p[at] >= 0.05 / (len(p) - step):
            break
        failed.add(at)
    return failed


# --- deciding


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(st.lists(st.integers(-200, 200).map(lambda thousandths: 0.7 + thousandths / 1000), min_size=1, max_size=8))
def test_which_values_fail_is_holms_step_down(values: list[float]) -> None:
    names = [f"v{at}" for at in range(len(values))]
    found = by_value(judged(rule(min=0.7), sliced(dict(zip(names, values, strict=True)))))
    assert {name for name, outcome in found.items() if outcome == "failed"} == {names[at] for at in holm(values, 0.7)}
    for name, value in zip(names, values, strict=True):
        assert (found[name] == "passed") == (normal(value, 0.95).interval.low >= 0.7)


@pytest.mark.parametrize(
    ("values", "verdict", "outcome"),
    [
        ({"de": 0.9, "fr": 0.85}, "promote", "passed"),
        ({"de": 0.9, "fr": 0.75}, "hold", "inconclusive"),
        ({"de": 0.9, "fr": 0.40}, "block", "failed"),
        ({"de": 0.9, "fr": 0.61}, "hold", "inconclusive"),  # fails by itself, and not as one of two
        ({"fr": 0.61}, "block", "failed"),
        ({"de": 0.9, "fr": ABSENT}, "hold", "unmeasured"),
        ({"de": 0.4, "fr": ABSENT}, "block", "failed"),
        ({"de": 0.75, "fr": ABSENT}, "hold", "unmeasured"),
        ({}, "hold", "unmeasured"),
    ],
    ids=["all", "open", "one", "by_chance", "alone", "absent", "failed_absent", "open_absent", "none"],
)
def test_every_value_must_pass(values: dict[str, float | Unmeasured], verdict: str, outcome: str) -> None:
    decision = judged(rule(min=0.7), sliced(values))
    assert (decision.verdict, decision.results[0].outcome) == (verdict, outcome)


def test_baselines_are_comparisons_too() -> None:
    """A change that fails as one of two, and not as one of four."""
    found = sliced({"de": 0.1, "fr": -0.105}, 4)
    assert judged(rule(min_change=0.0), found).verdict == "block"
    both = judged(rule(min_change=0.0), found, USUAL)
    assert (both.verdict, len(both.results[0].checks)) == ("hold", 4)


def test_many_values_do_not_block_by_chance() -> None:
    """Twenty values, all of them just at the bound: the rule fails in at most 5 % of datasets, not in 64 %."""
    rng = np.random.default_rng(11)
    failed = sum(bool(holm(list(0.7 + ERROR * rng.standard_normal(20)), 0.7)) for _ in range(2000))
    assert failed <= 0.06 * 2000
    decided = 0
    for _ in range(100):
        values = {f"v{at:02}": float(0.7 + ERROR * rng.standard_normal()) for at in range(20)}
        decided += judged(rule(min=0.7), sliced(values)).verdict == "block"
    assert decided <= 10


def test_a_comparison_shows_the_interval_that_decided_it() -> None:
    decision = judged(rule(min=0.7), sliced({"de": 0.9, "fr": 0.40, "nl": 0.61}))
    shown = {check.slice["language"]: check for check in decision.results[0].checks}
    assert {name: check.confidence for name, check in shown.items()} == {
        "de": None,
        "fr": pytest.approx(1 - 0.05 / 3),
        "nl": pytest.approx(1 - 0.05 / 2),
    }
    for check in shown.values():
        assert isinstance(check.measured, Estimate)
        inside = check.measured.interval.low <= 0.7 <= check.measured.interval.high
        assert inside == (check.outcome == "inconclusive")


def test_point_estimates_have_no_levels() -> None:
    found = judged(rule(min=0.7, confidence="none"), sliced({"de": 0.9, "fr": 0.69}))
    assert by_value(found) == {"de": "passed", "fr": "failed"}
    assert found.verdict == "block"


def without_levels(found: SlicedMeasurement) -> SlicedMeasurement:
    (one,) = found.sliced
    return replace(found, sliced=(replace(one, slices=tuple(replace(part, stricter={}) for part in one.slices)),))


@pytest.mark.parametrize(
    "found",
    [
        measured(0.9),
        replace(sliced({"de": 0.9}), sliced=()),
        replace(sliced({"de": 0.9}), sliced=(Sliced("category", 30, ()),)),
        replace(sliced({"de": 0.9}), sliced=(replace(sliced({"de": 0.9}).sliced[0], least=2),)),
        without_levels(sliced({"de": 0.4, "fr": 0.9})),
        None,
    ],
    ids=["whole", "nothing", "another_column", "another_least", "no_levels", "no_measurement"],
)
def test_what_was_not_measured_by_value_never_passes(found: Measurement | None) -> None:
    decision = decide([rule(min=0.7)], {} if found is None else {0: found}, FIRST)
    assert (decision.verdict, decision.results[0].outcome) == ("hold", "unmeasured")


def test_a_rule_on_all_examples_reads_the_whole() -> None:
    decision = judged(rule(min=0.7, slices=None), sliced({"de": 0.1}))
    assert decision.verdict == "promote"


VALUE = st.integers(-6, 6).map(lambda twentieths: 0.7 + twentieths / 20)


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.lists(VALUE, min_size=1, max_size=5), st.integers(0, 4), st.integers(0, 6))
def test_a_worse_value_never_improves_the_decision(values: list[float], at: int, drop: int) -> None:
    rank = {"block": 0, "hold": 1, "promote": 2}
    worse = list(values)
    worse[at % len(values)] -= drop / 20
    names = [f"v{index}" for index in range(len(values))]
    before = judged(rule(min=0.7), sliced(dict(zip(names, values, strict=True))))
    after = judged(rule(min=0.7), sliced(dict(zip(names, worse, strict=True))))
    assert rank[after.verdict] <= rank[before.verdict]


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(st.permutations([0.9, 0.72, 0.61, 0.5, 0.3]))
def test_the_order_of_values_never_matters(values: list[float]) -> None:
    names = {value: f"v{value}" for value in values}
    decision = judged(rule(min=0.7), sliced({names[value]: value for value in values}))
    usual = judged(rule(min=0.7), sliced({names[value]: value for value in sorted(values)}))
    assert by_value(decision) == by_value(usual)
    assert decision.verdict == usual.verdict


# --- sentences


def test_the_sentence_names_the_values() -> None:
    few = {f"x{at}": at + 1 for at in range(7)}
    values = {"de": 0.9, "fr": 0.40, "nl": 0.35, "pl": 0.75}
    found = judged(rule(min=0.7), sliced(values, few=few, without=12)).results[0].sentence
    assert found.startswith("c.accuracy for language 'nl' is not at least 0.7: 0.35 [")
    assert "; at 98.75 % confidence, for 4 comparisons; 2 of 4 values of 'language' failed: 'fr', 'nl'; " in found
    assert "7 values with fewer than 30 examples not judged: 'x6' (7), 'x5' (6), 'x4' (5), 'x3' (4), 'x2' (3)" in found
    assert found.endswith(" and 2 more; 12 examples without 'language' not judged")


def test_the_sentence_of_a_pass_tells_the_closest() -> None:
    found = judged(rule(min=0.7), sliced({"de": 0.9, "fr": 0.85})).results[0].sentence
    assert found.startswith("c.accuracy for language 'fr' is at least 0.7: 0.85 [")
    assert found.endswith("; all 2 values of 'language' passed")


def test_no_value_with_enough_examples_is_said() -> None:
    found = judged(rule(min=0.7), sliced({}, few={"de": 12, "fr": 3})).results[0]
    assert found.outcome == "unmeasured"
    assert found.sentence == "c.accuracy was not measured: no value of 'language' has 30 examples, 'de' (12), 'fr' (3)"


def test_values_from_the_data_are_inert_in_sentences() -> None:
    hostile = "\x1b[31mred\u202e" + "a" * 500
    for values, few in (({hostile: 0.4}, {}), ({"de": 0.9}, {hostile: 3}), ({}, {hostile: 3})):
        found = judged(rule(min=0.7), sliced(values, few=few)).results[0].sentence
        assert "\x1b" not in found
        assert "\u202e" not in found
        assert len(found) < 400


def test_a_waiver_is_said_of_the_whole_rule() -> None:
    waiver = {"owner": "ana", "reason": "known gap", "expires": "2026-06-01"}
    result = judged(rule(min=0.7, waiver=waiver), sliced({"de": 0.9, "fr": 0.40})).results[0]
    assert result.outcome == "waived"
    assert result.sentence.endswith("; waived by ana until 2026-06-01: known gap")
    assert by_value(judged(rule(min=0.7, waiver=waiver), sliced({"de": 0.9, "fr": 0.40}))) == {
        "de": "passed",
        "fr": "failed",
    }


def test_what_is_required_holds_for_every_value() -> None:
    required = Required("c.kappa", 0.95, "the raters do not agree", measured(0.9))
    result = decide([rule(min=0.7)], {0: sliced({"de": 0.9, "fr": 0.40})}, FIRST, {0: [required]}).results[0]
    assert {check.outcome for check in result.checks} == {"unmeasured"}


def test_the_record_holds_every_value() -> None:
    result = judged(rule(min=0.7), sliced({"de": 0.9, "fr": 0.40})).results[0]
    kept = rule_record(result, 0)
    assert [check.slice for check in kept.checks] == [{"language": "de"}, {"language": "fr"}]
    assert [check.confidence for check in kept.checks] == [None, 0.975]
    assert kept.settings["slices"] == "language"


# --- measuring

ACCURACY = Metric("accuracy", True, Mean("correct", 0.0, 1.0), 0.0, 1.0)


@dataclass(frozen=True)
class Scripted:
    title: str = "c"

    def metrics(self) -> tuple[Metric, ...]:
        return (ACCURACY,)


def gate_of(*rules: Rule) -> Gate:
    file = GateFile.model_validate(
        {"model": "m", "data": {"h": {"path": "h.jsonl"}}, "evaluators": [{"c": {}}], "rules": list(rules)}
    )
    return Gate(Path("gate.yaml"), "", file, {"c": cast("Evaluator", Scripted())}, rules)


def table_of(shares: Mapping[str | None, tuple[int, float]], champion: bool = False) -> ScoreTable:
    """By value: how many examples there are, and the share that the candidate has right; a baseline has half."""
    examples: list[ScoredExample] = []
    ours: list[Value] = []
    theirs: list[Value] = []
    for name, (count, share) in shares.items():
        for at in range(count):
            examples.append(ScoredExample(f"{name}{at}", None, {} if name is None else {"language": name}))
            ours.append(float(at < share * count))
            theirs.append(float(at % 2))
    columns = {"candidate": {"correct": tuple(ours)}, "base": {"correct": tuple(theirs)}}
    if champion:
        columns["champion"] = {"correct": tuple(theirs)}
    return ScoreTable((EvaluatorScores("c", tuple(examples), columns),))


def decided(table: ScoreTable, *rules: Rule, levels: Levels | None = None) -> Decision:
    found = measure_gate(gate_of(*rules), table, levels)
    by_rule = {index: found.measurements[at] for index, at in enumerate(found.rests_on)}
    circumstances = USUAL if "champion" in table.of("c").columns else FIRST
    return decide(rules, by_rule, circumstances, found.required)


SHARES: Mapping[str | None, tuple[int, float]] = {"de": (100, 0.9), "fr": (80, 0.5), "nl": (29, 0.1), None: (7, 1.0)}


def test_values_of_the_data_are_measured_and_decided() -> None:
    result = decided(table_of(SHARES), rule(min=0.7)).results[0]
    assert {check.slice["language"]: check.outcome for check in result.checks} == {"de": "passed", "fr": "failed"}
    assert "1 value with fewer than 30 examples not judged: 'nl' (29)" in result.sentence
    assert result.sentence.endswith("7 examples without 'language' not judged")
    all_judged = decided(table_of(SHARES), rule(min=0.7, min_n=29)).results[0]
    assert {check.slice["language"] for check in all_judged.checks} == {"de", "fr", "nl"}


def test_every_level_that_holm_asks_for_is_measured() -> None:
    shares: dict[str | None, tuple[int, float]] = {f"v{at}": (60, 0.05 + at / 20) for at in range(18)}
    for bound in ({"min": 0.7}, {"min_change": 0.1}, {"max_change": 0.1}, {"min_relative_change": 0.1}):
        table = table_of(shares, champion=True)
        found = measure_gate(gate_of(rule(**bound)), table)
        measurement = found.measurements[found.rests_on[0]]
        assert isinstance(measurement, SlicedMeasurement)
        assert open_step(rule(**bound), measurement.sliced[0], has_champion=True) is None
        result = decided(table, rule(**bound)).results[0]
        assert not any("not measured at the level" in str(check.measured) for check in result.checks)
        assert {"failed", "passed", "inconclusive"} == {check.outcome for check in result.checks}


def test_rules_on_one_column_share_what_they_can_and_keep_apart_what_they_cannot() -> None:
    rules = (rule(min=0.7), rule(min=0.4), rule(min=0.7, min_n=29), rule(min=0.7, confidence=0.9), rule(min_change=0.1))
    together = decided(table_of(SHARES), *rules).results
    for index, one in enumerate(rules):
        (alone,) = decided(table_of(SHARES), one).results
        assert replace(together[index], index=0) == alone


def test_each_value_is_a_measurement_of_the_run_once() -> None:
    found = measure_gate(gate_of(rule(min=0.7), rule(min=0.4), rule(min=0.7, slices=None)), table_of(SHARES))
    assert [dict(one.slice) for one in found.measurements] == [{}, {"language": "de"}, {"language": "fr"}]
    assert found.rests_on == (0, 0, 0)


def test_a_column_that_nobody_kept_holds() -> None:
    decision = decided(table_of(SHARES), rule(min=0.7, slices="author"))
    assert decision.verdict == "hold"
    assert "no value of 'author' has 30 examples" in decision.sentence


def test_a_value_that_is_not_all_there_yet_is_not_passed_over() -> None:
    """At a look at some of the examples, what has too few so far may have enough in the end."""
    good: dict[str | None, tuple[int, float]] = {"de": (100, 0.95), "nl": (12, 0.9)}
    early = Levels(1, (0.5, 1.0), {("c", ()): (112, 224)})
    result = decided(table_of(good), rule(min=0.7), levels=early).results[0]
    assert result.outcome == "unmeasured"
    assert "12 examples of at least 30 have been seen so far" in result.sentence
    assert decided(table_of(good), rule(min=0.7), levels=replace(early, at=2)).verdict == "promote"
    unseen = Levels(1, (0.5, 1.0), {("c", ()): (100, 200), ("c", (("language", "pl"),)): (0, 40)})
    result = decided(table_of({"de": (100, 0.95)}), rule(min=0.7), levels=unseen).results[0]
    assert {check.slice["language"]: check.outcome for check in result.checks} == {"de": "passed", "pl": "unmeasured"}


def test_a_value_whose_answers_failed_is_unmeasured() -> None:
    table = table_of({"de": (100, 0.95), "fr": (60, 0.95)})
    scores = table.of("c")
    lost = tuple(
        Unmeasured("timed out") if one.slices["language"] == "fr" else value
        for one, value in zip(scores.examples, scores.columns["candidate"]["correct"], strict=True)
    )
    columns = {**scores.columns, "candidate": {"correct": lost}}
    decision = decided(ScoreTable((replace(scores, columns=columns),)), rule(min=0.7, min_coverage=0.9))
    assert decision.verdict == "hold"
    assert "timed out" in decision.sentence


def test_a_check_of_the_whole_has_no_slice() -> None:
    check = Check(None, 0.7, "at least", ABSENT, "unmeasured")
    assert (check.slice, check.confidence) == ({}, None)
