"""Area under the ROC curve: how well a score tells one part of the examples from another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..absent import Unmeasured

if TYPE_CHECKING:  # see metrics.py: numpy and the statistics are imported where they are used
    from ..metrics import Columns, FloatArray, IntArray
    from ..statistics import Estimate


@dataclass(frozen=True, slots=True)
class AreaUnderCurve:
    """The chance that ``score`` is higher for an example whose ``part`` is 1 than for one whose part is 0; ties count
    half. 0.5: it cannot tell them apart.

    Interval by DeLong's placements as influence values, so that clusters count; where the parts do not overlap at all,
    by the smaller part's size. Sources: DeLong, DeLong and Clarke-Pearson 1988 (Biometrics 44:837), equal to the
    Mann-Whitney statistic; Obuchowski 1997 (Biometrics 53:567) for clusters.
    """

    score: str
    part: str

    @property
    def components(self) -> tuple[str, ...]:
        return (self.score, self.part)

    def impute(self, columns: Columns, best: bool) -> Columns | Unmeasured:
        import numpy as np

        missing = np.isnan(columns[self.score]) | np.isnan(columns[self.part])
        if not missing.any():
            return columns
        return Unmeasured(f"{int(missing.sum())} of {missing.size} examples have no {self.score}")

    def estimate(
        self, columns: Columns, groups: IntArray | None, confidence: float, seed: int
    ) -> Estimate | Unmeasured:
        found = _placed(columns[self.score], columns[self.part])
        if isinstance(found, Unmeasured):
            return found
        return _interval(*found, columns[self.part], groups, confidence, (0.0, 1.0), seed)

    def difference(
        self, candidate: Columns, baseline: Columns, groups: IntArray | None, confidence: float, seed: int
    ) -> Estimate | Unmeasured:
        ours = _placed(candidate[self.score], candidate[self.part])
        theirs = _placed(baseline[self.score], baseline[self.part])
        if isinstance(ours, Unmeasured):
            return ours
        if isinstance(theirs, Unmeasured):
            return theirs
        part = candidate[self.part]
        return _interval(ours[0] - theirs[0], ours[1] - theirs[1], part, groups, confidence, (-1.0, 1.0), seed)


def _placed(score: FloatArray, part: FloatArray) -> tuple[float, FloatArray] | Unmeasured:
    """The area, and each example's influence on it: its placement among the other part, about the area."""
    import numpy as np

    first, second = score[part == 1.0], score[part == 0.0]
    if first.size < 2 or second.size < 2:
        return Unmeasured(f"{first.size} and {second.size} examples in the two parts: at least 2 are needed in each")
    above = _share_below(first, second)
    below = 1 - _share_below(second, first)
    area = float(above.mean())
    influence = np.empty(score.size)
    influence[part == 1.0] = (above - area) * (score.size / first.size)
    influence[part == 0.0] = (below - area) * (score.size / second.size)
    return area, influence


def _share_below(values: FloatArray, others: FloatArray) -> FloatArray:
    """For each value, the share of ``others`` below it, equal ones by half."""
    import numpy as np

    ordered = np.sort(others)
    ranks = np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")
    return ranks / (2.0 * others.size)


def _interval(
    value: float,
    influence: FloatArray,
    part: FloatArray,
    groups: IntArray | None,
    confidence: float,
    bounds: tuple[float, float],
    seed: int,
) -> Estimate | Unmeasured:
    from ..statistics import Estimate, Interval, constant_ends, mean_of_influence

    if not influence.any():
        smaller = int(min((part == 1.0).sum(), (part == 0.0).sum()))
        low, high = constant_ends(value, smaller, bounds, confidence)
        warning = f"no example changes the value: the width rests on the {smaller} examples of the smaller part"
        return Estimate(value, Interval(low, high), part.size, smaller, "constant DeLong", None, (warning,))
    found = mean_of_influence(value, influence - influence.mean(), confidence, groups=groups, seed=seed)
    if isinstance(found, Unmeasured):
        return found
    low, high = max(found.interval.low, bounds[0]), min(found.interval.high, bounds[1])
    return replace(found, interval=Interval(low, high), method=f"DeLong, {found.method}")
