"""Intervals and tests against other people's: scipy, statsmodels 0.15, R's printed output, and matrices written out."""

from __future__ import annotations

from math import exp, sqrt

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import linalg, stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.measurement import Measurement
from finetune_gate.evaluators.statistics import (
    Estimate,
    clustered_mean,
    exponential,
    mcnemar_exact,
    mean_of_influence,
    mean_t,
    paired_bootstrap,
    paired_counts,
    paired_proportions,
    ratio,
    ratio_difference,
    wilson,
)
from finetune_gate.evaluators.statistics.resampling import Statistic
from finetune_gate.gate.deciding.by_slice import slice_checks
from finetune_gate.gate.deciding.terms import MeasuredSlice, Sliced
from finetune_gate.gate.gate_file.rules import Rule


def measured(result: Estimate | Unmeasured) -> Estimate:
    assert isinstance(result, Estimate)
    return result


def ends(result: Estimate | Unmeasured) -> tuple[float, float]:
    return measured(result).interval.low, measured(result).interval.high


# ---- shares


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_as_newcombe_printed_it(successes: int, n: int, low: float, high: float) -> None:
    """Newcombe 1998, Statistics in Medicine 17:857-872, table I, method 3, two-sided 95 %."""
    assert ends(wilson(successes, n, 0.975)) == pytest.approx((low, high), abs=5.1e-5)


@pytest.mark.parametrize(("n", "worst"), [(50, 0.0717), (200, 0.0681), (1000, 0.0671)])
def test_wilsons_worst_rate_is_just_below_one(n: int, worst: float) -> None:
    """docs/error-rates.md: over all rates from 0.5 on, how often the lower end lies above the truth, summed exactly."""
    lows = [measured(wilson(successes, n)).interval.low for successes in range(1, n + 1)]
    errors = [(stats.binom.sf(at, n, low), low) for at, low in enumerate(lows) if low >= 0.5]
    assert max(errors)[0] == pytest.approx(worst, abs=5e-5)
    assert max(errors)[1] == lows[-1]


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (1, 0), (0, 9), (3, 7), (6, 16), (40, 61), (500, 440)])
def test_mcnemar_is_statsmodels(gained: int, lost: int) -> None:
    expected = float(mcnemar([[5, gained], [lost, 7]], exact=True).pvalue) if gained + lost else 1.0
    assert mcnemar_exact(gained, lost) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("gained", "lost", "n", "confidence", "low", "high"),
    [
        # R's contingencytables, complete response before and after consolidation (Cavo et al. 2012)
        (6, 16, 161, 0.975, -0.1240, -0.0054),
        # R's PropCIs, scoreci.mp(25, 28, 618) at a two-sided 90 %
        (28, 25, 618, 0.95, -0.0148, 0.0247),
        # R's PropCIs, 48 and 41 of 549 pairs, two-sided 90 %, printed as -1.57 and 4.14 points
        (48, 41, 549, 0.95, -0.0157, 0.0414),
    ],
)
def test_tango_as_r_prints_it(gained: int, lost: int, n: int, confidence: float, low: float, high: float) -> None:
    assert ends(paired_counts(gained, lost, n, confidence)) == pytest.approx((low, high), abs=5.1e-5)


def test_mcnemar_as_r_prints_it() -> None:
    assert mcnemar_exact(6, 16) == pytest.approx(0.052479, abs=5e-7)


@pytest.mark.parametrize(("gained", "lost", "n"), [(0, 1, 44), (12, 3, 50), (31, 30, 200), (0, 8, 60)])
def test_an_end_of_tangos_is_where_his_test_turns(gained: int, lost: int, n: int) -> None:
    """His score statistic at an end is z, the nuisance share being a root of his quadratic, found by numpy."""
    z = stats.norm.ppf(0.95)
    for end, sign in zip(ends(paired_counts(gained, lost, n)), (1, -1), strict=True):
        quadratic = [2 * n, -gained - lost + (2 * n - gained + lost) * end, -lost * end * (1 - end)]
        share = float(np.roots(quadratic).real.max())
        score = (gained - lost - n * end) / sqrt(n * (2 * share + end * (1 - end)))
        assert score == pytest.approx(sign * z, abs=1e-6)


