"""Estimators over parts of the examples, against numpy by hand, scikit-learn, DeLong's own formula and simulation."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from numpy.typing import NDArray

from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.estimators import AreaUnderCurve, Corpus, Counted, Mean, Part, PartDifference, Ratio
from finetune_gate.evaluators.measurement import measure
from finetune_gate.evaluators.metrics import Metric
from finetune_gate.evaluators.scores import EvaluatorScores, ScoredExample
from finetune_gate.evaluators.statistics import Estimate, mean_t
from finetune_gate.gate.deciding import Circumstances, decide
from finetune_gate.gate.gate_file import Rule

Columns = dict[str, NDArray[np.float64]]
GAP = PartDifference(Ratio("nll", "tokens"), "train", 0.0, 1.0, ("validation", "train"))
AREA = AreaUnderCurve("score", "part")
T_95 = {9: 1.8331, 39: 1.6849, 59: 1.6711}  # one-sided 95 % quantiles of t


def known(found: Estimate | Unmeasured) -> Estimate:
    assert isinstance(found, Estimate), found
    return found


def losses(seed: int, train: int = 40, validation: int = 60, gap: float = 0.3) -> Columns:
    drawn = np.random.default_rng(seed)
    side = np.r_[np.ones(train), np.zeros(validation)]
    tokens = drawn.integers(5, 40, side.size).astype(float)
    hard = 2.0 + drawn.normal(0, 0.3, side.size) + np.where(side == 0, gap, 0.0)
    return {"nll": hard * tokens, "tokens": tokens, "train": side}


def by_hand(columns: Columns, side: float) -> tuple[float, NDArray[np.float64]]:
    """Sum over sum on one side, and each example's linearised residual, by what its tokens leave to the others."""
    on = columns["train"] == side
    nll, tokens = columns["nll"][on], columns["tokens"][on]
    value = nll.sum() / tokens.sum()
    return value, (nll - value * tokens) / tokens.mean() / np.sqrt(1 - tokens / tokens.sum())


def test_a_gap_is_one_part_minus_the_other() -> None:
    columns = losses(0)
    found = known(GAP.estimate(columns, None, 0.95, 0))
    (seen, seen_psi), (unseen, unseen_psi) = by_hand(columns, 1.0), by_hand(columns, 0.0)
    assert found.value == pytest.approx(unseen - seen)
    errors = [np.sqrt((psi**2).sum()) / psi.size for psi in (seen_psi, unseen_psi)]
    assert found.standard_error == pytest.approx(np.hypot(*errors))
    reach = np.hypot(T_95[39] * errors[0], T_95[59] * errors[1])
    assert found.value - found.interval.low == pytest.approx(reach, rel=0.01), "documents of unequal length: a bit more"
    assert found.value - found.interval.low > reach
    assert found.interval.high == pytest.approx(2 * found.value - found.interval.low)
    assert found.n == 100


def test_of_two_models_it_is_the_difference_in_differences_paired_by_example() -> None:
    base = losses(1, gap=0.4)
    drawn = np.random.default_rng(2)
    gained = np.where(base["train"] == 1, 0.5, 0.1) + drawn.normal(0, 0.05, 100)
    ours = {**base, "nll": base["nll"] - gained * base["tokens"]}
    found = known(GAP.difference(ours, base, None, 0.95, 0))
    changes, errors = [], []
    for side in (0.0, 1.0):
        (mine, my_psi), (theirs, their_psi) = by_hand(ours, side), by_hand(base, side)
        changes.append(mine - theirs)
        errors.append(np.sqrt(((my_psi - their_psi) ** 2).sum()) / my_psi.size)
    assert found.value == pytest.approx(changes[0] - changes[1])
    assert found.value == pytest.approx(0.4, abs=0.05)
    assert found.standard_error == pytest.approx(np.hypot(*errors))
    alone = known(GAP.estimate(ours, None, 0.95, 0))
    assert alone.standard_error is not None
    assert found.standard_error is not None
    assert found.standard_error < 0.3 * alone.standard_error, "pairing takes out what is hard for both models"


