"""Agreement: published worked examples, scikit-learn and scipy, the definition spelt out, and what must not matter."""

from __future__ import annotations

from time import perf_counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import cohen_kappa_score

from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.statistics import (
    Estimate,
    MeasurementLevel,
    alpha_worlds,
    chance_where_undefined,
    krippendorff_alpha,
    nearest_category,
    paired_bootstrap,
    quadratic_kappa,
    spearman,
    spearman_worlds,
)

CHECKED = settings(max_examples=60, deadline=None, derandomize=True)
LEVELS: tuple[MeasurementLevel, ...] = ("nominal", "ordinal", "interval")
NONE = np.nan

# Krippendorff 2011, Computing Krippendorff's Alpha-Reliability: examples A, B and C
BINARY = [[0, 1, 0, 0, 0, 0, 0, 0, 1, 0], [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]]
NOMINAL = [["abcde".index(letter) for letter in row] for row in ("aabbdcccedda", "babbbccceddd")]
FOUR_OBSERVERS = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, NONE, NONE, NONE],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NONE, 3],
    [NONE, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NONE],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NONE],
]

# the first two raters of the data set "anxiety" of R's package irr; kappa2(anxiety[, 1:2], "squared") gives 0.297
ANXIETY = [
    [3, 3, 3, 4, 5, 5, 2, 3, 5, 2, 2, 6, 1, 5, 2, 2, 1, 2, 4, 3],
    [3, 6, 4, 6, 2, 4, 2, 4, 3, 3, 2, 3, 3, 3, 2, 2, 1, 3, 3, 4],
]

TABLES = st.integers(2, 4).flatmap(
    lambda raters: st.lists(
        st.lists(st.sampled_from([1.0, 2.0, 3.0, 5.0, NONE]), min_size=raters, max_size=raters), min_size=2, max_size=12
    ).map(lambda rows: np.array(rows).T)
)


def known(found: float | Unmeasured) -> float:
    assert isinstance(found, float), found
    return found


def by_coincidences(table: np.ndarray, level: MeasurementLevel) -> float:
    """Alpha as it is defined, pair by pair and metric by metric."""
    values = np.unique(table[~np.isnan(table)])
    met = np.zeros((values.size, values.size))
    for item in table.T:
        codes = np.searchsorted(values, item[~np.isnan(item)])
        for one in range(codes.size):
            for other in range(codes.size):
                if one != other:
                    met[codes[one], codes[other]] += 1 / (codes.size - 1)
    times = met.sum(axis=1)
    apart = np.zeros_like(met)
    for c in range(values.size):
        for k in range(values.size):
            between = times[min(c, k) : max(c, k) + 1].sum() - (times[c] + times[k]) / 2
            apart[c, k] = {"nominal": c != k, "interval": (values[c] - values[k]) ** 2, "ordinal": between**2}[level]
    return 1 - (times.sum() - 1) * (met * apart).sum() / (np.outer(times, times) * apart).sum()


def counts_of(first: np.ndarray, second: np.ndarray, classes: int) -> np.ndarray:
    counts = np.zeros((classes, classes))
    np.add.at(counts, (first, second), 1)
    return counts


@pytest.mark.parametrize(
    ("ratings", "level", "published"),
    [
        (BINARY, "nominal", 0.095),
        (NOMINAL, "nominal", 0.692),
        (FOUR_OBSERVERS, "nominal", 0.743),
        (FOUR_OBSERVERS, "ordinal", 0.815),
        (FOUR_OBSERVERS, "interval", 0.849),
    ],
)
def test_alpha_is_krippendorffs_in_his_examples(
    ratings: list[list[float]], level: MeasurementLevel, published: float
) -> None:
    assert known(krippendorff_alpha(ratings, level)) == pytest.approx(published, abs=0.0006)


@CHECKED
@given(TABLES, st.sampled_from(LEVELS))
def test_alpha_is_its_definition(table: np.ndarray, level: MeasurementLevel) -> None:
    found = krippendorff_alpha(table, level)
    if not isinstance(found, Unmeasured):
        assert found == pytest.approx(by_coincidences(table, level), abs=1e-12)


@CHECKED
@given(TABLES, st.sampled_from(LEVELS), st.randoms(use_true_random=False))
def test_neither_raters_nor_items_have_an_order(table: np.ndarray, level: MeasurementLevel, luck: object) -> None:
    seed = getattr(luck, "randrange")(1 << 30)  # noqa: B009 - hypothesis types its generator as object
    drawn = np.random.default_rng(seed)
    shuffled = drawn.permutation(drawn.permutation(table, axis=0), axis=1)
    within = np.stack([drawn.permutation(item) for item in table.T], axis=1)  # nor does who gave which rating
    found = krippendorff_alpha(table, level)
    for other in (krippendorff_alpha(shuffled, level), krippendorff_alpha(within, level)):
        if isinstance(found, Unmeasured):
            assert other == found
        else:
            assert known(other) == pytest.approx(found, abs=1e-12)


