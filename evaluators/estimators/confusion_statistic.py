"""Statistics of a confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..absent import Unmeasured

if TYPE_CHECKING:  # see metrics.py: numpy and the statistics are imported where they are used
    from ..metrics import Columns, FloatArray, IntArray
    from ..statistics import Estimate


@dataclass(frozen=True, slots=True)
class Confusion:
    """A statistic of the confusion of ``label`` and ``prediction``; position ``classes`` of a prediction is invalid.

    With a prediction missing it is unmeasured: no label in its place would be the worst for every statistic.
    """

    statistic: str
    classes: int

    @property
    def components(self) -> tuple[str, ...]:
        return ("label", "prediction")

    def impute(self, columns: Columns, best: bool) -> Columns | Unmeasured:
        import numpy as np

        missing = int(np.isnan(columns["prediction"]).sum())
        if not missing:
            return columns
        return Unmeasured(f"{missing} of {columns['prediction'].size} examples have no prediction")

    def estimate(
        self, columns: Columns, groups: IntArray | None, confidence: float, seed: int
    ) -> Estimate | Unmeasured:
        return self._bootstrap([columns["label"], columns["prediction"]], groups, confidence, seed)

    def difference(
        self, candidate: Columns, baseline: Columns, groups: IntArray | None, confidence: float, seed: int
    ) -> Estimate | Unmeasured:
        codes = [candidate["label"], candidate["prediction"], baseline["prediction"]]
        return self._bootstrap(codes, groups, confidence, seed)

    def _bootstrap(
        self, codes: Sequence[FloatArray], groups: IntArray | None, confidence: float, seed: int
    ) -> Estimate | Unmeasured:
        """``codes``: label and prediction of every example, and the baseline's prediction for a difference."""
        import numpy as np

        from ..statistics import paired_bootstrap

        rows = np.stack(codes, axis=1).astype(np.int64)
        counts: IntArray | None = None
        if groups is None:
            # a confusion only sees what kind of row an example is: drawing kinds costs nothing with more examples
            kinds, found = np.unique(rows, axis=0, return_counts=True)
            rows, counts = kinds, found.astype(np.int64)
        ours = self._cells(rows[:, 0], rows[:, 1])
        theirs = self._cells(rows[:, 0], rows[:, 2]) if rows.shape[1] > 2 else None

        def statistic(weights: IntArray) -> FloatArray:
            drawn = weights.astype(np.float64)
            value = self._values(drawn, ours)
            return value if theirs is None else value - self._values(drawn, theirs)

        low = -1.0 if self.statistic == "matthews_corrcoef" else 0.0
        bounds = (low, 1.0) if theirs is None else (low - 1.0, 1.0 - low)
        size = rows.shape[0] if counts is None else int(counts.sum())
        return paired_bootstrap(
            statistic, size, groups=groups, multiplicity=counts, seed=seed, confidence=confidence, bounds=bounds
        )

    def _cells(self, label: IntArray, prediction: IntArray) -> FloatArray:
        """One-hot [rows, classes * (classes + 1)]: which cell of the confusion matrix each row falls into."""
        import numpy as np

        cells = np.zeros((label.size, self.classes * (self.classes + 1)))
        cells[np.arange(label.size), label * (self.classes + 1) + prediction] = 1.0
        return cells

    def _values(self, weights: FloatArray, cells: FloatArray) -> FloatArray:
        from .. import confusion

        matrices = (weights @ cells).reshape(-1, self.classes, self.classes + 1)
        return confusion.STATISTICS[self.statistic](matrices)
