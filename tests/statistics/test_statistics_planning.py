"""Sample sizes against known tables, advice against what happens when it is followed, independent differences."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.statistics import (
    Estimate,
    independent_difference,
    mean_t,
    noninferiority_sample_size,
    paired_counts,
    paired_sample_size,
    planned_error,
    required_n,
    smallest_detectable,
    wilson,
)

CHECKED = settings(max_examples=60, deadline=None, derandomize=True)


def measured(result: Estimate | Unmeasured) -> Estimate:
    assert isinstance(result, Estimate)
    return result


@pytest.mark.parametrize(
    ("discordance", "five_points", "three_points", "not_worse"),
    [(0.1, 312, 870, 248), (0.2, 626, 1742, 495), (0.3, 940, 2614, 742), (0.4, 1254, 3487, 990)],
)
def test_sample_sizes_of_the_paired_comparison(
    discordance: float, five_points: int, three_points: int, not_worse: int
) -> None:
    """80 % power; two-sided 5 % is one-sided 0.975; the margin is 0.05, one-sided 5 %."""
    assert paired_sample_size(discordance, 0.05, confidence=0.975) == five_points
    assert paired_sample_size(discordance, -0.03, confidence=0.975) == three_points
    assert noninferiority_sample_size(discordance, 0.05) == not_worse


def test_smallest_detectable_is_found_with_its_power() -> None:
    error = planned_error(0.2, 500)
    assert error == sqrt(0.2 / 500)
    smallest = smallest_detectable(error)
    assert stats.norm.sf(stats.norm.ppf(0.95) - smallest / error) == pytest.approx(0.8)


@pytest.mark.parametrize("bound", [0.0, 0.01, 0.05])
def test_following_the_advice_settles_the_rule(bound: float) -> None:
    values = np.random.default_rng(3).normal(0.0, 0.4, size=200)
    values += 0.03 - values.mean()
    now = measured(mean_t(values))
    needed = required_n(now, bound)
    assert bound in now.interval
    assert needed is not None
    assert needed > 200
    times = needed / 200
    repeated = np.tile(values, int(times) + 2)
    assert bound not in measured(mean_t(repeated)).interval
    assert bound in measured(mean_t(np.tile(values, max(1, int(times * 0.9))))).interval


def test_advice_for_pairs_and_constant_samples() -> None:
    pairs = measured(paired_counts(4, 8, 100))
    needed = required_n(pairs, -0.08)
    assert needed is not None
    times = needed / 100
    grown = measured(paired_counts(round(4 * times), round(8 * times), needed))
    assert grown.interval.low == pytest.approx(-0.08, abs=0.003)
    constant = measured(mean_t(np.zeros(100), bounds=(-1, 1)))
    needed = required_n(constant, -0.01)
    assert needed is not None
    assert measured(mean_t(np.zeros(needed), bounds=(-1, 1))).interval.low == pytest.approx(-0.01, rel=0.03)


def test_advice_is_capped_and_silent_on_the_bound() -> None:
    rate = measured(wilson(50, 100))
    assert required_n(rate, 0.5) is None
    assert required_n(rate, 0.5 + 1e-9) == 1_000_000
    assert required_n(rate, 0.4999, cap=5000) == 5000
    more, less = required_n(rate, 0.45, power=0.8), required_n(rate, 0.45)
    assert more is not None
    assert less is not None
    assert more > less


@CHECKED
@given(st.integers(2, 500), st.data(), st.floats(-0.1, 1.1))
def test_more_examples_are_asked_for_wherever_the_rule_is_open(n: int, data: st.DataObject, bound: float) -> None:
    found = measured(wilson(data.draw(st.integers(0, n)), n))
    needed = required_n(found, bound)
    if needed is None:
        assert found.value == bound
    elif bound in found.interval:
        assert needed > n
    else:
        assert 2 <= needed <= n


def test_independent_difference_squares_and_adds() -> None:
    rng = np.random.default_rng(5)
    seen, unseen = measured(mean_t(rng.normal(size=400))), measured(mean_t(rng.normal(size=300)))
    found = independent_difference(seen, unseen)
    assert seen.standard_error is not None
    assert unseen.standard_error is not None
    error = sqrt(seen.standard_error**2 + unseen.standard_error**2)
    assert found.standard_error == error
    assert found.interval.high - found.value == pytest.approx(1.645 * error, rel=0.01)
    assert (found.n, found.clusters) == (700, 700)
    swapped = independent_difference(unseen, seen)
    assert (swapped.interval.low, swapped.interval.high) == pytest.approx((-found.interval.high, -found.interval.low))
    constant = measured(mean_t(np.zeros(50), bounds=(-1, 1)))
    doubtful = independent_difference(seen, constant)
    assert doubtful.standard_error is None
    assert doubtful.interval.width > seen.interval.width
    assert doubtful.warnings == constant.warnings


def test_coverage_of_independent_differences() -> None:
    rng, worlds, high, low = np.random.default_rng(6), 400, 0, 0
    for _ in range(worlds):
        first, second = rng.binomial(30, 0.9), rng.binomial(60, 0.6)
        ends = independent_difference(measured(wilson(int(first), 30)), measured(wilson(int(second), 60))).interval
        high += ends.low > 0.3
        low += ends.high < 0.3
    assert max(high, low) / worlds < 0.05 + 3 * sqrt(0.05 * 0.95 / worlds)


def test_wrong_arguments_say_what_was_expected() -> None:
    for call, message in (
        (lambda: smallest_detectable(0.1, power=80), "power: found 80"),
        (lambda: smallest_detectable(-0.1), "a number >= 0"),
        (lambda: smallest_detectable(float("nan")), "a number >= 0"),
        (lambda: planned_error(0.0, 10), "a share above 0"),
        (lambda: planned_error(0.1, 1), "at least 2"),
        (lambda: paired_sample_size(0.1, 0.2), "up to the discordance"),
        (lambda: noninferiority_sample_size(0.1, 0.0), "above 0"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