@CHECKED
@given(TABLES, st.sampled_from(LEVELS))
def test_alpha_is_1_for_full_agreement_and_never_more(table: np.ndarray, level: MeasurementLevel) -> None:
    found = krippendorff_alpha(table, level)
    if not isinstance(found, Unmeasured):
        assert -1 < found <= 1
    filled = np.nan_to_num(table, nan=1.0)
    agreed = krippendorff_alpha(np.stack([filled[0]] * 3), level)
    assert agreed == 1.0 if np.unique(filled[0]).size > 1 else isinstance(agreed, Unmeasured)


@CHECKED
@given(TABLES, st.sampled_from(LEVELS), st.floats(0.1, 9), st.floats(-5, 5))
def test_what_a_level_ignores_changes_nothing(
    table: np.ndarray, level: MeasurementLevel, scale: float, shift: float
) -> None:
    found = krippendorff_alpha(table, level)
    if isinstance(found, Unmeasured):
        return
    assert known(krippendorff_alpha(table * scale + shift, level)) == pytest.approx(found, abs=1e-9)
    if level != "interval":
        assert known(krippendorff_alpha(np.exp(table), level)) == pytest.approx(found, abs=1e-12)
    if level == "nominal":
        assert known(krippendorff_alpha(np.where(table == 1, 77.0, table), level)) == pytest.approx(found, abs=1e-12)


@pytest.mark.parametrize("level", LEVELS)
def test_weights_are_items_repeated(level: MeasurementLevel) -> None:
    drawn = np.random.default_rng(1)
    table = drawn.integers(1, 6, (3, 40)).astype(float)
    table[drawn.random(table.shape) < 0.3] = NONE
    weights = np.stack([np.bincount(drawn.integers(0, 40, 40), minlength=40) for _ in range(5)])
    found = alpha_worlds(table, level)(weights)
    for world, times in zip(found, weights, strict=True):
        assert world == pytest.approx(known(krippendorff_alpha(np.repeat(table, times, axis=1), level)), abs=1e-12)


def test_a_thousand_items_are_resampled_in_a_second_or_so() -> None:
    table = np.random.default_rng(2).integers(1, 6, (4, 1000)).astype(float)
    start = perf_counter()
    found = paired_bootstrap(alpha_worlds(table, "ordinal"), 1000, resamples=5000, bounds=(-1.0, 1.0))
    assert perf_counter() - start < 5
    assert isinstance(found, Estimate)
    assert 0.0 in found.interval


@pytest.mark.parametrize(
    ("ratings", "reason"),
    [
        ([[1, NONE, 2], [NONE, 1, NONE]], "agreement needs pairs"),
        ([[3, 3, NONE], [3, 3, 5]], "without variation"),
        ([[1, 2, 3]], "agreement needs pairs"),
        ([[NONE, NONE], [NONE, NONE]], "agreement needs pairs"),
    ],
)
def test_nothing_to_agree_on_is_unmeasured(ratings: list[list[float]], reason: str) -> None:
    for level in LEVELS:
        found = krippendorff_alpha(ratings, level)
        assert isinstance(found, Unmeasured)
        assert reason in found.reason
        assert np.isnan(alpha_worlds(ratings, level)(np.ones((1, len(ratings[0])), dtype=np.int64))).all()


def test_quadratic_kappa_is_that_of_r_and_of_scikit_learn() -> None:
    first, second = np.array(ANXIETY) - 1
    assert quadratic_kappa(counts_of(first, second, 6)) == pytest.approx(0.297, abs=0.0005)
    drawn = np.random.default_rng(3)
    tables, expected = [], []
    for _ in range(20):
        first = drawn.integers(0, 5, 60)
        second = np.clip(first + drawn.integers(-1, 3, 60), 0, 4)
        tables.append(counts_of(first, second, 5))
        expected.append(cohen_kappa_score(first, second, weights="quadratic", labels=range(5)))
    assert quadratic_kappa(np.array(tables)) == pytest.approx(np.array(expected), abs=1e-12)


