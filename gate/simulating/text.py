"""A simulation for people, in a terminal of 80 columns as well as one of 40.

print_simulation(found)                          # to the screen, as wide as it is
text = render_simulation(found, width=100)       # for files and tests
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ..deciding import Outcome
from ..progress import duration_text
from ..reports.inert import inert_text
from ..reports.screens import as_text
from .terms import Point, Rate, RulePoint, SimulatedRule, Simulation

NARROWEST, WIDEST = 40, 140
_GAP = 2


def render_simulation(found: Simulation, *, width: int = 80, color: bool = False) -> str:
    """The whole of it as text, without a line break at its end."""
    return as_text(lambda screen: _print(screen, found), width=_bounded(width), color=color)


def print_simulation(found: Simulation, *, console: Console | None = None) -> None:
    """To standard output (or ``console``), in colour where it is a terminal that wants it."""
    _print(console or Console(), found)


def _print(screen: Console, found: Simulation) -> None:
    """What is not simulated comes before any number: it is what the numbers leave out."""
    width = _bounded(screen.width)
    parts = [
        _head(found),
        *([_assumed(found)] if found.assumed else []),
        _verdicts(found.points, width),
        _lines("In words", found.sentences),
        *(_rule(at, rule, found, width) for at, rule in enumerate(found.rules)),
        *([_lines("Warnings", found.warnings)] if found.warnings else []),
        _lines("Assumed", found.assumptions, style="dim"),
        _lines("Notes", _NOTES, style="dim"),
    ]
    for index, part in enumerate(parts):
        if index:
            screen.print(width=width)
        screen.print(part, width=width)


_COLUMNS: Mapping[Outcome, str] = {
    "passed": "passed",
    "failed": "failed",
    "inconclusive": "open",
    "unmeasured": "unmeasured",
    "waived": "waived",
}
_RARE: tuple[Outcome, ...] = ("unmeasured", "waived")
_NOTES = (
    "difference: true improvement; 0.02 is 2 % of the range of what has bounds (2 points of a share), and 2 % of the "
    "value of what has none; truth: what the rule would see if it saw all",
    "open: the bound lies in the interval, so that the rule neither passes nor fails; ±: Monte Carlo standard error",
)


def _bounded(width: int) -> int:
    return min(max(width, NARROWEST), WIDEST)


def _head(found: Simulation) -> RenderableType:
    what = "no difference" if found.same else "candidates of known difference"
    return Group(
        Text.assemble(("Simulation", "bold"), f"  {inert_text(found.model, limit=300)}: {what}"),
        Text(inert_text(found.source, limit=300), style="dim"),
        Text(f"{found.worlds:,} worlds, seed {found.seed}, {duration_text(found.seconds)}", style="dim"),
    )


def _assumed(found: Simulation) -> RenderableType:
    lines = [f"{one.rule}: {one.reason}" for one in found.assumed]
    return _lines("NOT SIMULATED: taken as passed in all that follows", lines, style="yellow")


def _verdicts(points: Sequence[Point], width: int) -> RenderableType:
    names = ("promote", "hold", "block")
    header = ["difference", *(f"{name} %" for name in names)]
    rows = [[_difference(point), *(_with_error(point.verdicts[name]) for name in names)] for point in points]
    if any(point.looked < 1 for point in points):
        header.append("examples %")
        rows = [[*row, f"{100 * point.looked:.0f}"] for row, point in zip(rows, points, strict=True)]
    return Group(Text("Decisions", style="bold"), _grid(header, rows, width))


def _rule(at: int, rule: SimulatedRule, found: Simulation, width: int) -> RenderableType:
    seen = [point.rules[at] for point in found.points]
    shown = [name for one, name in _COLUMNS.items() if one not in _RARE or any(of.outcomes[one].share for of in seen)]
    rows = [
        (_difference(point), _truth(of), *(_share(of.outcomes[one]) for one, name in _COLUMNS.items() if name in shown))
        for point, of in zip(found.points, seen, strict=True)
    ]
    title = Text(f"{rule.index + 1}. {inert_text(rule.rule, limit=400)}", style="bold")
    title.append(f"  {rule.examples:,} examples", style="dim")
    if rule.severity == "warn":
        title.append(", warning only", style="dim")
    return Group(title, _grid(("difference", "truth", *(f"{name} %" for name in shown)), rows, width))


def _grid(header: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> RenderableType:
    """A table, or a few lines for each row where the rows are too wide: no number is cut."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    if sum(widths) + _GAP * len(widths) > width:
        lines = [
            f"{first}: " + ", ".join(f"{name} {value}" for name, value in zip(header[1:], rest, strict=True))
            for first, *rest in rows
        ]
        return Padding(Text("\n".join(lines)), (0, 0, 0, 2))
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="dim")
    for name in header:
        table.add_column(Text(name), justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, row))
    return Padding(table, (0, 0, 0, 2))


def _difference(point: Point) -> str:
    return f"{point.difference:+.4g}" if point.difference else "0"


def _truth(point: RulePoint) -> str:
    """Where it is another beside each baseline, or on each slice, from the least to the most."""
    values = sorted({one.value for one in point.truth})
    return " to ".join(dict.fromkeys(f"{one:.4g}" for one in (*values[:1], *values[-1:]))) or "unknown"


def _with_error(rate: Rate) -> str:
    return f"{100 * rate.share:.1f} ±{100 * rate.error:.1f}"


def _share(rate: Rate) -> str:
    return f"{100 * rate.share:.1f}"


def _lines(title: str, lines: Iterable[str], style: str = "") -> RenderableType:
    shown = Text("\n").join(Text(inert_text(line, limit=1000), style=style) for line in lines)
    return Group(Text(title, style="bold"), Padding(shown, (0, 0, 0, 2)))
