"""A metric over the gates of a model: where each point, line and interval lies. Geometry only, no markup."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from ..history import PastDecision, high_name, low_name

WIDTH, HEIGHT = 560, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 72, 20, 16, 34
_MOST_LABELS = 10
_LINE = 14  # places of texts that are closer touch
LINES = ("candidate", "base", "champion")


class Gated(Protocol):
    """What is drawn of a gate; ``metrics`` are named as in `PastDecision`."""

    @property
    def version(self) -> str: ...
    @property
    def decision(self) -> str: ...
    @property
    def metrics(self) -> Mapping[str, float]: ...


@dataclass(frozen=True, slots=True)
class Point:
    """One gate's value: where it lies, and what it says."""

    x: float
    y: float
    decision: str
    said: str


@dataclass(frozen=True, slots=True)
class Line:
    """One model's values over the gates; ``path`` joins neighbouring ones, and breaks where a gate has none."""

    role: str
    path: str
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class HistoryPlot:
    """A metric over the gates, oldest on the left. All places are pixels of a picture ``WIDTH`` by ``HEIGHT``.
    ``newest`` is what the newest gate measured of its candidate, "" where it measured nothing. ``spans``: the
    candidate's intervals, as x, upper and lower end, where they are known. ``bound``: where a rule's lies."""

    width: ClassVar[int] = WIDTH
    height: ClassVar[int] = HEIGHT
    left: ClassVar[int] = _LEFT

    metric: str
    newest: str
    lines: tuple[Line, ...]
    ticks: tuple[tuple[float, str], ...]
    versions: tuple[tuple[float, str], ...]
    description: str
    spans: tuple[tuple[float, float, float], ...] = ()
    bound: tuple[float, str] | None = None


def plotted_metrics(decisions: Sequence[PastDecision]) -> tuple[str, ...]:
    """What rules spoke of, newest gate first; else what the candidate was measured by."""
    named = dict.fromkeys(name for one in reversed(decisions) for name in one.rule_metrics)
    if named:
        return tuple(named)
    return tuple(sorted({name for one in decisions for name in one.metrics if "/" not in name}))[:6]


def history_plot(
    decisions: Sequence[Gated], metric: str, *, called: str | None = None, bound: tuple[float, str] | None = None
) -> HistoryPlot | None:
    """None where no gate measured ``metric``, which MLflow may have under another name than it is ``called``.
    ``bound``: what a rule now compares it with, and how that is written."""
    called = called or metric
    values = {role: [_finite(one, _key(role, metric)) for one in decisions] for role in LINES}
    found = [value for line in values.values() for value in line if value is not None]
    if not found:
        return None
    spans = [(at, _finite(one, low_name(metric)), _finite(one, high_name(metric))) for at, one in enumerate(decisions)]
    known = [(at, low, high) for at, low, high in spans if low is not None and high is not None]
    extent = [*found, *(end for _, low, high in known for end in (low, high)), *([bound[0]] if bound else [])]
    low, high = min(extent), max(extent)
    room = (high - low) / 10 or abs(high) / 10 or 0.1
    low, high = low - room, high + room
    step = (WIDTH - _LEFT - _RIGHT) / max(1, len(decisions) - 1)

    def x(at: int) -> float:
        return round(_LEFT + at * step if len(decisions) > 1 else WIDTH / 2, 1)

    def y(value: float) -> float:
        return round(_TOP + (high - value) / (high - low) * (HEIGHT - _TOP - _BOTTOM), 1)

    lines: list[Line] = []
    for role, line in values.items():
        points = tuple(
            Point(x(at), y(value), one.decision, f"version {one.version}, {role}: {value:.4g} ({one.decision})")
            for at, (value, one) in enumerate(zip(line, decisions, strict=True))
            if value is not None
        )
        if points:
            lines.append(Line(role, _path([None if v is None else (x(at), y(v)) for at, v in enumerate(line)]), points))
    every = max(1, -(-len(decisions) // _MOST_LABELS))
    versions = tuple((x(at), f"v{one.version}") for at, one in enumerate(decisions) if at % every == 0)
    ticks = tuple((y(value), f"{value:.3g}") for value in dict.fromkeys((min(found), max(found))))
    drawn_bound = (y(bound[0]), bound[1]) if bound else None
    if drawn_bound:
        ticks = tuple(one for one in ticks if abs(one[0] - drawn_bound[0]) >= _LINE)
    first, last = (next((v for v in order if v is not None), None) for order in _ways(values["candidate"]))
    said = "" if first is None or last is None else f" The candidate's went from {first:.4g} to {last:.4g}."
    last = values["candidate"][-1]
    return HistoryPlot(
        called,
        "" if last is None else f"{last:.4g}",
        tuple(lines),
        ticks,
        versions,
        f"{called} over {len(decisions)} gates.{said}",
        tuple((x(at), y(high), y(low)) for at, low, high in known),
        drawn_bound,
    )


def _ways(values: list[float | None]) -> tuple[list[float | None], list[float | None]]:
    return values, values[::-1]


def _finite(one: Gated, name: str) -> float | None:
    """Anybody can log to an experiment, NaN too."""
    value = one.metrics.get(name)
    return value if value is not None and math.isfinite(value) else None


def _key(role: str, metric: str) -> str:
    return metric if role == "candidate" else f"{role}/{metric}"


def _path(places: Sequence[tuple[float, float] | None]) -> str:
    steps: list[str] = []
    pen_down = False
    for place in places:
        if place is not None:
            steps.append(f"{'L' if pen_down else 'M'}{place[0]:g} {place[1]:g}")
        pen_down = place is not None
    return " ".join(steps)