# ---- means


@pytest.mark.parametrize("n", [8, 60, 500])
@pytest.mark.parametrize("confidence", [0.9, 0.975])
def test_paired_differences_are_scipys_paired_t(n: int, confidence: float) -> None:
    rng = np.random.default_rng(n)
    base = rng.normal(3, 2, n)
    candidate = base + rng.normal(0.1, 0.5, n)
    found = measured(mean_t(candidate - base, confidence))
    theirs = stats.ttest_rel(candidate, base).confidence_interval(2 * confidence - 1)
    assert found.method == "t", "no correction where nothing is skewed"
    assert ends(found) == pytest.approx((theirs.low, theirs.high), abs=1e-10)


def by_matrices(design: np.ndarray, residual: np.ndarray, groups: np.ndarray) -> tuple[float, float]:
    """Bell and McCaffrey's standard error and degrees of freedom for one coefficient, matrix by matrix."""
    total = float(design @ design)
    hat = np.outer(design, design) / total
    vectors, variance = [], 0.0
    for group in np.unique(groups):
        rows = np.flatnonzero(groups == group)
        adjust = linalg.fractional_matrix_power(np.eye(rows.size) - hat[np.ix_(rows, rows)], -0.5).real
        weights = adjust @ design[rows] / total
        variance += float(weights @ residual[rows]) ** 2
        vectors.append((np.eye(design.size) - hat)[:, rows] @ weights)
    gram = np.array(vectors) @ np.array(vectors).T
    return sqrt(variance), float(np.trace(gram) ** 2 / np.trace(gram @ gram))


@pytest.mark.parametrize("sizes", [(3, 1, 7, 12, 1, 2, 9, 4) * 4, (40, *[2] * 30), (5,) * 24])
def test_clusters_of_unequal_size_are_bell_and_mccaffreys(sizes: tuple[int, ...]) -> None:
    rng = np.random.default_rng(len(sizes))
    groups = np.repeat(np.arange(len(sizes)), sizes)
    values = rng.normal(size=len(sizes))[groups] + rng.normal(size=groups.size)
    found = measured(clustered_mean(values, groups))
    error, freedom = by_matrices(np.ones(groups.size), values - values.mean(), groups)
    assert found.standard_error == pytest.approx(error, rel=1e-9)
    reach = stats.t.ppf(0.95, freedom) * error
    assert found.interval.high >= values.mean() + reach - 1e-9
    if not found.warnings and found.method == "clustered t":
        assert ends(found) == pytest.approx((values.mean() - reach, values.mean() + reach), rel=1e-9)


def test_rows_of_their_own_are_statsmodels_hc2() -> None:
    """Documents of unequal length: a regression of nats on tokens through the origin, rows weighed by 1 / tokens."""
    rng = np.random.default_rng(4)
    tokens = np.ceil(rng.lognormal(5, 0.9, 70))
    nats = tokens * rng.normal(2, 0.3, 70)
    fit = sm.OLS(nats / np.sqrt(tokens), np.sqrt(tokens)).fit(cov_type="HC2")
    found = measured(ratio(nats, tokens))
    assert found.value == pytest.approx(float(fit.params[0]), rel=1e-12)
    assert found.standard_error == pytest.approx(float(fit.bse[0]), rel=1e-12)
    error, freedom = by_matrices(np.sqrt(tokens), (nats - found.value * tokens) / np.sqrt(tokens), np.arange(70))
    assert found.standard_error == pytest.approx(error, rel=1e-9)
    if found.method == "t":
        assert found.interval.low == pytest.approx(found.value - stats.t.ppf(0.95, freedom) * error, rel=1e-9)


def test_one_document_that_decides_everything_leaves_one_degree_of_freedom() -> None:
    found = measured(ratio([1e9, 3.0, 2.0], [1e9, 1.0, 1.0]))
    assert found.standard_error is not None
    assert found.interval.high - found.value >= 0.99 * stats.t.ppf(0.95, 1) * found.standard_error
    silent = measured(ratio([5.0, 1.0, 2.0], [7.0, 0.0, 0.0]))
    assert silent.interval.width > 1, "rows that count for nothing and yet add: nothing is known"


