"""Means: t against scipy, clusters against statsmodels and the formula, bounds against Clopper and Pearson."""

from __future__ import annotations

import subprocess
import sys
from math import sqrt

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.statistics import (
    Estimate,
    Interval,
    clustered_mean,
    constant_ends,
    dirichlet_ends,
    mean_of_influence,
    mean_t,
    partition,
)

CHECKED = settings(max_examples=60, deadline=None, derandomize=True)
NUMBERS = st.lists(st.floats(-1e6, 1e6, allow_subnormal=False).map(lambda x: round(x, 6)), min_size=2, max_size=40)


def measured(result: Estimate | Unmeasured) -> Estimate:
    assert isinstance(result, Estimate)
    return result


def test_importing_costs_no_scipy() -> None:
    code = "import sys, finetune_gate.evaluators.statistics; sys.exit('scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("n", [2, 5, 30, 400])
def test_mean_t_is_scipys_interval(n: int) -> None:
    values = np.random.default_rng(n).normal(3, 2, size=n)
    found = measured(mean_t(values, 0.95))
    low, high = stats.t.interval(0.9, n - 1, values.mean(), stats.sem(values))
    assert (found.interval.low, found.interval.high) == pytest.approx((low, high), rel=1e-10)
    assert found.standard_error == pytest.approx(stats.sem(values), rel=1e-12)


def test_clustered_mean_is_the_formula_and_statsmodels() -> None:
    rng = np.random.default_rng(3)
    groups = rng.permutation(np.arange(320) % 40) * 7  # of equal size; for unequal ones see test_statistics_exact.py
    values = rng.normal(size=320) + rng.normal(size=300)[groups]
    found = measured(clustered_mean(values, groups))
    codes, count = np.unique(groups), np.unique(groups).size
    residual = sum(((values - values.mean())[groups == code].sum()) ** 2 for code in codes)
    by_hand = sqrt(count / (count - 1) * residual) / 320
    fit = sm.OLS(values, np.ones(320)).fit(cov_type="cluster", cov_kwds={"groups": groups}, use_t=True)
    assert found.standard_error == pytest.approx(by_hand, rel=1e-12)
    assert found.standard_error == pytest.approx(float(fit.bse[0]), rel=1e-9)
    assert (found.interval.low, found.interval.high) == pytest.approx(tuple(fit.conf_int(0.1)[0]), rel=1e-9)
    assert (found.n, found.clusters, found.warnings) == (320, count, ())


def test_every_row_its_own_cluster_is_the_plain_mean() -> None:
    values = np.random.default_rng(5).normal(size=64)
    plain, clustered = measured(mean_t(values)), measured(clustered_mean(values, np.arange(64)))
    assert clustered.interval == plain.interval
    assert clustered.standard_error == plain.standard_error
    assert measured(clustered_mean(values, None)) == plain


def test_few_clusters_warn_and_are_never_narrower_than_t() -> None:
    rng = np.random.default_rng(11)
    groups = np.repeat(np.arange(8), 5)
    values = rng.exponential(size=8)[groups] + rng.normal(size=40) / 4
    found = measured(clustered_mean(values, groups, seed=2))
    assert found == measured(clustered_mean(values, groups, seed=2))
    assert found.standard_error is not None
    reach = stats.t.ppf(0.95, 7) * found.standard_error
    assert found.interval.low <= found.value - reach
    assert found.interval.high >= found.value + reach
    assert "8 clusters" in found.warnings[0]


def test_one_dominating_cluster_counts_as_few() -> None:
    groups = np.concatenate([np.zeros(500, dtype=int), np.arange(1, 41)])
    found = measured(clustered_mean(np.random.default_rng(0).normal(size=540), groups))
    assert found.clusters == 41
    assert "in weight like 1.2" in found.warnings[0]


@pytest.mark.parametrize(
    "result",
    [
        mean_t([]),
        mean_t([1.0]),
        clustered_mean([1.0, 2.0, 3.0], [4, 4, 4]),
        mean_of_influence(1.0, [0.0]),
        mean_of_influence(1.0, [1.0, -1.0], groups=[2, 2]),
    ],
)
def test_too_little_is_unmeasured_with_a_reason(result: Estimate | Unmeasured) -> None:
    assert isinstance(result, Unmeasured)
    assert "needs at least 2" in result.reason


