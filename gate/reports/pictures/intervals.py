"""Several measured values with their intervals on one axis, in named groups: slices, tasks, what a judge leans to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...record import EstimateRecord, MeasuredRecord
from ..numbers import scale_for
from .drawing import ROLES, WIDTH, Axis, Canvas, Cell, Dot, Line, Numbers, Picture, Word, titled

_LINE = 13


@dataclass(frozen=True, slots=True)
class Bar:
    """``style`` is a role, or what else the style sheet knows."""

    label: str
    measured: MeasuredRecord
    style: str


@dataclass(frozen=True, slots=True)
class Group:
    """Bars under one heading. ``mark`` is a value to compare with, drawn upright through them, and ``mark_name`` what
    it is."""

    heading: str
    bars: tuple[Bar, ...]
    mark: float | None = None
    mark_name: str = ""


def of_roles(measured: Sequence[tuple[str, MeasuredRecord]]) -> tuple[Bar, ...]:
    return tuple(Bar(role, one, role) for role, one in measured if role in ROLES)


def interval_picture(
    title: str, aid: str, groups: Sequence[Group], *, unit: str = "", axis: Axis | None = None
) -> Picture | None:
    """None where nothing in it was measured. What was not is said in words instead of a bar."""
    estimates = [bar.measured for group in groups for bar in group.bars if isinstance(bar.measured, EstimateRecord)]
    if not estimates:
        return None
    marks = [group.mark for group in groups if group.mark is not None]
    axis = axis or Axis.around([*marks, *(end for one in estimates for end in (one.low, one.value, one.high))])
    scale = scale_for(estimates, unit=unit)
    canvas, rows, said = Canvas(), list[tuple[Cell, ...]](), list[str]()
    for group in groups:
        canvas.words.append(Word(group.heading, 0, canvas.y + 14, "strong"))
        top = canvas.y = canvas.y + 19
        for bar in group.bars:
            y = canvas.y + _LINE / 2
            one = bar.measured
            if isinstance(one, EstimateRecord):
                low, high, x = axis.x(one.low), axis.x(one.high), axis.x(one.value)
                canvas.lines.append(Line(low, y, high, y, f"interval {bar.style}"))
                canvas.dots.append(Dot(x, y, bar.style))
                # on the side with more room
                right = WIDTH - high >= low
                text = f"{bar.label} {scale.value(one.value)}"
                canvas.words.append(
                    Word(text, high + 8 if right else low - 8, y + 4, "soft", "start" if right else "end")
                )
                rows.append((group.heading, bar.label, scale.value(one.value), scale.interval(one), one.n))
                said.append(f"{group.heading}, {bar.label}: {scale.value(one.value)}")
            else:
                canvas.words.append(Word(f"{bar.label}: not measured", 0, y + 4, "soft"))
                rows.append((group.heading, bar.label, "not measured", one.unmeasured, ""))
            canvas.y += _LINE
        if group.mark is not None:
            x = axis.x(group.mark)
            canvas.lines.append(Line(x, top, x, canvas.y, "mark"))
            if group.mark_name:
                canvas.words.append(Word(group.mark_name, WIDTH, top - 5, "soft", "end"))
        canvas.y += 5
    axis.draw(canvas, 19)
    numbers = Numbers(("Of", "Which", "Value", "Interval", "Examples"), tuple(rows))
    title = titled(title, unit)
    return canvas.picture(title, aid, f"{title}. {'; '.join(said)}", numbers)