def test_equal_lengths_are_cochrans_formula() -> None:
    rng = np.random.default_rng(9)
    nats, tokens = rng.normal(100, 20, 50), np.full(50, 64.0)
    found = measured(ratio(nats, tokens))
    error = float(nats.std(ddof=1)) / 64 / sqrt(50)
    assert found.standard_error == pytest.approx(error, rel=1e-12)
    assert ends(found) == pytest.approx(stats.t.interval(0.9, 49, nats.mean() / 64, error), rel=1e-9)


@pytest.mark.parametrize("transform", ["identity", "exp"])
def test_a_ratio_is_its_own_linearisation(transform: str) -> None:
    """psi from a numerical derivative of the statistic itself, one document's weight at a time."""
    assert transform in ("identity", "exp")
    rng = np.random.default_rng(10)
    tokens = np.ceil(rng.lognormal(5, 0.5, 40))
    base = tokens * rng.normal(2, 0.3, 40)
    candidate = base + tokens * rng.normal(-0.02, 0.1, 40)

    def gain(weights: np.ndarray) -> float:
        pair = [float(weights @ nats) / float(weights @ tokens) for nats in (candidate, base)]
        return pair[0] - pair[1] if transform == "identity" else float(np.exp(pair[0]) - np.exp(pair[1]))

    step = 1e-5
    psi = np.array([(gain(1 + step * one) - gain(1 - step * one)) / (2 * step) * 40 for one in np.eye(40)])
    found = measured(ratio_difference(candidate, tokens, base, tokens, transform=transform))  # type: ignore[arg-type]
    error = sqrt((psi**2 / (1 - tokens / tokens.sum())).sum()) / 40
    assert found.value == pytest.approx(gain(np.ones(40)), rel=1e-12)
    assert found.standard_error == pytest.approx(error, rel=1e-6)


def test_halls_transformation_is_undone() -> None:
    """The corrected end is where Hall's cubic of the t statistic is the t quantile."""
    values = np.random.default_rng(12).exponential(size=60)
    found = measured(mean_t(values))
    assert found.standard_error is not None
    assert found.method == "t, corrected for skewness"
    bend = float(stats.skew(values)) * (1 + 8.5 / 60) / sqrt(60)
    t = (found.value - found.interval.high) / found.standard_error
    assert t + bend * t**2 / 3 + bend**2 * t**3 / 27 + bend / 6 == pytest.approx(-stats.t.ppf(0.95, 59), abs=1e-9)
    assert found.interval.low == pytest.approx(found.value - stats.t.ppf(0.95, 59) * found.standard_error)


def test_halls_correction_errs_less_on_exponential_values() -> None:
    rng, worlds, plain, ours = np.random.default_rng(13), 1000, 0, 0
    for _ in range(worlds):
        values = rng.exponential(size=50)
        high = values.mean() + stats.t.ppf(0.95, 49) * stats.sem(values)
        plain += bool(high < 1)
        ours += measured(mean_t(values)).interval.high < 1
    assert ours / worlds < 0.05 + 0.01 + 3 * sqrt(0.05 * 0.95 / worlds)
    assert plain / worlds > 0.07


def test_influence_values_are_the_delta_method() -> None:
    """The correlation coefficient: its influence is u v - r (u^2 + v^2) / 2 for standardised u and v."""
    rng = np.random.default_rng(14)
    first = rng.normal(size=80)
    second = 0.6 * first + rng.normal(size=80)
    u, v = ((side - side.mean()) / side.std() for side in (first, second))
    r = float(np.mean(u * v))
    psi = u * v - r * (u**2 + v**2) / 2
    found = measured(mean_of_influence(r, psi))
    assert found.value == pytest.approx(stats.pearsonr(first, second).statistic, rel=1e-12)
    assert found.standard_error == pytest.approx(psi.std(ddof=1) / sqrt(80), rel=1e-9)


# ---- the bootstrap


def weighted_mean(values: np.ndarray) -> Statistic:
    return lambda weights: (weights.astype(float) @ values) / weights.sum(axis=1)