def test_a_constant_sample_is_never_certain_within_bounds() -> None:
    found = measured(mean_t(np.zeros(50), bounds=(-1, 1)))
    assert found.interval.high == pytest.approx(1 - 0.05 ** (1 / 50), rel=1e-12)
    assert found.interval.low == -found.interval.high
    assert found.standard_error is None
    assert "all 50 examples agree" in found.warnings[0]


def test_a_constant_sample_without_bounds_says_that_its_width_means_nothing() -> None:
    found = measured(mean_t([0.1] * 7))
    assert found.interval == Interval(0.1, 0.1)
    assert "rests on nothing" in found.warnings[0]


def test_constant_clusters_count_clusters_not_rows() -> None:
    found = measured(clustered_mean(np.ones(300), np.arange(300) % 30, bounds=(0, 1)))
    assert found.interval.high == 1.0
    assert found.interval.low == pytest.approx(0.05 ** (1 / 30), rel=1e-12)


@pytest.mark.parametrize(("k", "n"), [(1, 20), (2, 100), (97, 100), (30, 80)])
def test_dirichlet_ends_are_clopper_and_pearsons_for_binary_values(k: int, n: int) -> None:
    values = np.repeat([1.0, 0.0], [k, n - k])
    low, high = dirichlet_ends(values, np.ones(n), (0, 1), 0.95, seed=1)
    error = 4 * sqrt(0.05 * 0.95 / 10_000)  # of a share of 10,000 draws
    assert stats.beta.cdf(low, k, n - k + 1) == pytest.approx(0.05, abs=error)
    assert stats.beta.sf(high, k + 1, n - k) == pytest.approx(0.05, abs=error)


def test_one_loss_seen_is_worse_news_than_none() -> None:
    """The t interval alone says the opposite: -0.027 after one loss in 100, -0.030 after none."""
    none = measured(mean_t(np.zeros(100), bounds=(-1, 1)))
    values = np.zeros(100)
    values[3] = -1
    one = measured(mean_t(values, bounds=(-1, 1)))
    assert one.interval.low < none.interval.low
    alone = measured(mean_t(values))
    assert "skewed values: the lower end" in alone.warnings[0]
    assert alone.method == "t, corrected for skewness"
    assert alone.standard_error is not None
    assert alone.interval.low < alone.value - stats.t.ppf(0.95, 99) * alone.standard_error
    assert alone.interval.high == pytest.approx(alone.value + stats.t.ppf(0.95, 99) * alone.standard_error)


def test_influence_of_a_mean_is_the_mean() -> None:
    values = np.random.default_rng(8).normal(size=90)
    groups = np.arange(90) % 30
    direct = measured(clustered_mean(values, groups))
    by_influence = measured(mean_of_influence(direct.value, values - values.mean(), groups=groups))
    assert by_influence.standard_error == pytest.approx(direct.standard_error, rel=1e-12)
    assert by_influence.interval.low == pytest.approx(direct.interval.low, rel=1e-12)


@CHECKED
@given(NUMBERS, st.floats(0.6, 0.999), st.sampled_from([-1.0, 4.0, 0.125]))
def test_interval_holds_the_value_scales_negates_and_ignores_order(values: list[float], c: float, k: float) -> None:
    one, scaled = measured(mean_t(values, c)), measured(mean_t(np.array(values) * k, c))
    ends = sorted((one.interval.low * k, one.interval.high * k))
    slack = 1e-9 * max(1.0, *np.abs(values))
    assert one.value in one.interval
    assert [scaled.interval.low, scaled.interval.high] == pytest.approx(ends, abs=slack)
    assert measured(mean_t(values[::-1], c)) == one


@CHECKED
@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 4)), min_size=2, max_size=30))
def test_clusters_and_bounds_hold_for_any_sample(rows: list[tuple[float, int]]) -> None:
    values, groups = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
    found = clustered_mean(values, groups, bounds=(0, 1))
    if np.unique(groups).size < 2:
        assert isinstance(found, Unmeasured)
        return
    found = measured(found)
    assert 0 <= found.interval.low <= found.value <= found.interval.high <= 1
    assert found.interval.width > 0
    renamed = measured(clustered_mean(values, 90 - groups * 3, bounds=(0, 1)))
    assert renamed.standard_error == pytest.approx(found.standard_error, abs=1e-12)


