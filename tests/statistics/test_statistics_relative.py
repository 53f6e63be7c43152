"""Relative changes: Fieller's interval by hand, against a bootstrap, in simulation, and everything it refuses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import inf, nan, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.statistics import (
    COUNTED,
    FIELLER,
    Estimate,
    Interval,
    clustered_mean,
    mean_t,
    paired_bootstrap,
    paired_proportions,
    relative_change,
    wilson,
)


def around(
    value: float, error: float | None, *, clusters: int = 200, reach: float = 2.0, method: str = "t"
) -> Estimate:
    half = reach * (error or 0.0)
    return Estimate(value, Interval(value - half, value + half), clusters, clusters, method, error)


def measured(found: Estimate | Unmeasured) -> Estimate:
    assert isinstance(found, Estimate), found
    return found


def of_three(parts: Sequence[Estimate], confidence: float = 0.95) -> Estimate | Unmeasured:
    candidate, baseline, difference = parts
    return relative_change(candidate, baseline, difference, confidence)


def refused(found: Estimate | Unmeasured) -> str:
    assert isinstance(found, Unmeasured), found
    return found.reason


def test_an_interval_by_hand() -> None:
    """Two clusters, so one degree of freedom, where t at 75 % is 1. B = 5, C = 6; se_B = 3, se_C = 5, independent, so
    se_D = sqrt(34). Fieller's quadratic in rho = C/B: (25 - 9) rho^2 - 2 (30 - 0) rho + (36 - 25) = 0, whose roots
    are (30 -+ sqrt(900 - 176)) / 16."""
    found = measured(
        relative_change(
            around(6.0, 5.0, clusters=2, reach=0.5),
            around(5.0, 3.0, clusters=2, reach=0.5),
            around(1.0, sqrt(34.0), clusters=2, reach=0.5),
            confidence=0.75,
        )
    )
    root = sqrt(900 - 176)
    assert found.value == pytest.approx(0.2)
    assert found.interval.low == pytest.approx((30 - root) / 16 - 1)
    assert found.interval.high == pytest.approx((30 + root) / 16 - 1)
    assert (found.method, found.n, found.clusters) == (FIELLER, 2, 2)


def test_an_interval_by_hand_where_the_two_go_together() -> None:
    """As above with a covariance of 9 between C and B: se_D^2 = 25 + 9 - 18 = 16. The quadratic becomes
    16 rho^2 - 2 (30 - 9) rho + 11 = 0."""
    found = measured(
        relative_change(
            around(6.0, 5.0, clusters=2, reach=0.5),
            around(5.0, 3.0, clusters=2, reach=0.5),
            around(1.0, 4.0, clusters=2, reach=0.5),
            confidence=0.75,
        )
    )
    root = sqrt(21 * 21 - 16 * 11)
    assert found.interval.low == pytest.approx((21 - root) / 16 - 1)
    assert found.interval.high == pytest.approx((21 + root) / 16 - 1)


def test_the_textbook_form_gives_the_same() -> None:
    """The usual way of writing it, with g = t^2 se_B^2 / B^2, on numbers of a real size."""
    c, b, s_c, s_b, s_d = 0.81, 0.76, 0.021, 0.023, 0.016
    t = 1.6525467  # 95 % of Student's t with 199 degrees of freedom
    covariance = (s_c**2 + s_b**2 - s_d**2) / 2
    g = t**2 * s_b**2 / b**2
    centre = c / b - g * covariance / s_b**2
    half = t / b * sqrt(s_c**2 - 2 * c / b * covariance + (c / b) ** 2 * s_b**2 - g * (s_c**2 - covariance**2 / s_b**2))
    found = measured(relative_change(around(c, s_c), around(b, s_b), around(c - b, s_d)))
    assert found.interval.low == pytest.approx((centre - half) / (1 - g) - 1, abs=1e-8)
    assert found.interval.high == pytest.approx((centre + half) / (1 - g) - 1, abs=1e-8)
    assert found.standard_error == pytest.approx(
        sqrt(s_c**2 - 2 * c / b * covariance + (c / b) ** 2 * s_b**2) / b, rel=1e-9
    )


def pairs(rng: np.random.Generator, n: int, change: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """Scores of two models that find the same examples hard; the candidate's are larger by ``change``."""
    hard = rng.gamma(4.0, 0.25, size=n)
    return (1 + change) * hard * rng.gamma(20.0, 0.05, size=n), hard * rng.gamma(20.0, 0.05, size=n)


