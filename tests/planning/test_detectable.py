"""Smallest detectable differences: against the formulas' own numbers, and against simulated datasets."""

from __future__ import annotations

import numpy as np
import pytest

from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.detectable import (
    ASSUMED_DISCORDANCE,
    POWER,
    Detectable,
    Sample,
    detectable_change,
    detectable_value,
)
from finetune_gate.evaluators.estimators import Confusion, Mean, Ratio
from finetune_gate.evaluators.metrics import Metric
from finetune_gate.evaluators.statistics import (
    Estimate,
    Interval,
    noninferiority_sample_size,
    paired_counts,
    smallest_detectable,
    wilson,
)

ACCURACY = Metric("accuracy", True, Mean("correct", low=0.0, high=1.0), 0.0, 1.0)
RATING = Metric("rating", True, Mean("stars", low=1.0, high=5.0), 1.0, 5.0)
NLL = Metric("nll", False, Mean("nll"), 0.0)
BITS = Metric("bits_per_byte", False, Ratio("bits", "bytes"), 0.0)
F1 = Metric("f1_macro", True, Confusion("f1_macro", 3), 0.0, 1.0)
ALL = Sample(320, 320)


def found(detectable: Detectable | Unmeasured) -> Detectable:
    assert isinstance(detectable, Detectable), detectable
    return detectable


def seen(value: float, error: float | None) -> Estimate:
    return Estimate(value, Interval(value - 0.1, value + 0.1), 320, 320, "test", error)


def test_a_share_at_its_bound() -> None:
    one = found(detectable_value(ACCURACY, ALL, 0.75, "at least"))
    assert one.difference == pytest.approx(2.4865 * (0.75 * 0.25 / 320) ** 0.5, rel=1e-3)
    assert (one.room, one.needed) == (0.25, None)
    assert found(detectable_value(ACCURACY, ALL, 0.75, "at least", 0.99)).difference > one.difference


def test_the_value_where_it_is_detected_is_found_in_four_of_five_datasets() -> None:
    one = found(detectable_value(ACCURACY, ALL, 0.75, "at least"))
    drawn = np.random.default_rng(0).binomial(320, 0.75 + one.difference, size=2000)
    estimates = [wilson(int(right), 320) for right in drawn]
    shown = np.mean([isinstance(one, Estimate) and one.interval.low >= 0.75 for one in estimates])
    assert POWER - 0.03 <= shown <= POWER + 0.06  # a little more: the spread is smaller above the bound


def test_the_margin_that_is_detected_is_kept_in_four_of_five_datasets() -> None:
    """Models that are equal, and differ on a fifth of the examples."""
    one = found(detectable_change(ACCURACY, ALL, -0.02))
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(320, [ASSUMED_DISCORDANCE / 2, ASSUMED_DISCORDANCE / 2, 1 - ASSUMED_DISCORDANCE], size=2000)
    estimates = [paired_counts(int(gained), int(lost), 320) for gained, lost, _ in drawn]
    shown = np.mean([isinstance(e, Estimate) and e.interval.low >= -one.difference for e in estimates])
    assert POWER - 0.04 <= shown <= POWER + 0.04


def test_a_margin_that_is_too_small_says_how_many_examples_it_needs() -> None:
    one = found(detectable_change(ACCURACY, ALL, -0.02))
    assert (one.room, one.needed) == (0.02, noninferiority_sample_size(0.2, 0.02))
    assert one.needed == 3092
    enough = Sample(one.needed, one.needed)
    assert found(detectable_change(ACCURACY, enough, -0.02)).needed is None
    assert "20 % of the examples" in one.assumption


def test_no_margin_has_no_room_to_fill() -> None:
    one = found(detectable_change(ACCURACY, ALL, 0.01))
    assert (one.room, one.needed) == (None, None)


def test_a_bound_that_even_a_perfect_model_does_not_clear_needs_more_examples() -> None:
    one = found(detectable_value(ACCURACY, Sample(60, 60), 0.99, "at least"))
    assert one.needed is not None
    perfect = wilson(60, 60)
    assert isinstance(perfect, Estimate)
    assert perfect.interval.low < 0.99
    assert found(detectable_value(ACCURACY, Sample(one.needed, one.needed), 0.99, "at least")).needed is None
    assert isinstance(detectable_value(ACCURACY, ALL, 1.0, "at least"), Unmeasured)


def test_dependent_examples_count_as_one_each_cluster() -> None:
    clustered = found(detectable_change(ACCURACY, Sample(320, 80), -0.02))
    assert clustered.difference == pytest.approx(2 * found(detectable_change(ACCURACY, ALL, -0.02)).difference)
    assert clustered.noun == "clusters"
    assert "each cluster counted as one example" in clustered.assumption
    assert detectable_value(ACCURACY, Sample(320, 1), 0.5, "at least") == Unmeasured(
        "1 cluster: an interval needs at least 2"
    )
    assert detectable_change(ACCURACY, Sample(0, 0), 0.0) == Unmeasured("0 examples: an interval needs at least 2")


def test_a_graded_score_is_scaled_by_its_range() -> None:
    share, rating = detectable_change(ACCURACY, ALL, -0.02), detectable_change(RATING, ALL, -0.08)
    assert found(rating).difference == pytest.approx(4 * found(share).difference)
    assert found(rating).needed == found(share).needed
    below = found(detectable_value(RATING, ALL, 3.0, "at most"))
    assert below.room == 2.0


@pytest.mark.parametrize("metric", [NLL, BITS, F1])
def test_what_has_no_bounds_is_known_from_the_baseline_only(metric: Metric) -> None:
    unknown = Unmeasured("known once the base has answered")
    assert detectable_change(metric, ALL, -0.1) == unknown
    assert detectable_value(metric, ALL, 0.9, "at most") == unknown
    known = found(detectable_change(metric, ALL, -0.1, seen={"base": seen(1.0, 0.08), "champion": seen(1.0, 0.05)}))
    assert known.difference == pytest.approx(smallest_detectable(0.08))
    assert known.needed == pytest.approx(320 * (known.difference / 0.1) ** 2, abs=1)
    assert "the base's own scores" in known.assumption


def test_a_known_baseline_replaces_the_assumed_discordance() -> None:
    known = found(detectable_change(ACCURACY, ALL, -0.02, seen={"base": seen(0.9, 0.0168)}))
    assert known.difference == pytest.approx(smallest_detectable(0.0168))
    for error in (None, 0.0):
        assert isinstance(detectable_change(ACCURACY, ALL, -0.02, seen={"base": seen(0.9, error)}), Unmeasured)


def test_equal_spread_and_correlation_one_half_differ_with_the_error_of_one() -> None:
    rng = np.random.default_rng(1)
    common, ours, theirs = rng.standard_normal((3, 100_000))
    assert np.std((common + ours) - (common + theirs)) == pytest.approx(np.std(common + theirs), rel=0.02)
