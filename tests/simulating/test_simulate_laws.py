"""What a gate promises, held against simulated worlds; and that worlds are what they are said to be.

FINETUNE_GATE_LONG_TESTS=1 takes 2,000 worlds and slower metrics.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from simulated_gates import (
    ANSWERS,
    CLASSIFICATION,
    LONG,
    NOT_WORSE,
    PERPLEXITY,
    TODAY,
    gate_in,
    record_in,
    simulated,
)

from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.estimators import Confusion, Mean, Ratio
from finetune_gate.gate.gate_file import Gate, load_gate_file
from finetune_gate.gate.run.measuring import measure_gate
from finetune_gate.gate.simulating import DrawnSettings, Simulation, counting, drawn, render_simulation, stored
from finetune_gate.gate.simulating.grid import Truth
from finetune_gate.gate.simulating.terms import Point
from finetune_gate.gate.simulating.worlds import draw_world, score_table

WORLDS = 2000 if LONG else 300
ALPHA = 0.05


def at(found: Simulation, difference: float) -> Point:
    return next(point for point in found.points if point.difference == difference)


def promoted(found: Simulation, difference: float) -> float:
    return at(found, difference).verdicts["promote"].share


def at_most(alpha: float) -> float:
    """With three Monte Carlo standard errors on top."""
    return alpha + 3 * (alpha * (1 - alpha) / WORLDS) ** 0.5


def with_looks(folder: Path, *rules: str, groups: int = 0) -> Gate:
    path = gate_in(folder, *rules, groups=groups).path
    path.write_text(path.read_text() + "execution: {looks: [0.25, 0.5, 0.75, 1]}\n")
    return load_gate_file(path)


@pytest.mark.parametrize("groups", [0, 50], ids=["examples", "clusters"])
def test_looking_early_promotes_no_more_often_than_promised_and_looks_at_less(tmp_path: Path, groups: int) -> None:
    source = drawn(with_looks(tmp_path, NOT_WORSE, groups=groups))
    bound = Truth(source, TODAY).bound_at(0)
    assert bound is not None
    found = simulated(source, WORLDS, bound, 0.2)
    assert promoted(found, bound) <= at_most(ALPHA)
    assert promoted(found, 0.2) > 0.95
    assert at(found, bound).looked < 0.8
    assert at(found, 0.2).looked < 0.6
    assert "examples %" in render_simulation(found)


def test_a_rule_on_slices_and_looks(tmp_path: Path) -> None:
    rule = "{metric: classification.accuracy, min_change: 0.0, margin: 0.3, slices: language, min_n: 10}"
    found = simulated(drawn(with_looks(tmp_path, rule)), 20, 0.2)
    assert at(found, 0.2).looked <= 1
    assert promoted(found, 0.2) > 0.5


@pytest.mark.parametrize(
    ("rules", "groups"),
    [
        ((NOT_WORSE,), 0),
        (("{metric: classification.accuracy, min: 0.65}",), 0),
        (("{metric: classification.accuracy, min_change: 0.02}",), 0),
        (("{metric: classification.accuracy, max_change: 0.04}",), 0),
        (("{metric: classification.accuracy, min_relative_change: -0.1}",), 0),
        (("{metric: classification.accuracy, min_change: 0.0, margin: 0.08, slices: language}",), 0),
        (("{metric: classification.accuracy, min_change: 0.0, margin: 0.08, confidence: 0.9}",), 0),
        ((NOT_WORSE,), 50),
        ((NOT_WORSE, "{metric: classification.accuracy, min: 0.6}"), 0),
    ],
    ids=["change", "value", "better", "leap", "relative", "slices", "confidence", "clusters", "two-rules"],
)
def test_a_candidate_at_a_bound_is_promoted_no_more_often_than_promised(
    tmp_path: Path, rules: tuple[str, ...], groups: int
) -> None:
    gate = gate_in(tmp_path, *rules, groups=groups)
    source = drawn(gate)
    bounds = [Truth(source, TODAY).bound_at(index) for index in range(len(gate.rules))]
    for rule, bound in zip(gate.rules, bounds, strict=True):
        assert bound is not None
        assert isinstance(rule.confidence, float)
        found = simulated(source, WORLDS, bound)
        assert promoted(found, bound) <= at_most(1 - rule.confidence)


@pytest.mark.parametrize(
    ("rule", "evaluator", "groups"),
    [
        (NOT_WORSE, CLASSIFICATION, 0),
        (NOT_WORSE, CLASSIFICATION, 50),
        ("{metric: question_answering.f1, min_change: 0.0, margin: 0.05}", ANSWERS, 0),
        ("{metric: perplexity.perplexity, min_change: 0.0, margin: 0.1}", PERPLEXITY, 0),
        ("{metric: perplexity.perplexity, max: 3.2}", PERPLEXITY, 50),
        pytest.param(
            "{metric: classification.f1_macro, min_change: 0.0, margin: 0.08}", CLASSIFICATION, 0,
            marks=pytest.mark.skipif(not LONG, reason="FINETUNE_GATE_LONG_TESTS=1 runs it"),
        ),
    ],
    ids=["share", "clusters", "graded", "ratio", "ratio-value", "f1"],
)  # fmt: skip
def test_so_it_is_with_the_scores_of_a_record(tmp_path: Path, rule: str, evaluator: str, groups: int) -> None:
    gate = gate_in(tmp_path, rule, evaluators=[evaluator])
    source = stored(gate, record_in(tmp_path, gate, groups=groups))
    bound = Truth(source, TODAY).bound_at(0)
    assert bound is not None
    # bootstrap and t intervals keep their level nearly, not exactly
    assert promoted(simulated(source, WORLDS, bound), bound) <= at_most(ALPHA) + 0.02


def test_promotion_grows_with_the_difference_and_blocking_falls(tmp_path: Path) -> None:
    found = simulated(drawn(gate_in(tmp_path, NOT_WORSE)), WORLDS)
    assert [point.difference for point in found.points] == [-0.16, -0.08, 0.0, 0.08, 0.16]
    promote = [point.verdicts["promote"].share for point in found.points]
    block = [point.verdicts["block"].share for point in found.points]
    assert promote == sorted(promote)
    assert block == sorted(block, reverse=True)
    assert promote[0] == 0
    assert promote[-1] > 0.95
    for point in found.points:
        assert sum(rate.share for rate in point.verdicts.values()) == pytest.approx(1)


@pytest.mark.skipif(not LONG, reason="FINETUNE_GATE_LONG_TESTS=1 runs it")
def test_the_published_table_is_what_is_printed(tmp_path: Path) -> None:
    rules = (
        "{metric: classification.accuracy, min: 0.6}",
        "{metric: classification.accuracy, min_change: 0.0, margin: 0.05}",
    )
    shown = render_simulation(simulated(drawn(gate_in(tmp_path, *rules, n=320)), 1000))
    published = (Path(__file__).parents[2] / "docs" / "simulate.md").read_text("utf-8")
    assert shown[shown.index("Decisions") :] in published


@pytest.mark.parametrize("with_record", [False, True], ids=["drawn", "stored"])
def test_where_there_is_no_difference_few_rules_fail(tmp_path: Path, with_record: bool) -> None:
    gate = gate_in(tmp_path, "{metric: classification.accuracy, min_change: 0.0}")
    source = stored(gate, record_in(tmp_path, gate), same=True) if with_record else drawn(gate, same=True)
    found = simulated(source, WORLDS)
    assert found.same
    (point,) = found.points
    assert point.difference == 0
    assert point.verdicts["block"].share <= at_most(ALPHA)
    assert point.verdicts["promote"].share <= at_most(ALPHA)
    assert "false alarms" in found.sentences[1]


def test_base_against_base_with_a_record_simulates_what_no_difference_can_be_given_to(tmp_path: Path) -> None:
    rules = (NOT_WORSE, "{metric: classification.f1_macro, min_change: 0.0, margin: 0.1}")
    gate = gate_in(tmp_path, *rules)
    found = simulated(stored(gate, record_in(tmp_path, gate), same=True), 20)
    assert not found.assumed
    assert found.points[0].rules[1].truth[0].value == 0


def test_the_same_seed_makes_the_same_table_in_any_number_of_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = drawn(gate_in(tmp_path, NOT_WORSE, "{metric: classification.accuracy, min: 0.65}", groups=60))
    monkeypatch.setattr(counting, "WORTH_PROCESSES", 0.0)
    alone, together = (simulated(source, 60, processes=count) for count in (1, 2))
    assert alone.model_copy(update={"seconds": 0}) == together.model_copy(update={"seconds": 0})
    other = simulated(source, 60, seed=1)
    assert [point.verdicts for point in other.points] != [point.verdicts for point in alone.points]


def test_models_differ_on_as_many_examples_as_said_and_clusters_correlate(tmp_path: Path) -> None:
    gate = gate_in(tmp_path, NOT_WORSE, n=6000, groups=1500)
    (population,) = drawn(gate, DrawnSettings(0.8, 0.1, within=0.5, champion=True)).populations
    (world,) = draw_world([population], ("candidate", "base", "champion"), 3, 0)
    right = {role: columns["correct"] for role, columns in world.columns.items()}
    assert right["base"].mean() == pytest.approx(0.8, abs=0.02)
    for one, other in (("candidate", "base"), ("base", "champion")):
        assert (right[one] != right[other]).mean() == pytest.approx(0.1, abs=0.015)
    by_cluster = right["base"].reshape(4, 1500)
    between = ((by_cluster[0] - 0.8) * (by_cluster[1] - 0.8)).mean() / (0.8 * 0.2)
    assert between == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("difference", [-0.3, -0.05, 0.0, 0.04, 0.2])
@pytest.mark.parametrize(
    ("metric", "evaluator", "kind"),
    [
        ("classification.accuracy", CLASSIFICATION, Mean),
        ("classification.f1_macro", CLASSIFICATION, Confusion),
        ("question_answering.f1", ANSWERS, Mean),
        ("perplexity.perplexity", PERPLEXITY, Ratio),
    ],
    ids=["share", "confusion", "graded", "ratio"],
)
def test_the_truth_is_what_many_worlds_come_to(
    tmp_path: Path, metric: str, evaluator: str, kind: type, difference: float
) -> None:
    """Point values of some worlds, averaged."""
    gate = gate_in(tmp_path, f"{{metric: {metric}, min_change: 0.01, confidence: none}}", evaluators=[evaluator])
    source = stored(gate, record_in(tmp_path, gate))
    (metric_of,) = source.selection.gate.evaluators[metric.partition(".")[0]].metrics()
    assert isinstance(metric_of.estimator, kind)
    (check,) = Truth(source, TODAY).checks(difference)[0]
    assert not isinstance(check.measured, Unmeasured)
    seen: list[float] = []
    for number in range(5 if kind is Confusion else 40):
        table = score_table(draw_world(source.populations, source.roles, 5, number), difference)
        measured = measure_gate(source.selection.gate, table).measurements[0].comparisons["base"].difference
        assert not isinstance(measured, Unmeasured)
        seen.append(measured.value)
    spread = (sum((one - check.measured.value) ** 2 for one in seen) / len(seen)) ** 0.5
    assert abs(sum(seen) / len(seen) - check.measured.value) <= 4 * spread / len(seen) ** 0.5 + 0.002