def of_scores(ours: np.ndarray, theirs: np.ndarray, confidence: float = 0.95) -> Estimate | Unmeasured:
    parts = (mean_t(ours, confidence=confidence), mean_t(theirs, confidence=confidence))
    return relative_change(
        measured(parts[0]), measured(parts[1]), measured(mean_t(ours - theirs, confidence=confidence)), confidence
    )


def test_it_agrees_with_a_bootstrap() -> None:
    ours, theirs = pairs(np.random.default_rng(3), 400)
    found = measured(of_scores(ours, theirs))

    def statistic(weights: np.ndarray) -> np.ndarray:
        drawn = weights.astype(float)
        return (drawn @ ours) / (drawn @ theirs) - 1

    resampled = measured(paired_bootstrap(statistic, 400, resamples=4000, seed=1))
    assert resampled.value == pytest.approx(found.value)
    tolerance = 0.08 * found.interval.width
    assert found.interval.low == pytest.approx(resampled.interval.low, abs=tolerance)
    assert found.interval.high == pytest.approx(resampled.interval.high, abs=tolerance)
    assert found.standard_error == pytest.approx(resampled.standard_error, rel=0.06)


@pytest.mark.parametrize(("n", "most"), [(15, 0.075), (60, 0.063), (300, 0.06)])
def test_each_end_holds_as_often_as_it_says(n: int, most: float) -> None:
    """Of skewed scores, where a few examples leave the ends a little too close; 2,000 datasets each."""
    rng = np.random.default_rng(n)
    found = [measured(of_scores(*pairs(rng, n))) for _ in range(2000)]
    above = np.mean([one.interval.low > 0.1 for one in found])
    below = np.mean([one.interval.high < 0.1 for one in found])
    assert 0.035 <= above <= most
    assert 0.035 <= below <= most


def test_each_end_holds_for_shares() -> None:
    """Two models that are right on 70 % and 63 % of examples: errors from Wilson's and Tango's intervals."""
    rng = np.random.default_rng(8)
    missed = np.zeros(2)
    for _ in range(2000):
        theirs = rng.random(120) < 0.7
        ours = np.where(rng.random(120) < 0.8, theirs & (rng.random(120) < 0.9), rng.random(120) < 0.63)
        ours, theirs = ours.astype(float), theirs.astype(float)
        found = measured(
            relative_change(
                measured(wilson(int(ours.sum()), 120)),
                measured(wilson(int(theirs.sum()), 120)),
                measured(paired_proportions(ours, theirs)),
            )
        )
        missed += (found.interval.low > -0.1, found.interval.high < -0.1)
    assert np.all(missed / 2000 <= 0.06)
    assert np.all(missed / 2000 >= 0.03)


def test_clusters_are_what_counts() -> None:
    rng = np.random.default_rng(5)
    ours, theirs = pairs(rng, 12)
    groups = np.repeat(np.arange(12), 10)
    parts = [clustered_mean(np.repeat(one, 10), groups) for one in (ours, theirs, ours - theirs)]
    found = measured(of_three([measured(part) for part in parts]))
    assert (found.n, found.clusters) == (120, 12)
    alone = measured(of_scores(ours, theirs))
    assert found.interval.width == pytest.approx(alone.interval.width, rel=0.01)


