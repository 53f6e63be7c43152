"""Area under the ROC curve: how well a score tells one part of the examples from another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..absent import Unmeasured

if TYPE_CHECKING:  # see metrics.py: numpy and the statistics are imported where they are used
    from ..metrics import Columns, FloatArray, IntArray
    from ..statistics import Estimate


_ENOUGH_OVERLAP = 3
"""Examples of the smaller part on the wrong side, about: below that the end near 0.5 erred in 7 to 14 %, not 5 %, in
simulation."""


@dataclass(frozen=True, slots=True)
class AreaUnderCurve:
    """The chance that ``score`` is higher for an example whose ``part`` is 1 than for one whose part is 0; ties count
    half. 0.5: it cannot tell them apart. Examples of any other part do not count.

    Interval by DeLong's placements as influence values, so that clusters count; where the parts do not overlap at all,
    by the smaller part's size. One model's ends are those of the area's logit, which stay within 0 and 1: near 1 the
    symmetric ends run short (50 examples a side, area 0.9: the lower one errs in 11 %, and in 6 % by the logit), and
    near 1 with few examples both do, see the warning. Sources: DeLong, DeLong and Clarke-Pearson 1988 (Biometrics
    44:837), equal to the Mann-Whitney statistic; Obuchowski 1997 (Biometrics 53:567) for clusters; Qin and Hotilovac
    2008 (Statistical Methods in Medical Research 17:207) for the logit.
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
        part, groups, score = _two_parts(columns[self.part], groups, columns[self.score])
        found = _placed(score, part)
        if isinstance(found, Unmeasured):
            return found
        estimated = _interval(*found, part, groups, confidence, (0.0, 1.0), seed)
        return estimated if isinstance(estimated, Unmeasured) else _by_logit(estimated, part)

    def difference(
        self, candidate: Columns, baseline: Columns, groups: IntArray | None, confidence: float, seed: int
    ) -> Estimate | Unmeasured:
        scores = candidate[self.score], baseline[self.score]
        part, groups, *(first, second) = _two_parts(candidate[self.part], groups, *scores)
        ours, theirs = _placed(first, part), _placed(second, part)
        if isinstance(ours, Unmeasured):
            return ours
        if isinstance(theirs, Unmeasured):
            return theirs
        value, influence = ours[0] - theirs[0], ours[1] - theirs[1]
        found = _interval(value, influence, part, groups, confidence, (-1.0, 1.0), seed)
        return found if isinstance(found, Unmeasured) else _within(found, -1.0, 1.0)


def _two_parts(
    part: FloatArray, groups: IntArray | None, *scores: FloatArray
) -> tuple[FloatArray, IntArray | None, *tuple[FloatArray, ...]]:
    """Without the examples of neither part."""
    import numpy as np

    kept = np.isin(part, (0.0, 1.0))
    return part[kept], None if groups is None else groups[kept], *(score[kept] for score in scores)


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
    import numpy as np

    from ..statistics import Estimate, Interval, constant_ends, mean_of_influence

    if not influence.any():
        units = np.arange(part.size) if groups is None else groups
        smaller = min(int(np.unique(units[part == side]).size) for side in (0.0, 1.0))
        low, high = constant_ends(value, smaller, bounds, confidence)
        noun = "examples" if groups is None else "clusters"
        warning = f"no example changes the value: the width rests on the {smaller} {noun} of the smaller part"
        return Estimate(value, Interval(low, high), part.size, smaller, "constant DeLong", None, (warning,))
    found = mean_of_influence(value, influence - influence.mean(), confidence, groups=groups, seed=seed)
    if isinstance(found, Unmeasured):
        return found
    return replace(found, method=f"DeLong, {found.method}")


def _within(found: Estimate, low: float, high: float) -> Estimate:
    from ..statistics import Interval

    return replace(found, interval=Interval(max(found.interval.low, low), min(found.interval.high, high)))


def _by_logit(found: Estimate, part: FloatArray) -> Estimate:
    """The same distances to both ends, taken on the logit of the area by the delta method."""
    from math import exp, log

    from ..statistics import Interval

    value = found.value
    slope = value * (1 - value)
    if not slope:
        return found

    def end(distance: float) -> float:
        odds = log(value / (1 - value)) + distance / slope
        return 1 / (1 + exp(-odds)) if odds > 0 else exp(odds) / (1 + exp(odds))

    smaller = int(min((part == 1.0).sum(), (part == 0.0).sum()))
    warnings = found.warnings
    if smaller * min(value, 1 - value) < _ENOUGH_OVERLAP:
        warnings += (f"{smaller} examples in the smaller part, and hardly any overlap: the end near 0.5 may err more",)
    interval = Interval(end(found.interval.low - value), end(found.interval.high - value))
    return replace(found, interval=interval, method=f"{found.method}, logit", warnings=warnings)
