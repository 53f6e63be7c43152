"""What every function of this package gives back, and the checks on what it is given."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

COUNTED = "counted"
"""The method of an estimate that rests on no sample: everything there is was counted, so its interval has no width."""


@dataclass(frozen=True, slots=True)
class Interval:
    """``Interval(0.71, 0.83)``: each end is a *one-sided* bound, so both together hold at 2c - 1.

    At the default confidence 0.95, "the quantity is above ``low``" is said with 95 % confidence, "it is
    below ``high``" as well, and "it lies between" with 90 %. A rule looks at the end that concerns it.

    Raises ``ValueError`` unless both ends are finite and in order.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not (isfinite(self.low) and isfinite(self.high) and self.low <= self.high):
            raise ValueError(f"interval ends: found {self.low!r}, {self.high!r}; expected finite, low <= high")

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    @property
    def width(self) -> float:
        return self.high - self.low


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value, its one-sided bounds, and what they rest on.

    ``n`` counts examples, ``clusters`` the independent units among them (equal to ``n`` without groups).
    ``standard_error`` is in the unit of ``value`` and is what `required_n` plans with; None where the
    method has none to give. ``method`` names the method for the reader, ``warnings`` are sentences for the
    report. The value always lies in its interval.
    """

    value: float
    interval: Interval
    n: int
    clusters: int
    method: str
    standard_error: float | None
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.value not in self.interval:
            raise ValueError(f"estimate: {self.value!r} is outside of its own interval {self.interval}")
        if self.standard_error is not None and not (isfinite(self.standard_error) and self.standard_error >= 0):
            raise ValueError(f"standard error: found {self.standard_error!r}; expected a finite number >= 0")


def checked_confidence(confidence: float) -> float:
    """One-sided, strictly between 0.5 and 1. Raises ``ValueError`` otherwise (95 for 0.95, say)."""
    if not 0.5 < confidence < 1:
        raise ValueError(f"confidence: found {confidence!r}; expected a share such as 0.95, above 0.5, below 1")
    return float(confidence)


def checked_array(values: npt.ArrayLike, name: str) -> FloatArray:
    """A 1-D float64 view or copy. Raises ``ValueError`` on another shape and on NaN or infinity.

    Rows without a score must be left out, and counted, before they come here: a mean over NaN is NaN, and
    every comparison with NaN is false.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise ValueError(f"{name}: found shape {array.shape}; expected one value per example, shape (n,)")
    bad = np.flatnonzero(~np.isfinite(array))
    if bad.size:
        raise ValueError(
            f"{name}: {bad.size} of {array.size} values are not finite, first at row {bad[0]}; "
            "leave unscored rows out and count them in the coverage"
        )
    return array


def checked_lengths(**arrays: FloatArray) -> int:
    """The one length that all arrays share. Raises ``ValueError`` naming all lengths otherwise."""
    lengths = {name: array.size for name, array in arrays.items()}
    if len(set(lengths.values())) != 1:
        raise ValueError(f"paired arrays: found lengths {lengths}; expected one row per example in each")
    return next(iter(lengths.values()))