@pytest.mark.parametrize(
    ("candidate", "baseline", "difference", "reason"),
    [
        (around(0.1, 0.01), around(0.0, 0.01), around(0.1, 0.01), "the baseline's value is 0"),
        (around(-0.1, 0.01), around(-0.2, 0.01), around(0.1, 0.01), "the baseline's value is -0.2"),
        (around(0.1, 0.01), around(0.01, 0.01), around(0.09, 0.01), "reaches zero"),
        (around(0.1, 0.01), around(0.02, 0.01), around(0.08, 0.01), "reaches zero"),
        (around(0.1, 0.01), around(0.03, 0.02, reach=1), around(0.07, 0.01), "has no end"),
        (around(0.1, None), around(0.2, 0.01), around(-0.1, 0.01), "none of the candidate"),
        (around(0.1, 0.01), around(0.2, None), around(-0.1, None), "none of the baseline and the difference"),
        (around(0.1, 0.01), around(0.2, 0.01), around(0.1, 0.01), "is not 0.1 minus 0.2"),
        (around(0.1, 0.01), around(0.2, 0.01), around(-0.1, 0.01, clusters=1), "1 cluster"),
    ],
    ids=["zero", "negative", "includes", "touches", "g", "no_error", "no_errors", "another", "one_cluster"],
)
def test_what_it_refuses(candidate: Estimate, baseline: Estimate, difference: Estimate, reason: str) -> None:
    assert reason in refused(relative_change(candidate, baseline, difference))


@pytest.mark.parametrize("odd", [nan, inf, -inf], ids=["nan", "inf", "minus_inf"])
def test_what_is_no_number_is_refused(odd: float) -> None:
    good = (around(0.3, 0.01), around(0.2, 0.01), around(0.1, 0.01))
    for at in range(3):
        parts = list(good)
        parts[at] = _with(parts[at], "value", odd)
        refused(of_three(parts))
        parts[at] = _with(good[at], "standard_error", odd)
        refused(of_three(parts))


def _with(estimate: Estimate, name: str, value: object) -> Estimate:
    """As no constructor would have it."""
    made = replace(estimate)
    object.__setattr__(made, name, value)
    return made


def test_what_was_counted_changes_by_a_counted_share() -> None:
    found = measured(of_three([around(value, 0.0, method=COUNTED, clusters=1) for value in (0.3, 0.2, 0.3 - 0.2)]))
    assert found.value == pytest.approx(0.5)
    assert (found.interval.width, found.method) == (0.0, COUNTED)


def test_a_confidence_is_a_share() -> None:
    with pytest.raises(ValueError, match="confidence"):
        relative_change(around(0.3, 0.01), around(0.2, 0.01), around(0.1, 0.01), 95)


ERRORS = st.floats(1e-6, 0.3)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.floats(-3, 3), st.floats(0.01, 3), ERRORS, ERRORS, ERRORS, st.integers(2, 500), st.floats(0.6, 0.999))
def test_any_three_give_an_interval_around_the_value_or_a_reason(
    ours: float, theirs: float, s_c: float, s_b: float, s_d: float, clusters: int, confidence: float
) -> None:
    made = [
        around(value, error, clusters=clusters) for value, error in ((ours, s_c), (theirs, s_b), (ours - theirs, s_d))
    ]
    found = of_three(made, confidence)
    if isinstance(found, Unmeasured):
        assert found.reason
        return
    assert found.value in found.interval
    higher = of_three(made, min(0.9999, confidence + (1 - confidence) / 2))
    if isinstance(higher, Estimate):
        assert higher.interval.low <= found.interval.low + 1e-9
        assert higher.interval.high >= found.interval.high - 1e-9
    scaled = [
        replace(one, value=2 * one.value, interval=Interval(2 * one.interval.low, 2 * one.interval.high),
                standard_error=2 * (one.standard_error or 0.0))
        for one in made
    ]  # fmt: skip
    assert measured(of_three(scaled, confidence)) == found
