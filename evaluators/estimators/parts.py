"""Estimates over one part of the examples, and the difference of two parts: seen and unseen, train and validation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..absent import Unmeasured

if TYPE_CHECKING:  # see metrics.py: numpy and the statistics are imported where they are used
    from ..metrics import Columns, Estimator, FloatArray, IntArray
    from ..statistics import Estimate


@dataclass(frozen=True, slots=True)
class Part:
    """``Part(Mean("correct", 0, 1), "seen", 1.0, "seen")``: an estimator over the examples whose component ``column``
    is ``value``. ``name`` is what reasons call that part."""

    of: Estimator
    column: str
    value: float
    name: str

    @property
    def components(self) -> tuple[str, ...]:
        return (*self.of.components, self.column)

    def impute(self, columns: Columns, best: bool) -> Columns | Unmeasured:
        return _impute(self.of, self.column, columns, best)

    def estimate(
        self, columns: Columns, groups: IntArray | None, confidence: float, seed: int
    ) -> Estimate | Unmeasured:
        chosen = columns[self.column] == self.value
        return _named(self.name, self.of.estimate(*_only(columns, groups, chosen), confidence, seed))

    def difference(
        self, candidate: Columns, baseline: Columns, groups: IntArray | None, confidence: float, seed: int
    ) -> Estimate | Unmeasured:
        chosen = candidate[self.column] == self.value
        ours, some = _only(candidate, groups, chosen)
        theirs, _ = _only(baseline, groups, chosen)
        return _named(self.name, self.of.difference(ours, theirs, some, confidence, seed))


@dataclass(frozen=True, slots=True)
class PartDifference:
    """One part's value minus another's, from different examples: ``PartDifference(Ratio("nll", "tokens"), "part", 1.0,
    0.0, ("validation", "train"))``.

    Of two models it is the difference in differences: (candidate - baseline) on the first part minus (candidate -
    baseline) on the second, each paired by example, so that what makes one part harder than the other for any model
    cancels. Where a cluster has examples in both parts they are taken as independent, which makes the interval wider
    than it need be as long as such examples go up and down together.
    """

    of: Estimator
    column: str
    first: float
    second: float
    names: tuple[str, str]

    @property
    def components(self) -> tuple[str, ...]:
        return (*self.of.components, self.column)

    def impute(self, columns: Columns, best: bool) -> Columns | Unmeasured:
        """Nothing stands in for a missing value: the best of one part is the worst of the other."""
        import numpy as np

        missing = np.any(np.stack([np.isnan(columns[name]) for name in self.components]), axis=0)
        if not missing.any():
            return columns
        return Unmeasured(f"{int(missing.sum())} of {missing.size} examples have no {' and '.join(self.of.components)}")

    def estimate(
        self, columns: Columns, groups: IntArray | None, confidence: float, seed: int
    ) -> Estimate | Unmeasured:
        parts = [Part(self.of, self.column, value, name) for value, name in self._parts()]
        return _subtracted(*(part.estimate(columns, groups, confidence, seed) for part in parts))

    def difference(
        self, candidate: Columns, baseline: Columns, groups: IntArray | None, confidence: float, seed: int
    ) -> Estimate | Unmeasured:
        parts = [Part(self.of, self.column, value, name) for value, name in self._parts()]
        return _subtracted(*(part.difference(candidate, baseline, groups, confidence, seed) for part in parts))

    def _parts(self) -> tuple[tuple[float, str], tuple[float, str]]:
        return (self.first, self.names[0]), (self.second, self.names[1])


def _subtracted(first: Estimate | Unmeasured, second: Estimate | Unmeasured) -> Estimate | Unmeasured:
    from ..statistics import independent_difference

    if isinstance(first, Unmeasured):
        return first
    return second if isinstance(second, Unmeasured) else independent_difference(first, second)


def _named(part: str, found: Estimate | Unmeasured) -> Estimate | Unmeasured:
    return Unmeasured(f"{part}: {found.reason}") if isinstance(found, Unmeasured) else found


def _only(columns: Columns, groups: IntArray | None, chosen: FloatArray) -> tuple[Columns, IntArray | None]:
    """The chosen rows; no groups where no two of them share one."""
    import numpy as np

    kept = chosen.astype(bool)
    some = None if groups is None else groups[kept]
    if some is not None and np.unique(some).size == some.size:
        some = None
    return {name: column[kept] for name, column in columns.items()}, some


def _impute(of: Estimator, column: str, columns: Columns, best: bool) -> Columns | Unmeasured:
    """Which part an example belongs to cannot be made up."""
    import numpy as np

    unknown = int(np.isnan(columns[column]).sum())
    if unknown:
        return Unmeasured(f"{unknown} of {columns[column].size} examples have no {column}")
    found = of.impute({name: columns[name] for name in of.components}, best)
    return found if isinstance(found, Unmeasured) else {**found, column: columns[column]}
