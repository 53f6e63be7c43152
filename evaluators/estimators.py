"""How metrics are computed from per-example components, each with the interval that fits it.

| estimator   | quantity                       | one model               | difference of two, paired by example    |
|-------------|--------------------------------|-------------------------|-----------------------------------------|
| `Mean` 0/1  | share                          | Wilson                  | Tango's score interval                  |
| `Mean`      | mean                           | t                       | t on the differences                    |
| `Ratio`     | sum / sum, or its exponential  | delta method, t         | delta method on paired influence, t     |
| `Confusion` | F1, MCC, ... of a confusion    | bootstrap, BCa          | paired bootstrap, BCa                   |

Examples that share a group are one cluster in all of them. Which method ran is named in every estimate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from .absent import Unmeasured

if TYPE_CHECKING:  # see metrics.py: numpy and the statistics are imported where they are used
    from .metrics import Columns, FloatArray, IntArray
    from .statistics import Estimate


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
        from .statistics import clustered_mean, mean_t, wilson

        values = columns[self.component]
        if groups is not None:
            return clustered_mean(values, groups, confidence, bounds=self._bounds(), seed=seed)
        if self._is_share(values):
            return wilson(int(values.sum()), values.size, confidence)
        return mean_t(values, confidence, bounds=self._bounds(), seed=seed)

    def difference(
        self, candidate: Columns, baseline: Columns, groups: IntArray | None, confidence: float, seed: int
    ) -> Estimate | Unmeasured:
        from .statistics import clustered_mean, mean_t, paired_proportions

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
        from .statistics import ratio

        numerator, denominator = columns[self.numerator], columns[self.denominator]
        counts = denominator != 0
        numerator, denominator = numerator[counts], denominator[counts]
        groups = None if groups is None else groups[counts]
        return ratio(numerator, denominator, confidence, groups=groups, transform=self.transform, seed=seed)

    def difference(
        self, candidate: Columns, baseline: Columns, groups: IntArray | None, confidence: float, seed: int
    ) -> Estimate | Unmeasured:
        import numpy as np

        from .statistics import ratio_difference

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

        from .statistics import paired_bootstrap

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
        from . import confusion

        matrices = (weights @ cells).reshape(-1, self.classes, self.classes + 1)
        return confusion.STATISTICS[self.statistic](matrices)
