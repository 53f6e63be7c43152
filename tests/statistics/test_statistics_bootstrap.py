"""The bootstrap: agrees with formulas where there are some, stays in memory, never certain for want of news."""

from __future__ import annotations

import tracemalloc
from math import sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.statistics import Estimate, Statistic, mean_t, paired_bootstrap

CHECKED = settings(max_examples=25, deadline=None, derandomize=True)


def measured(result: Estimate | Unmeasured) -> Estimate:
    assert isinstance(result, Estimate)
    return result


def mean_of(values: np.ndarray) -> Statistic:
    return lambda weights: (weights.astype(float) @ values) / weights.sum(axis=1)


def macro_f1(cells: np.ndarray, classes: int) -> np.ndarray:
    """From [B, classes * classes] counts of (gold, answer)."""
    confusion = cells.reshape(-1, classes, classes)
    hits = np.diagonal(confusion, axis1=1, axis2=2)
    return (2 * hits / np.maximum(confusion.sum(axis=1) + confusion.sum(axis=2), 1)).mean(axis=1)


def macro_f1_gain(gold: np.ndarray, cand: np.ndarray, base: np.ndarray, classes: int) -> Statistic:
    cand_cells, base_cells = np.eye(classes**2)[gold * classes + cand], np.eye(classes**2)[gold * classes + base]

    def gain(weights: np.ndarray) -> np.ndarray:
        drawn = weights.astype(float)
        return macro_f1(drawn @ cand_cells, classes) - macro_f1(drawn @ base_cells, classes)

    return gain


def test_a_mean_comes_out_as_its_t_interval() -> None:
    values = np.random.default_rng(1).normal(size=200)
    boot, formula = measured(paired_bootstrap(mean_of(values), 200)), measured(mean_t(values))
    assert formula.standard_error is not None
    assert boot.standard_error == pytest.approx(formula.standard_error, rel=0.03)
    assert boot.interval.low == pytest.approx(formula.interval.low, abs=0.12 * formula.standard_error)
    assert boot.interval.high == pytest.approx(formula.interval.high, abs=0.12 * formula.standard_error)
    assert boot.warnings == ()


def test_ends_are_scipys_bca_where_the_small_sample_factor_is_gone() -> None:
    values = np.random.default_rng(2).exponential(size=900)
    ours = measured(paired_bootstrap(mean_of(values), 900))
    theirs = stats.bootstrap(
        (values,), np.mean, confidence_level=0.9, n_resamples=5000, method="BCa", rng=np.random.default_rng(0)
    )
    slack = 0.15 * float(theirs.standard_error)
    assert ours.interval.low == pytest.approx(theirs.confidence_interval.low, abs=slack)
    assert ours.interval.high == pytest.approx(theirs.confidence_interval.high, abs=slack)


def test_same_seed_same_bits_other_seed_other_bits() -> None:
    values = np.random.default_rng(3).normal(size=60)
    first, again, other = (paired_bootstrap(mean_of(values), 60, seed=seed) for seed in (4, 4, 5))
    assert first == again
    assert first != other


def test_whole_clusters_are_drawn() -> None:
    groups = np.repeat(np.arange(30), 4)
    values = np.random.default_rng(6).normal(size=30)[groups]
    found = measured(paired_bootstrap(mean_of(values), 120, groups=groups))
    assert found.standard_error == pytest.approx(values[::4].std(ddof=1) / sqrt(30), rel=0.03)
    assert (found.n, found.clusters, found.method) == (120, 30, "BCa cluster bootstrap")
    seen: list[np.ndarray] = []

    def watching(weights: np.ndarray) -> np.ndarray:
        seen.append(weights)
        return mean_of(values)(weights)

    paired_bootstrap(watching, 120, groups=groups, resamples=50)
    for weights in seen:
        assert (np.diff(weights.reshape(-1, 30, 4), axis=2) == 0).all()


def test_kinds_of_rows_give_what_rows_give() -> None:
    rng = np.random.default_rng(7)
    gold = rng.integers(0, 3, size=400)
    cand, base = (np.where(rng.random(400) < right, gold, rng.integers(0, 3, size=400)) for right in (0.8, 0.7))
    rows = measured(paired_bootstrap(macro_f1_gain(gold, cand, base, 3), 400))
    kinds, counts = np.unique(np.stack([gold, cand, base]), axis=1, return_counts=True)
    short = measured(paired_bootstrap(macro_f1_gain(*kinds, 3), 400, multiplicity=counts))
    assert short.value == pytest.approx(rows.value, rel=1e-12)
    assert rows.standard_error is not None
    assert short.standard_error == pytest.approx(rows.standard_error, rel=0.04)
    assert short.interval.low == pytest.approx(rows.interval.low, abs=0.12 * rows.standard_error)
    assert short.interval.high == pytest.approx(rows.interval.high, abs=0.12 * rows.standard_error)


def test_memory_is_bounded_whatever_n() -> None:
    values = np.random.default_rng(8).normal(size=20_000)
    tracemalloc.start()
    paired_bootstrap(mean_of(values), 20_000, resamples=400)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 150e6


