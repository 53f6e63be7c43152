"""Rules on metrics about pairs of models and about the run, and what rules require of other metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from finetune_gate.evaluators.absent import Unmeasured, Value
from finetune_gate.evaluators.estimators import Mean
from finetune_gate.evaluators.measurement import Comparison, Measured, Measurement, measure
from finetune_gate.evaluators.metrics import Metric, Subject
from finetune_gate.evaluators.scores import EvaluatorScores, ScoredExample
from finetune_gate.evaluators.statistics import Estimate, Interval
from finetune_gate.gate.deciding import Circumstances, Required, decide
from finetune_gate.gate.gate_file import Rule

FIRST = Circumstances(has_champion=False, identical=(), today=date(2026, 6, 1))
USUAL = replace(FIRST, has_champion=True)
ITSELF = Unmeasured("a model is not compared with itself")


def around(value: float, half: float = 0.05) -> Estimate:
    return Estimate(value, Interval(value - half, value + half), 200, 200, "Wilson", half / 1.6)


def beside(base: Measured, champion: Measured | None = None) -> Measurement:
    pairs = {"base": Comparison(ITSELF, base)}
    if champion is not None:
        pairs["champion"] = Comparison(ITSELF, champion)
    scored = dict.fromkeys(pairs, 200)
    return Measurement("ab_judge.win_rate", True, "", 0.95, 200, scored, ITSELF, pairs, subject="pair")


def of_run(value: Measured) -> Measurement:
    return Measurement("ab_judge.control_worse", True, "", 0.95, 12, {"candidate": 12}, value, {}, subject="run")


def rule(**settings: Any) -> Rule:
    return Rule.model_validate({"metric": "ab_judge.win_rate", **settings})


@pytest.mark.parametrize(
    ("settings", "measurement", "circumstances", "outcome"),
    [
        ({"min": 0.5}, beside(around(0.6)), FIRST, "passed"),
        ({"min": 0.5}, beside(around(0.6), around(0.6)), USUAL, "passed"),
        ({"min": 0.5}, beside(around(0.6), around(0.4)), USUAL, "failed"),
        ({"min": 0.5}, beside(around(0.6), around(0.5)), USUAL, "inconclusive"),
        ({"min": 0.5, "against": "base"}, beside(around(0.6), around(0.4)), USUAL, "passed"),
        ({"min": 0.5, "against": "champion"}, beside(around(0.6), around(0.4)), USUAL, "failed"),
        ({"min": 0.5, "against": "champion"}, beside(around(0.6)), FIRST, "unmeasured"),
        ({"min": 0.5}, beside(around(0.6)), USUAL, "unmeasured"),
        ({"max": 0.3}, beside(around(0.2)), FIRST, "passed"),
        ({"max": 0.3}, beside(around(0.4)), FIRST, "failed"),
        ({"min": 0.5}, beside(Unmeasured("the judge crashed")), FIRST, "unmeasured"),
    ],
)
def test_a_pair_is_bounded_beside_each_baseline(
    settings: dict[str, Any], measurement: Measurement, circumstances: Circumstances, outcome: str
) -> None:
    result = decide([rule(**settings)], {0: measurement}, circumstances).results[0]
    assert result.outcome == outcome
    assert "minus" not in result.sentence


@pytest.mark.parametrize(
    ("control", "outcome", "said"),
    [
        (around(0.8), "passed", "against the base is at least 0.5"),
        (around(0.75), "passed", "is at least"),
        (around(0.7), "unmeasured", "control_worse is 0.7, not at least 0.75: the judge cannot tell worse answers"),
        (Unmeasured("nothing to build from"), "unmeasured", "is required, and was not measured: nothing to build from"),
    ],
)
def test_without_what_it_requires_a_rule_is_unmeasured(control: Measured, outcome: str, said: str) -> None:
    required = Required("ab_judge.control_worse", 0.75, "the judge cannot tell worse answers", of_run(control))
    for bound in ({"min": 0.5}, {"min": 0.7}):
        decision = decide([rule(**bound)], {0: beside(around(0.6))}, FIRST, {0: [required]})
        if bound == {"min": 0.5}:
            assert decision.results[0].outcome == outcome
            assert said in decision.results[0].sentence
        if outcome == "unmeasured":  # nor may an untrusted judge block
            assert decision.verdict == "hold"


def scores(**columns: Sequence[Value]) -> EvaluatorScores:
    count = len(next(iter(columns.values())))
    examples = tuple(ScoredExample(str(i), None, {}) for i in range(count))
    return EvaluatorScores("ab", examples, {role: {"win": tuple(values)} for role, values in columns.items()})


def win_rate(subject: Subject) -> Metric:
    return Metric("win_rate", True, Mean("win", 0.0, 1.0), 0.0, 1.0, subject=subject)


def test_a_pair_stands_in_the_column_of_the_baseline() -> None:
    table = scores(candidate=[ITSELF] * 40, base=[1.0] * 30 + [0.5] * 10, champion=[0.0] * 10 + [1.0] * 30)
    found = measure(win_rate("pair"), table)
    assert isinstance(found.candidate, Unmeasured)
    assert dict(found.scored) == {"base": 40, "champion": 40}
    assert found.coverage == 1.0
    values = {role: one.difference for role, one in found.comparisons.items()}
    assert {role: round(one.value, 3) for role, one in values.items() if isinstance(one, Estimate)} == {
        "base": 0.875,
        "champion": 0.75,
    }


def test_what_is_missing_in_a_pair_counts_as_lost() -> None:
    missing: list[Value] = [Unmeasured("no verdict")] * 2
    table = scores(candidate=[ITSELF] * 100, base=[1.0] * 98 + missing)
    value = measure(win_rate("pair"), table, min_coverage=0.95).comparisons["base"].difference
    assert isinstance(value, Estimate)
    assert value.value == pytest.approx(0.98)
    too_few = measure(win_rate("pair"), table, min_coverage=0.99).comparisons["base"].difference
    assert isinstance(too_few, Unmeasured)
    assert "the candidate beside the base was scored on 98 of 100" in too_few.reason


def test_what_is_about_the_run_has_one_value() -> None:
    about = Unmeasured("it is about the run, not about a model")
    found = measure(win_rate("run"), scores(candidate=[1.0] * 9 + [0.0], base=[about] * 10))
    assert isinstance(found.candidate, Estimate)
    assert not found.comparisons
    assert dict(found.scored) == {"candidate": 10}
