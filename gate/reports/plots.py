"""Where things lie in the picture of one check: interval, point and bound on one axis. Geometry only, no markup."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from ..deciding import Outcome
from ..record import CheckRecord, EstimateRecord
from .checks import MOST_SLICES, of_slices, slice_name, worst_first
from .numbers import Scale, bound_text
from .rows import RuleRow

WIDTH = 440
_MARGIN = 68  # room for an interval's end, written beside it
_CHARACTER = 6.7  # an upper estimate of a digit's width at 12 px
_ROW = 15
_LEAST_SHARE = 0.06  # of the axis, that an interval must fill for its baselines to be drawn along


@dataclass(frozen=True, slots=True)
class Label:
    """A text at ``x``; ``anchor`` as in SVG. ``row`` counts lines of labels below the axis."""

    text: str
    x: float
    anchor: Literal["start", "middle", "end"]
    row: int = 0


@dataclass(frozen=True, slots=True)
class Tick:
    """A named place on the axis: no change, or a baseline's value."""

    x: float
    label: Label


@dataclass(frozen=True, slots=True)
class IntervalPlot:
    """One check. All places are in pixels of a picture ``WIDTH`` wide and ``height`` high."""

    title: str
    description: str
    outcome: Outcome
    height: int
    low: float
    value: float
    high: float
    bound: float
    good_x: float
    good_width: float
    low_label: str
    high_label: str
    value_label: Label
    bound_label: Label
    ticks: tuple[Tick, ...]
    point_only: bool


def plots_of(row: RuleRow) -> tuple[IntervalPlot, ...]:
    """A picture for each check of a rule that has a number; of a rule on many slices, of those that tell most."""
    point_only = row.rule.settings.get("confidence") == "none"
    return tuple(
        _plot(check, check.measured, row, point_only)
        for check in (worst_first(row.checks)[:MOST_SLICES] if of_slices(row.rule) else row.checks)
        if isinstance(check.measured, EstimateRecord)
    )


def _plot(check: CheckRecord, estimate: EstimateRecord, row: RuleRow, point_only: bool) -> IntervalPlot:
    scale, change = row.check_scale, check.against is not None and not row.of_pairs
    places = (estimate.low, estimate.high, estimate.value, check.bound)
    baselines: Mapping[str, float] = {} if check.slice else row.baseline_values
    named: Mapping[str, float] = {"no change": 0.0} if change else _drawable(baselines, places, estimate)
    start, end = min((*places, *named.values())), max((*places, *named.values()))
    if start == end:
        start, end = start - (abs(start) or 1) / 10, end + (abs(end) or 1) / 10
    step = (WIDTH - 2 * _MARGIN) / (end - start)

    def x(number: float) -> float:
        return round(_MARGIN + (number - start) * step, 1)

    write = scale.change if change else scale.value
    bound = x(check.bound)
    shown_bound = bound_text(check.bound, scale, change=change)
    arrow = f"{check.side} {shown_bound} →" if check.side == "at least" else f"← {check.side} {shown_bound}"
    ticks = _ticks((name if change else f"{name} {write(number)}", x(number)) for name, number in named.items())
    rows = 1 + max((tick.label.row for tick in ticks), default=-1)
    title = "candidate" if check.against is None else f"candidate {'minus' if change else 'against'} {check.against}"
    if check.slice:
        title = f"{slice_name(check.slice)}: {title}"
    return IntervalPlot(
        title=title,
        description=_description(title, check, estimate, write, shown_bound, point_only),
        outcome=check.outcome,
        height=66 + _ROW * rows + (4 if rows else 0),
        low=x(estimate.low),
        value=x(estimate.value),
        high=x(estimate.high),
        bound=bound,
        good_x=bound if check.side == "at least" else 0,
        good_width=round(WIDTH - bound if check.side == "at least" else bound, 1),
        low_label=_end(scale, estimate.low, change),
        high_label=_end(scale, estimate.high, change),
        value_label=_inside(write(estimate.value), x(estimate.value)),
        bound_label=_inside(arrow, bound),
        ticks=ticks,
        point_only=point_only,
    )


def _end(scale: Scale, number: float, change: bool) -> str:
    return (scale.change(number) if change else scale.value(number)).partition(" ")[0]


def _drawable(baselines: Mapping[str, float], places: Iterable[float], estimate: EstimateRecord) -> Mapping[str, float]:
    """The baselines, unless they lie so far off that the candidate's interval would shrink to a dot."""
    drawn = dict(baselines)
    all_places = (*places, *drawn.values())
    span = max(all_places) - min(all_places)
    return drawn if (estimate.high - estimate.low) >= _LEAST_SHARE * span else {}


def _ticks(named: Iterable[tuple[str, float]]) -> tuple[Tick, ...]:
    """Labels in as many rows as they need not to touch."""
    ends: list[float] = []
    ticks: list[Tick] = []
    for text, x in sorted(named, key=lambda item: item[1]):
        label = _inside(text, x)
        left, right = _extent(label)
        row = next((index for index, taken in enumerate(ends) if left > taken + 8), len(ends))
        if row == len(ends):
            ends.append(right)
        ends[row] = right
        ticks.append(Tick(x, Label(label.text, label.x, label.anchor, row)))
    return tuple(ticks)


def _inside(text: str, x: float) -> Label:
    """Centred on ``x``, or against the edge that it would cross."""
    half = len(text) * _CHARACTER / 2
    if x - half < 2:
        return Label(text, 2, "start")
    if x + half > WIDTH - 2:
        return Label(text, WIDTH - 2, "end")
    return Label(text, x, "middle")


def _extent(label: Label) -> tuple[float, float]:
    size = len(label.text) * _CHARACTER
    left = {"start": label.x, "middle": label.x - size / 2, "end": label.x - size}[label.anchor]
    return left, left + size


def _description(
    title: str,
    check: CheckRecord,
    estimate: EstimateRecord,
    write: Callable[[float], str],
    bound: str,
    point_only: bool,
) -> str:
    """The picture in words, for whoever does not see it."""
    said = f"{title} is {write(estimate.value)}, interval {write(estimate.low)} to {write(estimate.high)}"
    by = ", decided by the point" if point_only else ""
    return f"{said}; the rule asks for {check.side} {bound}: {check.outcome}{by}"
