"""Measurements: coverage, worst-case imputation, slices, groups."""

from __future__ import annotations

import pytest

from finetune_gate.evaluators.absent import Unmeasured, Value
from finetune_gate.evaluators.classification import Classification
from finetune_gate.evaluators.measurement import Measurement, measure
from finetune_gate.evaluators.metrics import Metric
from finetune_gate.evaluators.perplexity import Perplexity
from finetune_gate.evaluators.scores import EvaluatorScores, ScoredExample, ScoreTable
from finetune_gate.evaluators.statistics import Estimate

ACCURACY = next(metric for metric in Classification(data="d", labels=("a", "b")).metrics() if metric.name == "accuracy")
PERPLEXITY, BITS = Perplexity(data="d").metrics()[:2]
MISSING = Unmeasured("timed out")


def scores(candidate: list[Value], base: list[Value], groups: list[str | None] | None = None) -> EvaluatorScores:
    groups = groups or [None] * len(candidate)
    examples = tuple(ScoredExample(str(i), group, {"half": "ab"[i % 2]}) for i, group in enumerate(groups))
    return EvaluatorScores(
        "c", examples, {"candidate": {"correct": tuple(candidate)}, "base": {"correct": tuple(base)}}
    )


def value(measurement: Measurement) -> float:
    assert isinstance(measurement.candidate, Estimate)
    return measurement.candidate.value


def difference(measurement: Measurement) -> float:
    found = measurement.comparisons["base"].difference
    assert isinstance(found, Estimate)
    return found.value


def test_missing_scores_count_against_the_candidate_on_both_sides() -> None:
    full = measure(ACCURACY, scores([1.0] * 100, [0.0] * 100))
    lost = measure(ACCURACY, scores([1.0] * 99 + [MISSING], [0.0] * 99 + [MISSING]))
    assert (value(full), difference(full)) == (1.0, 1.0)
    assert value(lost) == pytest.approx(0.99)
    assert difference(lost) == pytest.approx(0.98)
    assert lost.coverage == 0.99


def test_below_the_coverage_floor_nothing_is_measured() -> None:
    low = measure(ACCURACY, scores([1.0] * 98 + [MISSING] * 2, [0.0] * 100))
    assert isinstance(low.candidate, Unmeasured)
    assert low.candidate.reason == (
        "candidate was scored on 98 of 100 examples, below the coverage floor 0.99; first reason: timed out"
    )
    assert isinstance(low.comparisons["base"].difference, Unmeasured)
    assert isinstance(low.comparisons["base"].baseline, Estimate)
    settable = measure(ACCURACY, scores([1.0] * 98 + [MISSING] * 2, [0.0] * 100), min_coverage=0.9)
    assert value(settable) == pytest.approx(0.98)


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_examples_are_unmeasured(n: int) -> None:
    assert isinstance(measure(ACCURACY, scores([1.0] * n, [0.0] * n)).candidate, Unmeasured)


def test_slices_select_examples_and_an_unknown_one_selects_none() -> None:
    found = scores([1.0, 0.0] * 20, [0.0] * 40)
    assert value(measure(ACCURACY, found, slice_by={"half": "a"})) == 1.0
    empty = measure(ACCURACY, found, slice_by={"half": "c"})
    assert empty.candidate == Unmeasured("no example has half='c'")
    assert empty.coverage == 0.0


def test_examples_that_share_a_group_widen_the_interval() -> None:
    pattern: list[Value] = [float(i % 8 < 4) for i in range(160)]
    alone = measure(ACCURACY, scores(pattern, [0.0] * 160))
    grouped = measure(ACCURACY, scores(pattern, [0.0] * 160, [str(i // 4) for i in range(160)]))
    assert isinstance(alone.candidate, Estimate)
    assert isinstance(grouped.candidate, Estimate)
    assert grouped.candidate.clusters == 40
    assert grouped.candidate.interval.width > 1.5 * alone.candidate.interval.width


def perplexities(metric: Metric, tokens: tuple[float, float]) -> Measurement:
    examples = tuple(ScoredExample(str(i), None, {}) for i in range(10))

    def columns(nll: float, each: float) -> dict[str, tuple[Value, ...]]:
        return {
            "nll": tuple(nll + i for i in range(10)),
            "bits": tuple(nll + i for i in range(10)),
            "tokens": (each,) * 10,
            "bytes": (50.0,) * 10,
        }

    both = {"candidate": columns(10, tokens[0]), "base": columns(12, tokens[1])}
    return measure(metric, EvaluatorScores("p", examples, both))


def test_perplexities_of_different_tokenizers_are_not_compared_and_bits_per_byte_are() -> None:
    same, other = perplexities(PERPLEXITY, (10.0, 10.0)), perplexities(PERPLEXITY, (10.0, 11.0))
    assert difference(same) < 0
    assert isinstance(other.candidate, Estimate)
    assert other.comparisons["base"].difference == Unmeasured(
        "not comparable: the models differ in tokens (the tokenizers differ)"
    )
    assert difference(perplexities(BITS, (10.0, 11.0))) == pytest.approx(-2 / 50)


def test_an_unbounded_metric_with_a_gap_is_unmeasured() -> None:
    found = scores([1.0] * 100, [0.0] * 100)
    columns = {role: {"nll": (1.0,) * 199 + (MISSING,), "tokens": (5.0,) * 200} for role in ("candidate", "base")}
    examples = tuple(ScoredExample(str(i), None, {}) for i in range(200))
    gap = measure(PERPLEXITY, EvaluatorScores("p", examples, columns))
    assert gap.candidate == Unmeasured("1 of 200 examples have no nll")
    assert found.columns


def test_the_table_comes_back_from_its_rows() -> None:
    table = ScoreTable((scores([1.0, MISSING, 0.0], [0.0, 1.0, MISSING], ["g", None, "g"]),))
    again = ScoreTable.from_rows(table.rows())
    assert again == table
    assert again.digest() == table.digest()


def test_the_same_scores_give_the_same_bits() -> None:
    metric = next(m for m in Classification(data="d", labels=("a", "b")).metrics() if m.name == "f1_macro")
    columns = {
        "label": tuple(float(i % 2) for i in range(50)),
        "prediction": tuple(float(i % 3 > 0) for i in range(50)),
    }
    examples = tuple(ScoredExample(str(i), None, {}) for i in range(50))
    found = EvaluatorScores("c", examples, {"candidate": columns, "base": columns})
    assert measure(metric, found, seed=3) == measure(metric, found, seed=3)