def test_constant_replicates_never_pass_for_certainty() -> None:
    zero = mean_of(np.zeros(40))
    plain, bounded = (measured(paired_bootstrap(zero, 40, bounds=b)) for b in (None, (-1.0, 1.0)))
    assert plain.interval.width == 0
    assert "rests on nothing" in plain.warnings[0]
    assert bounded.interval.high == pytest.approx(1 - 0.05 ** (1 / 40))
    assert bounded.standard_error is None
    assert bounded.warnings


def test_what_cannot_be_estimated_is_unmeasured() -> None:
    undefined = mean_of(np.array([np.nan, 1.0, 2.0]))
    words = np.arange(30)

    def distinct(weights: np.ndarray) -> np.ndarray:
        return (weights[:, words] > 0).sum(axis=1).astype(float)

    def sometimes(weights: np.ndarray) -> np.ndarray:
        return np.where(weights[:, 0] > 0, 1.0, np.nan)

    for result, reason in (
        (paired_bootstrap(mean_of(np.ones(1)), 1), "at least 2"),
        (paired_bootstrap(mean_of(np.ones(4)), 4, groups=[1, 1, 1, 1]), "one cluster"),
        (paired_bootstrap(undefined, 3), "undefined in the sample itself"),
        (paired_bootstrap(sometimes, 20, resamples=500), "of 500 resamples"),
        (paired_bootstrap(distinct, 30, resamples=500), "biases this statistic"),
    ):
        assert isinstance(result, Unmeasured)
        assert reason in result.reason


def test_thin_tails_and_few_clusters_are_said() -> None:
    values = np.random.default_rng(9).normal(size=60)
    thin = measured(paired_bootstrap(mean_of(values), 60, resamples=500))
    assert "take at least 1000" in thin.warnings[0]
    beyond = measured(paired_bootstrap(mean_of(values), 60, resamples=100, confidence=0.999))
    assert "beyond the 100 resamples" in beyond.warnings[0]
    few = measured(paired_bootstrap(mean_of(values), 60, groups=np.arange(60) % 6))
    assert "6 clusters" in few.warnings[0]


def test_wrong_arguments_say_what_was_expected() -> None:
    values = np.arange(4.0)
    for call, message in (
        (lambda: paired_bootstrap(lambda w: w.sum(axis=0).astype(float), 4), "expected one value per row"),
        (lambda: paired_bootstrap(mean_of(values), 4, resamples=1), "at least 2"),
        (lambda: paired_bootstrap(mean_of(values), 4, multiplicity=[1, 1, 1, 2]), "expected n = 4"),
        (lambda: paired_bootstrap(mean_of(values), 4, multiplicity=[4, 0]), "positive whole numbers"),
        (lambda: paired_bootstrap(mean_of(values), 4, multiplicity=[2, 2], groups=[0, 1]), "one of them"),
        (lambda: paired_bootstrap(mean_of(values), 4, bounds=(2, 3)), "expected within"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


@CHECKED
@given(st.lists(st.floats(-100, 100).map(lambda x: round(x, 3)), min_size=2, max_size=25), st.integers(0, 5))
def test_interval_holds_the_value_and_swapping_negates(values: list[float], seed: int) -> None:
    array = np.array(values)
    one = paired_bootstrap(mean_of(array), array.size, resamples=300, seed=seed)
    other = paired_bootstrap(mean_of(-array), array.size, resamples=300, seed=seed)
    assert type(one) is type(other)
    if isinstance(one, Estimate) and isinstance(other, Estimate):
        assert one.value in one.interval
        assert one.interval.low == pytest.approx(-other.interval.high, abs=1e-9)
        assert one.interval.high == pytest.approx(-other.interval.low, abs=1e-9)


def error_limit(worlds: int) -> float:
    return 0.05 + 3 * sqrt(0.05 * 0.95 / worlds)


@pytest.mark.parametrize("n", [10, 40])
def test_coverage_of_means_of_small_samples(n: int) -> None:
    rng, worlds, high, low = np.random.default_rng(41), 400, 0, 0
    for world in range(worlds):
        found = measured(paired_bootstrap(mean_of(rng.normal(size=n)), n, resamples=1000, seed=world))
        high += found.interval.low > 0
        low += found.interval.high < 0
    assert max(high, low) / worlds < error_limit(worlds)


def test_coverage_of_a_macro_f1_gain() -> None:
    rng, worlds, high, low = np.random.default_rng(42), 400, 0, 0

    def kinds_of(n: int) -> tuple[Statistic, np.ndarray]:
        gold = rng.choice(3, p=[0.5, 0.3, 0.2], size=n)
        luck = rng.random(n)  # shared: what one model gets wrong the other often does too
        wrong = (gold + rng.integers(1, 3, size=n)) % 3
        cand = np.where(luck < 0.85, gold, wrong)
        base = np.where(luck + rng.normal(0, 0.1, n) < 0.75, gold, wrong)
        kinds, counts = np.unique(np.stack([gold, cand, base]), axis=1, return_counts=True)
        return macro_f1_gain(*kinds, 3), counts

    population, everyone = kinds_of(400_000)
    truth = float(population(everyone[None, :])[0])
    for world in range(worlds):
        gain, counts = kinds_of(120)
        found = measured(paired_bootstrap(gain, 120, multiplicity=counts, resamples=1000, seed=world))
        high += truth < found.interval.low
        low += truth > found.interval.high
    assert max(high, low) / worlds < error_limit(worlds)
