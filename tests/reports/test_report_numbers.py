"""Everything a person reads as a number, as a table."""

from __future__ import annotations

import pytest

from finetune_gate.gate.record import EstimateRecord, UnmeasuredRecord
from finetune_gate.gate.reports.numbers import (
    Scale,
    bound_text,
    reason_text,
    scale_for,
    share_text,
)


def estimate(value: float, low: float, high: float) -> EstimateRecord:
    return EstimateRecord(value=value, low=low, high=high, n=100, clusters=100, method="t", standard_error=None)


@pytest.mark.parametrize(
    ("value", "low", "high", "shown"),
    [
        (0.8125, 0.7659, 0.8487, "0.812 [0.766, 0.849]"),
        (0.8, 0.7, 0.9, "0.80 [0.70, 0.90]"),
        (1.7559, 1.7291, 1.7829, "1.756 [1.729, 1.783]"),
        (12.34567, 11.2, 13.6, "12.3 [11.2, 13.6]"),
        (152.3, 120.9, 190.2, "152 [121, 190]"),
        (24310.4, 22001.0, 26900.0, "24,310 [22,001, 26,900]"),
        (3.2e8, 2.9e8, 3.6e8, "3.20e+08 [2.90e+08, 3.60e+08]"),
        (1.23e-5, 1.1e-5, 1.36e-5, "1.23e-05 [1.10e-05, 1.36e-05]"),
        (0.5, 0.49999999, 0.50000001, "0.500000 [0.500000, 0.500000]"),
        (0.0, 0.0, 0.0, "0 [0, 0]"),
        (1.0, 1.0, 1.0, "1.00 [1.00, 1.00]"),
        (0.0, -0.04, 0.04, "0.000 [-0.040, 0.040]"),
        (-0.0001, -0.0101, 0.0099, "0.000 [-0.010, 0.010]"),
    ],
)
def test_a_value_has_the_digits_that_its_interval_deserves(value: float, low: float, high: float, shown: str) -> None:
    measured = estimate(value, low, high)
    scale = scale_for([measured])
    assert f"{scale.value(measured.value)} {scale.interval(measured)}" == shown


@pytest.mark.parametrize(
    ("value", "low", "high", "shown"),
    [
        (0.031, -0.012, 0.074, "+0.031 [-0.012, +0.074]"),
        (-1.3512, -1.4572, -1.2451, "-1.35 [-1.46, -1.25]"),
        (0.0, -0.02, 0.02, "0.000 [-0.020, +0.020]"),
        (0.00004, -0.02, 0.02, "0.000 [-0.020, +0.020]"),
        (2.5e7, 2.0e7, 3.1e7, "+2.5e+07 [+2.0e+07, +3.1e+07]"),
    ],
)
def test_a_difference_has_a_sign_and_nothing_has_none(value: float, low: float, high: float, shown: str) -> None:
    measured = estimate(value, low, high)
    scale = scale_for([measured])
    assert f"{scale.change(measured.value)} {scale.interval(measured, signed=True)}" == shown


def test_what_stands_together_has_equally_many_decimals() -> None:
    candidate, difference = estimate(0.8125, 0.7, 0.9), estimate(0.0113, 0.0101, 0.0125)
    scale = scale_for([candidate, difference])
    assert (scale.value(candidate.value), scale.change(difference.value)) == ("0.8125", "+0.0113")


@pytest.mark.parametrize(
    ("low", "high", "bound", "shown"),
    [
        (0.7496, 0.8312, 0.75, "[0.7496, 0.8312]"),  # three decimals would read 0.750, which the rule asks for
        (0.7504, 0.8312, 0.75, "[0.7504, 0.8312]"),
        (0.74, 0.83, 0.75, "[0.740, 0.830]"),
        (0.75, 0.83, 0.75, "[0.750, 0.830]"),  # equal is equal
        (0.7299, 0.8299, 0.7298, "[0.73, 0.83]"),
    ],
)
def test_rounding_moves_no_end_across_its_bound(low: float, high: float, bound: float, shown: str) -> None:
    measured = estimate((low + high) / 2, low, high)
    assert scale_for([measured], bounds=[(measured, bound)]).interval(measured) == shown


def test_percent_points_only_where_the_unit_says_percent() -> None:
    measured = estimate(81.2, 76.6, 84.9)
    percent, plain = scale_for([measured], unit="%"), scale_for([measured], unit="nats")
    assert (percent.value(81.2), percent.change(3.1), percent.interval(measured)) == (
        "81.2 %",
        "+3.1 pp",
        "[76.6, 84.9] %",
    )
    assert (plain.value(81.2), plain.change(3.1)) == ("81.2", "+3.1")


def test_nothing_measured_still_has_a_scale() -> None:
    assert scale_for([UnmeasuredRecord(unmeasured="no answers")]) == Scale()


@pytest.mark.parametrize(
    ("bound", "change", "shown"), [(0.75, False, "0.75"), (-0.02, True, "-0.02"), (0.1, True, "+0.1"), (0.0, True, "0")]
)
def test_bounds_stand_as_they_were_written(bound: float, change: bool, shown: str) -> None:
    assert bound_text(bound, Scale(), change=change) == shown


@pytest.mark.parametrize(
    ("part", "whole", "shown"), [(318, 320, "318 of 320"), (1200, 1200, "all 1,200"), (0, 0, "none")]
)
def test_shares(part: int, whole: int, shown: str) -> None:
    assert share_text(part, whole) == shown


def test_reasons_are_shortened_and_never_empty() -> None:
    assert reason_text("  the model\n gives   no log-probabilities ") == "the model gives no log-probabilities"
    assert reason_text("x" * 500, limit=20) == "x" * 19 + "…"
    assert reason_text("") == "no reason given"