@CHECKED
@given(st.lists(st.integers(0, 9), min_size=1, max_size=50))
def test_partition_gives_each_row_one_unit(groups: list[int]) -> None:
    units = partition(len(groups), groups)
    assert units.sizes.sum() == len(groups)
    assert units.sums(np.ones(len(groups))).tolist() == units.sizes.tolist()
    assert 1 <= units.effective <= units.count + 1e-9


def misses(ends: list[Interval], truth: float) -> tuple[float, float]:
    return sum(truth < e.low for e in ends) / len(ends), sum(truth > e.high for e in ends) / len(ends)


def test_coverage_of_clustered_means() -> None:
    rng, worlds, ends, naive = np.random.default_rng(21), 400, [], []
    for _ in range(worlds):
        groups = np.repeat(np.arange(30), rng.integers(2, 9, size=30))
        values = rng.normal(size=30)[groups] + rng.normal(size=groups.size)
        ends.append(measured(clustered_mean(values, groups)).interval)
        naive.append(measured(mean_t(values)).interval)
    assert max(misses(ends, 0)) < 0.05 + 3 * sqrt(0.05 * 0.95 / worlds)
    assert max(misses(naive, 0)) > 0.1  # what ignoring the clusters costs


def test_coverage_with_few_clusters() -> None:
    rng, worlds, ends = np.random.default_rng(22), 200, []
    for world in range(worlds):
        groups = np.repeat(np.arange(6), rng.integers(2, 9, size=6))
        values = rng.normal(size=6)[groups] + rng.normal(size=groups.size)
        ends.append(measured(clustered_mean(values, groups, seed=world)).interval)
    assert max(misses(ends, 0)) < 0.05 + 3 * sqrt(0.05 * 0.95 / worlds)


def test_bounds_rescue_the_coverage_of_rare_harm() -> None:
    """Differences are 0, save that one example in 100 is lost; 60 examples; the lower end must stay below."""
    rng, worlds, bounded, plain = np.random.default_rng(23), 400, [], []
    for _ in range(worlds):
        values = -(rng.random(60) < 0.01).astype(float)
        bounded.append(measured(mean_t(values, bounds=(-1, 1))).interval)
        plain.append(measured(mean_t(values)).interval)
    assert misses(bounded, -0.01)[1] == 0
    assert sum(e.low > -0.01 for e in bounded) / worlds < 0.05 + 3 * sqrt(0.05 * 0.95 / worlds)
    assert sum(e.low > -0.01 for e in plain) / worlds > 0.4


def test_constant_ends_keep_their_level_for_three_valued_scores() -> None:
    rng, shares, scores = np.random.default_rng(24), [0.93, 0.04, 0.03], np.array([1.0, 0.5, 0.0])
    truth = float(np.dot(shares, scores))
    drawn = rng.choice(scores, p=shares, size=(4000, 40))
    wrong = (drawn == 1).all(axis=1) & (constant_ends(1.0, 40, (0, 1), 0.95)[0] > truth)
    assert wrong.mean() < 0.05


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mean_t([[1.0, 2.0]]), "one value per example"),
        (lambda: mean_t([1.0, float("inf")]), "1 of 2 values are not finite, first at row 1"),
        (lambda: mean_t([1.0, 2.0], bounds=(0, 1)), "expected within"),
        (lambda: mean_t([1.0, 1.0], bounds=(1, 1)), "low < high"),
        (lambda: mean_t([1.0, 2.0], 0.5), "above 0.5"),
        (lambda: clustered_mean([1.0, 2.0], [0.0, 1.0]), "integer codes"),
        (lambda: clustered_mean([1.0, 2.0], [-1, 1]), "codes are negative"),
        (lambda: clustered_mean([1.0, 2.0], [1, 2, 3]), "one cluster code per row"),
        (lambda: mean_of_influence(0.0, [1.0, 2.0]), "subtract their mean"),
        (lambda: mean_of_influence(float("nan"), [1.0, -1.0]), "finite number"),
        (lambda: Interval(1.0, 0.0), "low <= high"),
        (lambda: Estimate(2.0, Interval(0.0, 1.0), 2, 2, "t", None), "outside of its own interval"),
    ],
)
def test_wrong_arguments_say_what_was_expected(call: object, message: str) -> None:
    assert callable(call)
    with pytest.raises(ValueError, match=message):
        call()
