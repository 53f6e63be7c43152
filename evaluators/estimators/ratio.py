"""Sums over sums: perplexity, bits per byte, shares of tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ..absent import Unmeasured

if TYPE_CHECKING:  # see metrics.py: numpy and the statistics are imported where they are used
    from ..metrics import Columns, IntArray
    from ..statistics import Estimate


@dataclass(frozen=True, slots=True)
class Ratio:
    """Sum of one component over the sum of another, or the exponential of that: perplexity, bits per byte.

    Examples with nothing in the denominator (empty documents) are no evidence and do not count towards n.

    ``same_denominator`` says that two models are comparable only where their denominators agree example by example,
    and names what differs for the reason of the unmeasured difference. Missing values cannot be imputed.
    """

    numerator: str
    denominator: str
    transform: Literal["identity", "exp"] = "identity"
    same_denominator: str | None = None

    @property
    def components(self) -> tuple[str, ...]:
        return (self.numerator, self.denominator)

    def impute(self, columns: Columns, best: bool) -> Columns | Unmeasured:
        import numpy as np

        missing = np.isnan(columns[self.numerator]) | np.isnan(columns[self.denominator])
        if not missing.any():
            return columns
        return Unmeasured(f"{int(missing.sum())} of {missing.size} examples have no {self.numerator}")

    def estimate(
        self, columns: Columns, groups: IntArray | None, confidence: float, seed: int
    ) -> Estimate | Unmeasured:
        from ..statistics import ratio

        numerator, denominator = columns[self.numerator], columns[self.denominator]
        counts = denominator != 0
        numerator, denominator = numerator[counts], denominator[counts]
        groups = None if groups is None else groups[counts]
        return ratio(numerator, denominator, confidence, groups=groups, transform=self.transform, seed=seed)

    def difference(
        self, candidate: Columns, baseline: Columns, groups: IntArray | None, confidence: float, seed: int
    ) -> Estimate | Unmeasured:
        import numpy as np

        from ..statistics import ratio_difference

        ours, theirs = candidate[self.denominator], baseline[self.denominator]
        if self.same_denominator and not np.array_equal(ours, theirs):
            return Unmeasured(f"not comparable: the models differ in {self.same_denominator}")
        counts = (ours != 0) | (theirs != 0)
        groups = None if groups is None else groups[counts]
        return ratio_difference(
            candidate[self.numerator][counts],
            ours[counts],
            baseline[self.numerator][counts],
            theirs[counts],
            confidence,
            groups=groups,
            transform=self.transform,
            seed=seed,
        )
