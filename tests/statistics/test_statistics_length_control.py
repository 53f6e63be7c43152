"""The win rate at equal length: scikit-learn's fit, what it is for, coverage, and where it says nothing."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.statistics import Estimate, clustered_mean, equal_length_rate, mean_t


def measured(found: Estimate | Unmeasured) -> Estimate:
    assert isinstance(found, Estimate), found
    return found


def compared(
    seed: int, n: int = 150, liking: float = 1.0, at_equal: float = 0.6, longer: float = 100.0
) -> tuple[np.ndarray, np.ndarray]:
    """Scores and length differences of a judge who likes length by ``liking`` on the logit, squashed as in the fit."""
    drawn = np.random.default_rng(seed)
    apart = drawn.normal(longer, 200, n).round()
    logit = np.log(at_equal / (1 - at_equal)) + liking * np.tanh(apart / 200)
    return (drawn.random(n) < 1 / (1 + np.exp(-logit))).astype(float), apart


def by_scikit_learn(scores: np.ndarray, apart: np.ndarray) -> float:
    """Every comparison twice, as won and as lost, with the weight that it was each: a fraction as outcome."""
    squashed = np.tanh(apart / apart.std(ddof=1))[:, None]
    outcome = np.r_[np.ones(scores.size), np.zeros(scores.size)]
    fit = LogisticRegression(C=1e12, tol=1e-12, max_iter=10_000).fit(
        np.r_[squashed, squashed], outcome, sample_weight=np.r_[scores, 1 - scores]
    )
    return float(fit.predict_proba([[0.0]])[0, 1])


@pytest.mark.parametrize("seed", range(4))
def test_it_is_the_fit_of_scikit_learn(seed: int) -> None:
    scores, apart = compared(seed)
    drawn = np.random.default_rng(seed)
    scores[:30], scores[30:60] = 0.5, drawn.random(30)
    assert measured(equal_length_rate(scores, apart)).value == pytest.approx(by_scikit_learn(scores, apart), abs=1e-6)


def test_a_judge_who_only_looks_at_length_gives_a_half() -> None:
    drawn = np.random.default_rng(1)
    apart = drawn.normal(150, 200, 400)
    scores = (apart > 0).astype(float)
    flipped = drawn.random(400) < 0.05  # without any slip the fit would not be finite
    scores[flipped] = 1 - scores[flipped]
    found = measured(equal_length_rate(scores, apart))
    assert scores.mean() > 0.7
    assert found.value == pytest.approx(0.5, abs=0.07)
    assert 0.5 in found.interval


def test_a_judge_blind_to_length_keeps_the_plain_rate() -> None:
    scores, apart = compared(2, n=2000, liking=0.0, at_equal=0.7, longer=0.0)
    found = measured(equal_length_rate(scores, apart))
    assert found.value == pytest.approx(scores.mean(), abs=0.005)
    centred = apart - apart.mean()
    uncorrelated = np.r_[centred, -centred]  # the same score at d and -d: exactly no slope
    twice = measured(equal_length_rate(np.r_[scores, scores], uncorrelated))
    assert twice.value == pytest.approx(scores.mean(), abs=1e-9)


def test_swapping_the_sides_mirrors_it() -> None:
    scores, apart = compared(3)
    ours, theirs = measured(equal_length_rate(scores, apart)), measured(equal_length_rate(1 - scores, -apart))
    assert theirs.value == pytest.approx(1 - ours.value, abs=1e-9)
    assert theirs.interval.low == pytest.approx(1 - ours.interval.high, abs=1e-9)
    assert theirs.standard_error == pytest.approx(ours.standard_error)


def test_the_unit_of_length_does_not_matter() -> None:
    scores, apart = compared(4)
    assert measured(equal_length_rate(scores, apart / 4.2)).value == pytest.approx(
        measured(equal_length_rate(scores, apart)).value, abs=1e-9
    )


def test_the_error_is_the_jackknifes() -> None:
    """Each comparison left out and all fitted anew, with the spread of length differences held."""
    scores, apart = compared(5, n=60)
    found = measured(equal_length_rate(scores, apart))
    scale = apart.std(ddof=1)
    left = []
    for row in range(60):
        some = np.delete(apart, row)
        rate = by_scikit_learn(np.delete(scores, row), some * some.std(ddof=1) / scale)
        left.append(np.log(rate / (1 - rate)))
    error = sqrt(59 / 60 * np.square(np.array(left) - np.mean(left)).sum()) * found.value * (1 - found.value)
    assert found.standard_error == pytest.approx(error, rel=0.04)


def test_clusters_reach_the_error() -> None:
    scores, apart = compared(6, n=80)
    once = measured(equal_length_rate(scores, apart))
    twice = measured(equal_length_rate(np.tile(scores, 2), np.tile(apart, 2), groups=np.tile(np.arange(80), 2)))
    assert twice.standard_error == pytest.approx(once.standard_error, rel=0.01)
    assert (twice.n, twice.clusters) == (160, 80)
    assert "clustered" in twice.method


def test_equal_lengths_make_it_the_plain_mean() -> None:
    scores = compared(7, n=50)[0]
    found, plain = measured(equal_length_rate(scores, np.zeros(50))), measured(mean_t(scores, bounds=(0, 1)))
    assert (found.value, found.interval) == (plain.value, plain.interval)
    groups = np.arange(50) // 2
    clustered = measured(clustered_mean(scores, groups, bounds=(0, 1)))
    assert measured(equal_length_rate(scores, np.zeros(50), groups=groups)).interval == clustered.interval
    assert measured(equal_length_rate(np.ones(50), np.zeros(50))).value == 1.0


@pytest.mark.parametrize(
    ("scores", "apart", "reason"),
    [
        ([1.0] * 6, [1, 2, 3, -4, 5, 6], "all 6 comparisons are won"),
        ([0.0] * 6, [1, 2, 3, -4, 5, 6], "all 6 comparisons are lost"),
        ([1, 1, 1, 0, 0, 0], [3, 2, 1, -1, -2, -3], "the longer answers win throughout"),
        ([1, 1, 1, 0, 0, 0], [-3, -2, -1, 1, 2, 3], "the shorter answers win throughout"),
        ([1, 1, 1, 0, 0, 0], [3, 2, 1, 1, -2, -3], "the longer answers win throughout"),
        ([1, 0, 1, 0.5, 1, 0], [40] * 6, "differ in length by 40"),
        ([1, 0, 1, 0, 1, 0], [0, 0, 0, 0, 0, 9], "the shorter answers win throughout"),
        ([1, 0, 0.5, 0, 1, 0.5], [0, 0, 0, 0, 0, 9], "without one of the 6 examples"),
        ([1.0], [3.0], "at least 2"),
    ],
)
def test_what_no_fit_can_tell_is_unmeasured(scores: list[float], apart: list[float], reason: str) -> None:
    found = equal_length_rate(scores, apart)
    assert isinstance(found, Unmeasured), found
    assert reason in found.reason


def test_ties_alone_are_a_half() -> None:
    found = measured(equal_length_rate([0.5] * 30, np.arange(30.0)))
    assert found.value == pytest.approx(0.5)


def test_little_to_go_by_is_said() -> None:
    scores, apart = compared(8, n=60, at_equal=0.5, longer=900.0)
    extrapolated = measured(equal_length_rate(scores, np.abs(apart) + 1))
    assert any("extrapolated" in warning for warning in extrapolated.warnings)
    scores, apart = compared(9, n=60, at_equal=0.97, longer=0.0)
    assert 0 < (1 - scores).sum() < 5
    rare = measured(equal_length_rate(scores, apart))
    assert any("the lower end may err more" in warning for warning in rare.warnings)


@pytest.mark.parametrize(("n", "rate", "longer"), [(50, 0.5, 0.0), (50, 0.75, 150.0), (200, 0.8, 150.0)])
def test_coverage(n: int, rate: float, longer: float) -> None:
    worlds, low, high = 500, 0, 0
    spread = np.random.default_rng(10).normal(longer, 200, 100_000).std(ddof=1)
    assert spread == pytest.approx(200, rel=0.01), "so that the squashing fitted is that of the truth"
    for world in range(worlds):
        found = measured(equal_length_rate(*compared(1000 + world, n=n, at_equal=rate, longer=longer)))
        low += found.interval.low > rate
        high += found.interval.high < rate
    assert max(low, high) / worlds < 0.05 + 3 * sqrt(0.05 * 0.95 / worlds)


def test_wrong_arguments_say_what_was_expected() -> None:
    with pytest.raises(ValueError, match="shares of a win"):
        equal_length_rate([1.0, 2.0], [3.0, 4.0])
    with pytest.raises(ValueError, match="one row per example"):
        equal_length_rate([1.0, 0.0], [3.0])
    with pytest.raises(ValueError, match="not finite"):
        equal_length_rate([1.0, np.nan], [3.0, 4.0])