@CHECKED
@given(st.lists(st.integers(0, 6), min_size=9, max_size=9))
def test_kappa_is_symmetric_and_bounded(cells: list[int]) -> None:
    counts = np.array(cells).reshape(3, 3)
    found, turned, mirrored = (float(quadratic_kappa(table)) for table in (counts, counts.T, counts[::-1, ::-1]))
    if np.isnan(found):
        assert np.isnan(turned)
        assert np.isnan(mirrored)
        assert np.trace(counts) == counts.sum() == counts.max(), "one category throughout, or nothing"
    else:
        assert -1 <= found <= 1
        assert turned == pytest.approx(found, abs=1e-12)
        assert mirrored == pytest.approx(found, abs=1e-12)
        assert (found == 1) == (np.trace(counts) == counts.sum())


def test_kappa_of_large_samples_is_nearly_interval_alpha() -> None:
    """Both are intraclass correlations where raters use the scale alike (Fleiss and Cohen 1973)."""
    drawn = np.random.default_rng(4)
    true = drawn.integers(0, 5, 4000)
    first, second = (np.clip(true + drawn.integers(-1, 2, 4000), 0, 4) for _ in range(2))
    alpha = known(krippendorff_alpha(np.stack([first, second]), "interval"))
    assert quadratic_kappa(counts_of(first, second, 5)) == pytest.approx(alpha, abs=0.001)


def test_spearman_is_scipys_with_ties_and_with_weights() -> None:
    drawn = np.random.default_rng(5)
    first = drawn.integers(1, 6, 70).astype(float)
    second = first + drawn.normal(0, 1, 70).round()
    assert known(spearman(first, second)) == pytest.approx(stats.spearmanr(first, second).statistic, abs=1e-12)
    times = np.bincount(drawn.integers(0, 70, 70), minlength=70)
    repeated = stats.spearmanr(np.repeat(first, times), np.repeat(second, times)).statistic
    assert spearman_worlds(first, second)(times[None, :])[0] == pytest.approx(repeated, abs=1e-12)
    assert spearman(first, np.exp(first)) == pytest.approx(1.0)
    assert isinstance(spearman(first, np.ones(70)), Unmeasured)


@pytest.mark.parametrize(
    ("value", "category"),
    [(0.0, 0), (0.24, 0), (0.25, 1), (0.5, 1), (0.75, 1), (0.76, 2), (1.0, 2), (-3.0, 0), (9.0, 2)],
)
def test_a_verdict_counts_as_the_nearest_category(value: float, category: int) -> None:
    assert nearest_category(value, (0.0, 0.5, 1.0)) == category
    assert nearest_category(1 - value, (0.0, 0.5, 1.0)) == 2 - category, "swapping the sides swaps the category"


def test_halves_go_to_the_middle_of_the_scale() -> None:
    assert nearest_category([1.5, 2.5, 3.5, 4.5], (1.0, 2.0, 3.0, 4.0, 5.0)).tolist() == [1, 2, 2, 3]
    assert nearest_category(0.1 + 0.05, (0.0, 0.1, 0.2, 0.3, 0.4)) == 2, "0.15 is half way, whatever the rounding"


def test_worlds_without_variation_count_as_chance() -> None:
    assert chance_where_undefined(np.array([NONE, 0.3]), 0.9).tolist() == [0.0, 0.3]
    assert chance_where_undefined(np.array([NONE, 0.3]), 1.0).tolist() == [1.0, 0.3], "where nobody ever disagreed"
    by_pair = chance_where_undefined(np.array([[NONE, NONE], [0.2, 0.4]]), [1.0, 0.5])
    assert by_pair.tolist() == [[1.0, 0.0], [0.2, 0.4]]


def test_full_agreement_is_not_certainty() -> None:
    worlds = alpha_worlds(np.array([[1.0] * 24 + [5.0] * 6] * 2), "ordinal")
    found = paired_bootstrap(lambda w: chance_where_undefined(worlds(w), 1.0), 30, resamples=400, bounds=(-1, 1))
    assert isinstance(found, Estimate)
    assert found.method == "constant bootstrap"
    assert found.interval.low == pytest.approx(1 - 2 * (1 - 0.05 ** (1 / 30)))


def test_wrong_arguments_say_what_was_expected() -> None:
    for call, message in (
        (lambda: krippendorff_alpha([1.0, 2.0], "ordinal"), "expected \\(raters, items\\)"),
        (lambda: krippendorff_alpha([[1.0, np.inf]], "ordinal"), "infinite"),
        (lambda: quadratic_kappa([[1, 2, 3], [4, 5, 6]]), "categories, categories"),
        (lambda: nearest_category([0.1], (1.0, 0.0)), "increasing order"),
        (lambda: nearest_category([np.nan], (0.0, 1.0)), "not finite"),
        (lambda: spearman([1.0, 2.0], [1.0]), "one finite value per item"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
