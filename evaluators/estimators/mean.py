"""Means of one component."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..absent import Unmeasured

if TYPE_CHECKING:  # see metrics.py: numpy and the statistics are imported where they are used
    from ..metrics import Columns, FloatArray, IntArray
    from ..statistics import Estimate


@dataclass(frozen=True, slots=True)
class Mean:
    """Mean of one component. ``low``/``high`` are the component's own bounds, where it has any.

    Missing values of a bounded component are taken at their worst for the candidate and at their best for a
    baseline, so that failures can never help a candidate; an unbounded one cannot be imputed and is unmeasured.
    """

    component: str
    low: float | None = None
    high: float | None = None
    higher_is_better: bool = True

    @property
    def components(self) -> tuple[str, ...]:
        return (self.component,)

    def impute(self, columns: Columns, best: bool) -> Columns | Unmeasured:
        import numpy as np

        values = columns[self.component]
        missing = np.isnan(values)
        if not missing.any():
            return columns
        bound = self.high if best == self.higher_is_better else self.low
        if bound is None:
            return Unmeasured(f"{int(missing.sum())} of {values.size} examples have no {self.component}")
        return {**columns, self.component: np.where(missing, bound, values)}

    def estimate(
        self, columns: Columns, groups: IntArray | None, confidence: float, seed: int
    ) -> Estimate | Unmeasured:
        from ..statistics import clustered_mean, mean_t, wilson

        values = columns[self.component]
        if groups is not None:
            return clustered_mean(values, groups, confidence, bounds=self._bounds(), seed=seed)
        if self._is_share(values):
            return wilson(int(values.sum()), values.size, confidence)
        return mean_t(values, confidence, bounds=self._bounds(), seed=seed)

    def difference(
        self, candidate: Columns, baseline: Columns, groups: IntArray | None, confidence: float, seed: int
    ) -> Estimate | Unmeasured:
        from ..statistics import clustered_mean, mean_t, paired_proportions

        ours, theirs = candidate[self.component], baseline[self.component]
        bounds = self._bounds()
        spread = None if bounds is None else (bounds[0] - bounds[1], bounds[1] - bounds[0])
        if groups is not None:
            return clustered_mean(ours - theirs, groups, confidence, bounds=spread, seed=seed)
        if self._is_share(ours) and self._is_share(theirs):
            return paired_proportions(ours, theirs, confidence)
        return mean_t(ours - theirs, confidence, bounds=spread, seed=seed)

    def _bounds(self) -> tuple[float, float] | None:
        return None if self.low is None or self.high is None else (self.low, self.high)

    def _is_share(self, values: FloatArray) -> bool:
        import numpy as np

        return self._bounds() == (0.0, 1.0) and bool(np.isin(values, (0.0, 1.0)).all())