def test_a_part_is_its_estimator_on_those_rows() -> None:
    columns = losses(3)
    on = columns["train"] == 1
    share = {"right": (columns["nll"] > 40).astype(float), "train": columns["train"]}
    found = Part(Mean("right", 0.0, 1.0), "train", 1.0, "train").estimate(share, None, 0.95, 0)
    assert found == Mean("right", 0.0, 1.0).estimate({"right": share["right"][on]}, None, 0.95, 0)
    empty = Part(Mean("right", 0.0, 1.0), "train", 7.0, "sevens").estimate(share, None, 0.95, 0)
    assert isinstance(empty, Unmeasured)
    assert empty.reason.startswith("sevens: ")


def test_clusters_count_within_a_part() -> None:
    columns = losses(4)
    groups = np.arange(100) // 4
    on = columns["train"] == 0
    found = known(Part(Ratio("nll", "tokens"), "train", 0.0, "validation").estimate(columns, groups, 0.95, 0))
    assert found.clusters == np.unique(groups[on]).size
    apart = np.r_[np.arange(40) // 4, 10 + np.arange(60)]
    assert known(Part(Ratio("nll", "tokens"), "train", 0.0, "v").estimate(columns, apart, 0.95, 0)).method == "t"


def test_missing_values_of_a_gap_are_not_made_up() -> None:
    columns = losses(5)
    columns["nll"][3] = np.nan
    assert isinstance(GAP.impute(columns, best=False), Unmeasured)
    share = Part(Mean("right", 0.0, 1.0, higher_is_better=False), "train", 1.0, "train")
    filled = share.impute({"right": np.array([0.0, np.nan]), "train": np.ones(2)}, best=False)
    assert not isinstance(filled, Unmeasured)
    assert filled["right"].tolist() == [0.0, 1.0]
    assert isinstance(share.impute({"right": np.zeros(2), "train": np.array([1.0, np.nan])}, best=True), Unmeasured)


def test_the_interval_of_a_gap_covers_it() -> None:
    missed = np.zeros(2)
    for seed in range(300):
        found = known(GAP.estimate(losses(seed), None, 0.95, 0)).interval
        missed += [found.low > 0.3, found.high < 0.3]
    assert (missed / 300 <= 0.085).all(), missed


def scores(seed: int, first: int, second: int, apart: float, steps: float | None = None) -> Columns:
    drawn = np.random.default_rng(seed)
    score = np.r_[drawn.normal(apart, 1, first), drawn.normal(0, 1, second)]
    if steps:
        score = np.round(score / steps) * steps
    return {"score": score, "part": np.r_[np.ones(first), np.zeros(second)]}


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("steps", [None, 0.5, 5.0])
def test_the_area_is_scikit_learns(seed: int, steps: float | None) -> None:
    from sklearn.metrics import roc_auc_score

    columns = scores(seed, 30, 45, 0.8, steps)
    shuffled = np.random.default_rng(seed).permutation(75)
    columns = {name: values[shuffled] for name, values in columns.items()}
    found = known(AREA.estimate(columns, None, 0.95, 0))
    assert found.value == pytest.approx(roc_auc_score(columns["part"], columns["score"]))


def delong(columns: Columns, *names: str) -> NDArray[np.float64]:
    """DeLong's covariance of areas, pair by pair as in the paper, with divisors that leave nothing out."""
    on = columns["part"] == 1
    kernels = [
        np.heaviside(columns[name][on][:, None] - columns[name][~on][None, :], 0.5) for name in names
    ]  # [first, second]
    tens = np.stack([kernel.mean(axis=1) for kernel in kernels])
    ones = np.stack([kernel.mean(axis=0) for kernel in kernels])
    return (
        np.cov(tens, ddof=0).reshape(len(names), -1) / on.sum()
        + np.cov(ones, ddof=0).reshape(len(names), -1) / (~on).sum()
    )


def test_its_standard_error_is_delongs() -> None:
    columns = scores(1, 35, 55, 1.0)
    correction = np.sqrt(90 / 89)  # one divisor for both parts together
    found = known(AREA.estimate(columns, None, 0.95, 0))
    assert found.standard_error == pytest.approx(correction * np.sqrt(delong(columns, "score")[0, 0]))
    noisy = columns["score"] + np.random.default_rng(3).normal(0, 0.7, 90)
    both = delong({**columns, "other": noisy}, "score", "other")
    difference = known(AREA.difference(columns, {**columns, "score": noisy}, None, 0.95, 0))
    expected = both[0, 0] + both[1, 1] - 2 * both[0, 1]
    assert difference.standard_error == pytest.approx(correction * np.sqrt(expected))


@pytest.mark.parametrize(("first", "second", "area", "worst"), [(40, 40, 0.5, 0.085), (60, 60, 0.9, 0.085)])
def test_its_interval_covers_the_area(first: int, second: int, area: float, worst: float) -> None:
    from scipy.stats import norm

    apart = float(np.sqrt(2) * norm.ppf(area))
    missed = np.zeros(2)
    for seed in range(300):
        found = known(AREA.estimate(scores(seed, first, second, apart), None, 0.95, 0)).interval
        assert 0 <= found.low <= found.high <= 1
        missed += [found.low > area, found.high < area]
    assert (missed / 300 <= worst).all(), missed


def test_the_difference_of_two_areas_covers_nothing_where_there_is_nothing() -> None:
    missed = np.zeros(2)
    for seed in range(300):
        ours, theirs = scores(seed, 40, 50, 1.0), scores(seed, 40, 50, 1.0)
        drawn = np.random.default_rng(seed + 1000)
        for columns in (ours, theirs):
            columns["score"] = columns["score"] + drawn.normal(0, 0.5, 90)
        found = known(AREA.difference(ours, theirs, None, 0.95, 0)).interval
        missed += [found.low > 0, found.high < 0]
    assert (missed / 300 <= 0.085).all(), missed


def test_parts_that_do_not_overlap_are_not_certain() -> None:
    columns = {"score": np.r_[np.arange(20) + 100.0, np.arange(50.0)], "part": np.r_[np.ones(20), np.zeros(50)]}
    found = known(AREA.estimate(columns, None, 0.95, 0))
    assert (found.value, found.interval.high) == (1.0, 1.0)
    assert found.interval.low == pytest.approx(1 - (1 - 0.05 ** (1 / 20)))
    grouped = known(AREA.estimate(columns, np.r_[np.arange(20) // 10, 2 + np.arange(50)], 0.95, 0))
    assert grouped.interval.low == pytest.approx(1 - (1 - 0.05 ** (1 / 2))), "two clusters of ten are two, not twenty"
    nearly = {**columns, "score": np.r_[columns["score"][:-1], 105.5]}
    close = known(AREA.estimate(nearly, None, 0.95, 0))
    assert 0.5 < close.interval.low < close.value < close.interval.high < 1
    assert any("hardly any overlap" in warning for warning in close.warnings)


def test_examples_of_neither_part_do_not_count() -> None:
    columns = scores(2, 20, 30, 0.7)
    more = {"score": np.r_[columns["score"], 50.0, -50.0], "part": np.r_[columns["part"], -1.0, -1.0]}
    assert AREA.estimate(more, None, 0.95, 0) == AREA.estimate(columns, None, 0.95, 0)
    assert AREA.difference(more, more, None, 0.95, 0) == AREA.difference(columns, columns, None, 0.95, 0)


@pytest.mark.parametrize("part", [[1.0, 0.0], [1.0, 1.0, 1.0], [0.0, 0.0, 1.0]])
def test_one_example_in_a_part_is_too_few(part: list[float]) -> None:
    found = AREA.estimate({"score": np.arange(len(part)) + 0.0, "part": np.array(part)}, None, 0.95, 0)
    assert isinstance(found, Unmeasured)


@pytest.mark.parametrize(
    ("rule", "outcome"),
    [
        ({"max": 0.25}, "passed"),
        ({"max": 0.24}, "failed"),
        ({"min": 0.25}, "passed"),
        ({"min": 0.26}, "failed"),
        ({"min_change": 0.0}, "passed"),
    ],
)
def test_what_is_counted_passes_at_its_bound_and_fails_beyond(rule: dict[str, float], outcome: str) -> None:
    values = (1.0, 0.0, 0.0, 0.0)
    examples = tuple(ScoredExample(str(at), None, {}) for at in range(4))
    table = EvaluatorScores("leakage", examples, {"candidate": {"leaked": values}, "base": {"leaked": values}})
    metric = Metric("share", False, Counted("leaked"), 0.0, 1.0, description="share of leaked rows")
    measured = measure(metric, table)
    settings = {"metric": "leakage.share", **rule, **({"against": "base"} if "min_change" in rule else {})}
    decided = decide([Rule.model_validate(settings)], {0: measured}, Circumstances(True, (), date(2026, 1, 1)))
    assert decided.results[0].outcome == outcome
    assert known(measured.candidate).interval.width == 0


def test_counting_makes_nothing_up() -> None:
    assert isinstance(Counted("leaked").impute({"leaked": np.array([1.0, np.nan])}, best=True), Unmeasured)


def micro_f1(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):
        return np.nan_to_num(2 * sums[:, 0] / (2 * sums[:, 0] + sums[:, 1] + sums[:, 2]))


CORPUS = Corpus(micro_f1, ("tp", "fp", "fn"), 0.0, 1.0)


def counts(seed: int, size: int = 80, better: float = 0.0) -> Columns:
    drawn = np.random.default_rng(seed)
    truth = drawn.integers(1, 6, size)
    hits = drawn.binomial(truth, 0.6 + better)
    return {"tp": hits.astype(float), "fp": drawn.poisson(0.8, size).astype(float), "fn": (truth - hits).astype(float)}


def test_a_corpus_value_is_bootstrapped_by_example() -> None:
    columns = counts(0)
    rows = np.stack([columns[name] for name in ("tp", "fp", "fn")], axis=1)
    found = known(CORPUS.estimate(columns, None, 0.95, 0))
    assert found.value == pytest.approx(micro_f1(rows.sum(axis=0, keepdims=True))[0])
    drawn = np.random.default_rng(99)
    replicates = np.array(
        [micro_f1(rows[drawn.integers(0, 80, 80)].sum(axis=0, keepdims=True))[0] for _ in range(4000)]
    )
    assert found.standard_error == pytest.approx(replicates.std(), rel=0.06)
    assert found.interval.low == pytest.approx(np.quantile(replicates, 0.05), abs=0.25 * replicates.std())
    assert found.interval.high == pytest.approx(np.quantile(replicates, 0.95), abs=0.25 * replicates.std())


def test_a_corpus_difference_is_paired() -> None:
    base = counts(1)
    ours = {**base, "tp": base["tp"] + (base["fn"] > 0), "fn": base["fn"] - (base["fn"] > 0)}
    paired = known(CORPUS.difference(ours, base, None, 0.95, 0))
    alone = known(CORPUS.estimate(ours, None, 0.95, 0)), known(CORPUS.estimate(base, None, 0.95, 0))
    assert paired.value == pytest.approx(alone[0].value - alone[1].value)
    assert paired.interval.low > 0
    errors = [one.standard_error for one in (paired, *alone)]
    assert all(error is not None for error in errors)
    assert errors[0] < 0.8 * np.hypot(errors[1], errors[2])  # pyright: ignore[reportOperatorIssue, reportCallIssue, reportArgumentType, reportOptionalOperand] - checked above
    assert isinstance(CORPUS.impute({**base, "tp": np.full(80, np.nan)}, best=True), Unmeasured)


def test_a_mean_of_sums_is_the_mean() -> None:
    """With the simplest function of sums there is a textbook interval to agree with."""
    values = np.random.default_rng(5).normal(0.5, 0.1, 120)
    mean = Corpus(lambda sums: sums[:, 0] / sums[:, 1], ("value", "one"), 0.0, 1.0)
    found = known(mean.estimate({"value": values, "one": np.ones(120)}, None, 0.95, 0))
    textbook = known(mean_t(values))
    assert found.value == pytest.approx(textbook.value)
    assert found.interval.low == pytest.approx(textbook.interval.low, abs=0.002)
    assert found.interval.high == pytest.approx(textbook.interval.high, abs=0.002)