def test_bca_of_a_paired_correlation_is_scipys() -> None:
    rng = np.random.default_rng(15)
    first = rng.normal(size=400)
    second = 0.5 * first + rng.normal(size=400)
    rows = np.stack([first, second, first**2, second**2, first * second], axis=1)

    def correlation(weights: np.ndarray) -> np.ndarray:
        x, y, xx, yy, xy = (weights.astype(float) @ rows / 400).T
        return (xy - x * y) / np.sqrt((xx - x * x) * (yy - y * y))

    found = measured(paired_bootstrap(correlation, 400))
    theirs = stats.bootstrap(
        (first, second),
        lambda x, y: stats.pearsonr(x, y).statistic,
        paired=True,
        vectorized=False,
        confidence_level=0.9,
        n_resamples=2000,
        method="BCa",
        rng=np.random.default_rng(0),
    )
    slack = 0.15 * float(theirs.standard_error)
    assert found.interval.low == pytest.approx(theirs.confidence_interval.low, abs=slack)
    assert found.interval.high == pytest.approx(theirs.confidence_interval.high, abs=slack)


def test_a_draw_that_is_kept_is_the_draw() -> None:
    """Whether a statistic comes first, again, or after one of another size: the same bits."""
    rng = np.random.default_rng(16)
    values, other, groups = rng.normal(size=1500), rng.normal(size=90), np.arange(90) % 25
    first = paired_bootstrap(weighted_mean(values), 1500, resamples=600, seed=3)
    again = paired_bootstrap(weighted_mean(values), 1500, resamples=600, seed=3)
    clusters = paired_bootstrap(weighted_mean(other), 90, groups=groups, resamples=600, seed=3)
    later = paired_bootstrap(weighted_mean(values), 1500, resamples=600, seed=3)
    assert first == again == later
    assert clusters == paired_bootstrap(weighted_mean(other), 90, groups=groups, resamples=600, seed=3)


def test_a_statistic_cannot_spoil_the_next_ones_draw() -> None:
    values = np.random.default_rng(17).normal(size=50)

    def careless(weights: np.ndarray) -> np.ndarray:
        found = weighted_mean(values)(weights)
        weights[:] = 0
        return found

    first = measured(paired_bootstrap(weighted_mean(values), 50, resamples=400))
    paired_bootstrap(careless, 50, resamples=400)
    assert paired_bootstrap(weighted_mean(values), 50, resamples=400) == first


def test_two_doors_to_the_same_answer() -> None:
    rng = np.random.default_rng(18)
    candidate, base = rng.integers(0, 2, 90), rng.integers(0, 2, 90)
    gained, lost = int((candidate > base).sum()), int((candidate < base).sum())
    assert paired_proportions(candidate, base) == paired_counts(gained, lost, 90)
    tokens = np.ceil(rng.lognormal(5, 0.5, 30))
    plain = measured(ratio(tokens * 2 + rng.normal(size=30), tokens))
    assert ends(exponential(plain)) == (exp(plain.interval.low), exp(plain.interval.high))


# ---- many comparisons


def test_slices_that_fail_are_statsmodels_holm() -> None:
    rng = np.random.default_rng(19)
    rule = Rule(metric="made.score", min=0.0, slices="language")
    some = 0
    for _ in range(6):
        samples = [rng.normal(-0.3 * rng.random(), 1, 60) for _ in range(8)]
        slices = tuple(MeasuredSlice(str(at), mean_of(sample), stricter(sample)) for at, sample in enumerate(samples))
        checks = slice_checks(rule, Sliced("language", 30, slices), has_champion=False)
        p_values = [float(stats.ttest_1samp(sample, 0, alternative="less").pvalue) for sample in samples]
        rejected = multipletests(p_values, alpha=0.05, method="holm")[0].tolist()
        assert [check.outcome == "failed" for check in checks] == rejected
        some += any(rejected)
    assert 2 <= some < 6


def mean_of(sample: np.ndarray, confidence: float = 0.95) -> Measurement:
    found = mean_t(sample, confidence)
    return Measurement("made.score", True, "", confidence, sample.size, {"candidate": sample.size}, found, {})


def stricter(sample: np.ndarray) -> dict[int, Measurement]:
    return {times: mean_of(sample, 1 - 0.05 / times) for times in range(2, 9)}
