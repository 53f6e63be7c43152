"""What is counted and not sampled."""

from __future__ import annotations

from dataclasses import dataclass
from math import fsum
from typing import TYPE_CHECKING

from ..absent import Unmeasured

if TYPE_CHECKING:  # see metrics.py: numpy and the statistics are imported where they are used
    from ..metrics import Columns, IntArray
    from ..statistics import Estimate


@dataclass(frozen=True, slots=True)
class Counted:
    """Mean of a component over a set that is all there is, such as the share of holdout rows that lie in the training
    file. No sampling, so the interval is the value itself, and a rule compares with just that."""

    component: str

    @property
    def components(self) -> tuple[str, ...]:
        return (self.component,)

    def impute(self, columns: Columns, best: bool) -> Columns | Unmeasured:
        import numpy as np

        missing = int(np.isnan(columns[self.component]).sum())
        if not missing:
            return columns
        return Unmeasured(f"{missing} of {columns[self.component].size} examples have no {self.component}")

    def estimate(
        self, columns: Columns, groups: IntArray | None, confidence: float, seed: int
    ) -> Estimate | Unmeasured:
        values = columns[self.component]
        return _exactly(fsum(values.tolist()) / values.size, values.size)

    def difference(
        self, candidate: Columns, baseline: Columns, groups: IntArray | None, confidence: float, seed: int
    ) -> Estimate | Unmeasured:
        values = candidate[self.component] - baseline[self.component]
        return _exactly(fsum(values.tolist()) / values.size, values.size)


def _exactly(value: float, count: int) -> Estimate:
    from ..statistics import COUNTED, Estimate, Interval

    return Estimate(value, Interval(value, value), count, count, COUNTED, 0.0)
