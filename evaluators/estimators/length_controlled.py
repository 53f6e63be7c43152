"""A win rate at equal length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..absent import Unmeasured

if TYPE_CHECKING:  # see metrics.py: numpy and the statistics are imported where they are used
    from ..metrics import Columns, IntArray
    from ..statistics import Estimate


@dataclass(frozen=True, slots=True)
class LengthControlled:
    """``LengthControlled("win", "length_difference")``: the win rate, were both answers equally long
    (`equal_length_rate`). ``score``: 1 won, 0.5 tied, 0 lost, or the probability of a win; ``length``: the candidate's
    length minus the other's.

    A missing score is taken as lost (won, for the best), at equal length where the lengths are missing with it: a
    failed answer has none. Hold it beside the plain rate; where every comparison is won it is unmeasured.
    """

    score: str
    length: str

    @property
    def components(self) -> tuple[str, ...]:
        return (self.score, self.length)

    def impute(self, columns: Columns, best: bool) -> Columns | Unmeasured:
        import numpy as np

        unscored, unlong = np.isnan(columns[self.score]), np.isnan(columns[self.length])
        odd = int((unlong & ~unscored).sum())
        if odd:
            return Unmeasured(f"{odd} of {unlong.size} examples have a {self.score} but no {self.length}")
        if not unscored.any():
            return columns
        return {
            **columns,
            self.score: np.where(unscored, 1.0 if best else 0.0, columns[self.score]),
            self.length: np.where(unlong, 0.0, columns[self.length]),
        }

    def estimate(
        self, columns: Columns, groups: IntArray | None, confidence: float, seed: int
    ) -> Estimate | Unmeasured:
        from ..statistics import equal_length_rate

        return equal_length_rate(columns[self.score], columns[self.length], confidence, groups=groups, seed=seed)

    def difference(
        self, candidate: Columns, baseline: Columns, groups: IntArray | None, confidence: float, seed: int
    ) -> Unmeasured:
        return Unmeasured("a win rate is about a pair of models: it has no difference between models")
