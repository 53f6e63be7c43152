"""A value that could not be measured is an object with a reason, never NaN, 0 or None."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Unmeasured:
    """``Unmeasured("model gives no log-probabilities")`` stands where a number would, and says why there is none."""

    reason: str


Value = float | Unmeasured
