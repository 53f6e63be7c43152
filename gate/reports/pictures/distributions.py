"""How the values of each model spread: one row of bars for each, over the same bins.

Bins are of the width of Freedman and Diaconis (1981), ``2 IQR / n^(1/3)`` over all models' values together, but 12 at
least and 40 at most. A few different values, such as grades, have a bar each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from .drawing import ROLES, WIDTH, Area, Axis, Canvas, Cell, Line, Numbers, Picture, Word, quantile, short, titled
from .quantities import Quantity

FEWEST_BINS, MOST_BINS = 12, 40
FEW_VALUES = 12
"""So many different values or fewer have a bar each, where they lie on a grid."""

_FAR = 4.0
"""Values further than so many interquartile ranges from the quartiles are counted in the outermost bars."""

_BARS = 40  # height of the tallest
_COLUMNS = (
    "Model", "Examples", "Lowest", "Lower quartile", "Median", "Upper quartile", "Highest", "Missing",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Bins:
    """``count`` of them, each ``width`` wide, from ``low``; what lies beyond belongs to the first and the last."""

    low: float
    width: float
    count: int

    @property
    def high(self) -> float:
        return self.low + self.count * self.width

    def counts(self, values: Sequence[float]) -> list[int]:
        counts = [0] * self.count
        for value in values:
            counts[min(max(int((value - self.low) // self.width), 0), self.count - 1)] += 1
        return counts

    def beyond(self, values: Sequence[float]) -> int:
        rounding = 1e-9 * self.width
        return sum(not self.low - rounding <= value <= self.high + rounding for value in values)


def bins_of(values: Sequence[float]) -> Bins:
    """Of all models' values together, two different ones at least."""
    ordered = sorted(values)
    grid = _grid(sorted(set(ordered)))
    if grid is not None:
        return grid
    first, third = quantile(ordered, 0.25), quantile(ordered, 0.75)
    low, high = ordered[0], ordered[-1]
    if third > first:
        low, high = max(low, first - _FAR * (third - first)), min(high, third + _FAR * (third - first))
    wanted = (high - low) / (2 * (third - first) / len(ordered) ** (1 / 3)) if third > first else FEWEST_BINS
    count = min(max(round(wanted), FEWEST_BINS), MOST_BINS)
    return Bins(low, (high - low) / count, count)


def _grid(different: Sequence[float]) -> Bins | None:
    """A bin for each place of a grid that all values lie on, its value in the middle."""
    if not 2 <= len(different) <= FEW_VALUES:
        return None
    step = min(after - before for before, after in pairwise(different))
    steps = [(value - different[0]) / step for value in different]
    if steps[-1] > MOST_BINS - 1 or any(abs(one - round(one)) > 1e-6 for one in steps):
        return None
    return Bins(different[0] - step / 2, step, round(steps[-1]) + 1)


@dataclass(frozen=True, slots=True)
class _Row:
    """One model's values, or those of one part of its examples; ``values`` ascend."""

    label: str
    style: str
    values: Sequence[float]
    planned: int


def distribution(quantity: Quantity) -> Picture:
    """Of a quantity that is continuous."""
    rows = list(_rows(quantity))
    bins = bins_of([value for row in rows for value in row.values])
    axis = Axis(bins.low, bins.high)
    counts = [bins.counts(row.values) for row in rows]
    tallest = max(max(some) / len(row.values) for some, row in zip(counts, rows, strict=True) if row.values)
    canvas, said = Canvas(), list[str]()
    for row, own in zip(rows, counts, strict=True):
        top = canvas.y + 20
        canvas.words.append(Word(row.label, 0, top - 6, "strong"))
        canvas.y = top + _BARS
        if row.values:
            median = quantile(row.values, 0.5)
            canvas.words.append(Word(f"median {short(median)}", WIDTH, top - 6, "soft", "end"))
            said.append(f"{row.label} {short(median)}")
            heights = [_BARS * count / len(row.values) / tallest for count in own]
            canvas.areas.append(Area(_outline(bins, axis, heights, canvas.y), row.style))
            canvas.areas.append(Area(_marker(axis.x(median), canvas.y), "median"))
        else:
            canvas.words.append(Word("not measured", WIDTH, top - 6, "soft", "end"))
        canvas.lines.append(Line(0, canvas.y, WIDTH, canvas.y, "axis"))
        canvas.y += 10
    axis.draw(canvas, 20)
    title = titled(quantity.title, quantity.unit)
    return canvas.picture(
        title,
        f"{_preferred(quantity)} Bars are shares of a model's examples over the same {bins.count} bins, the triangle "
        f"points at its median.{_far(sum(bins.beyond(row.values) for row in rows))}",
        f"{title}: medians are {', '.join(said)}",
        Numbers(_COLUMNS, tuple(_numbers(row) for row in rows)),
    )


def _rows(quantity: Quantity) -> Iterator[_Row]:
    for role in ROLES:
        if role in quantity.values:
            for part, (name, positions) in enumerate(quantity.parts):
                label = f"{role}, {name}" if name else role
                yield _Row(label, f"{role} side-{part}", sorted(quantity.measured(role, part)), len(positions))


def _numbers(row: _Row) -> tuple[Cell, ...]:
    five = (short(quantile(row.values, at)) if row.values else "" for at in (0.0, 0.25, 0.5, 0.75, 1.0))
    return (row.label, len(row.values), *five, row.planned - len(row.values))


def _outline(bins: Bins, axis: Axis, heights: Sequence[float], floor: float) -> str:
    """One path around all bars, so that a picture is as large for many examples as for few."""
    steps, height = [f"M{axis.x(bins.low):g} {floor:g}"], 0.0
    for at, own in enumerate(round(one, 1) for one in heights):
        if own != height:
            steps.append(f"H{axis.x(bins.low + at * bins.width):g}V{floor - own:g}")
            height = own
    return "".join((*steps, f"H{axis.x(bins.high):g}V{floor:g}z"))


def _marker(x: float, floor: float) -> str:
    """A triangle below the bars that points at ``x``."""
    return f"M{x:g} {floor + 1:g}l4.5 7h-9z"


def _preferred(quantity: Quantity) -> str:
    if quantity.higher_is_better is None:
        return "Neither side is better."
    return "Further right is better." if quantity.higher_is_better else "Further left is better."


def _far(beyond: int) -> str:
    if not beyond:
        return ""
    said = "1 value beyond the axis is" if beyond == 1 else f"{beyond:,} values beyond the axis are"
    return f" {said} in the outermost bars."
