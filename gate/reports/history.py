"""Decisions on a model over time: a line for each, and a picture of every metric that a rule spoke of.

Path("history.html").write_text(render_history("support-bot", decisions), encoding="utf-8")
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ..history import PastDecision, PastMove, became_of
from .html import page_environment, page_style
from .rows import DECISION_MARKS

WIDTH, HEIGHT = 560, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 72, 20, 16, 34
_MOST_LABELS = 10
LINES = ("candidate", "base", "champion")

_MARKS: Final = dict[str, str](DECISION_MARKS.items())
_TONES: Final[Mapping[str, str]] = {"promote": "passed", "block": "failed", "hold": "inconclusive"}
"""Mark and style of a decision; a tag that says anything else has none."""


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
    ``newest`` is what the newest gate measured of its candidate, "" where it measured nothing."""

    metric: str
    newest: str
    lines: tuple[Line, ...]
    ticks: tuple[tuple[float, str], ...]
    versions: tuple[tuple[float, str], ...]
    description: str


def plotted_metrics(decisions: Sequence[PastDecision]) -> tuple[str, ...]:
    """What rules spoke of, newest gate first; else what the candidate was measured by."""
    named = dict.fromkeys(name for one in reversed(decisions) for name in one.rule_metrics)
    if named:
        return tuple(named)
    return tuple(sorted({name for one in decisions for name in one.metrics if "/" not in name}))[:6]


def history_plot(decisions: Sequence[PastDecision], metric: str) -> HistoryPlot | None:
    """None where no gate measured ``metric``."""
    values = {role: [one.metrics.get(_key(role, metric)) for one in decisions] for role in LINES}
    found = [value for line in values.values() for value in line if value is not None]
    if not found:
        return None
    low, high = min(found), max(found)
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
    first, last = (next((v for v in order if v is not None), None) for order in _ways(values["candidate"]))
    said = "" if first is None or last is None else f" The candidate's went from {first:.4g} to {last:.4g}."
    last = values["candidate"][-1]
    return HistoryPlot(
        metric,
        "" if last is None else f"{last:.4g}",
        tuple(lines),
        ticks,
        versions,
        f"{metric} over {len(decisions)} gates.{said}",
    )


def render_history(
    model: str, decisions: Sequence[PastDecision], metrics: Sequence[str] = (), moves: Sequence[PastMove] = ()
) -> str:
    """One self-contained page: no script, no remote asset. ``metrics``: those to draw, as MLflow names them."""
    plots = [history_plot(decisions, metric) for metric in metrics or plotted_metrics(decisions)]
    return page_environment().get_template("history.html").render(
        css=page_style(),
        model=model,
        decisions=[(one, _MARKS.get(one.decision, ""), _TONES.get(one.decision, "")) for one in reversed(decisions)],
        moves=[(one, became_of(one)) for one in reversed(moves)],
        plots=[plot for plot in plots if plot is not None],
        width=WIDTH,
        height=HEIGHT,
        left=_LEFT,
    )  # fmt: skip


def _ways(values: list[float | None]) -> tuple[list[float | None], list[float | None]]:
    return values, values[::-1]


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
