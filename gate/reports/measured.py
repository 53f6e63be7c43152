"""Every measurement in a terminal: a table, or lines where a table would cut numbers."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ..record import DecisionRecord
from .inert import inert_text
from .rows import NOT_MEASURED, Change, Figure, MeasurementRow, families_of, rows_of_measurements

_LEAST_FOR_TABLE = 76


def measurements(record: DecisionRecord, width: int) -> RenderableType:
    """By evaluator, one row per metric and baseline, in ``width`` columns."""
    rows = rows_of_measurements(record)
    reasons: list[str] = []
    for row in rows:
        reasons += [one.reason for one in (row.candidate, *row.baselines.values(), *(c.figure for c in row.changes))]
    notes = [Text(f"{NOT_MEASURED}: {reason}", style="dim") for reason in dict.fromkeys(reasons) if reason]
    body = _table(rows) if width >= _LEAST_FOR_TABLE else _lines(rows)
    return Group(Text("Measurements", style="bold"), Text(""), body, *([Text("")] if notes else []), *notes)


def emphasised(figure: Figure, decisive: bool) -> Text:
    """``+0.074 [+0.030, +0.121]``, the value bold where a rule looks at it."""
    if not figure.interval:
        return Text(figure.value)
    return Text.assemble((figure.value, "bold" if decisive else ""), f" {figure.interval}")


def _table(rows: Sequence[MeasurementRow]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column(Text("metric"), overflow="fold", min_width=12)
    table.add_column(Text("candidate"), justify="right", overflow="fold")
    table.add_column(Text("against"), overflow="fold")
    table.add_column(Text("value"), justify="right", overflow="fold")
    table.add_column(Text("difference [low, high]"), overflow="fold")
    for family, members in families_of(rows).items():
        table.add_row(Text(inert_text(family, limit=80), style="bold"))
        for row in members:
            _add(table, row)
    return table


def _add(table: Table, row: MeasurementRow) -> None:
    """One line per baseline; the slice stands under the metric's name."""
    lines = [Text(f"  {_name(row)}")]
    if row.slice:
        lines.append(Text(f"    {inert_text(row.slice, limit=120)}", style="dim"))
    changes = row.changes or (Change("", Figure("")),)
    if len(changes) < len(lines):
        lines = [Text("\n").join(lines)]
    for index, change in enumerate(changes):
        table.add_row(
            lines[index] if index < len(lines) else Text(""),
            _short(row.candidate) if index == 0 else Text(""),
            Text(inert_text(change.against, limit=40)),
            _short(row.baselines.get(change.against, Figure(""))),
            emphasised(change.figure, decisive=False),
        )


def _lines(rows: Sequence[MeasurementRow]) -> Group:
    """A line for each number, which wraps."""
    lines: list[RenderableType] = []
    for family, members in families_of(rows).items():
        lines.append(Text(inert_text(family, limit=80), style="bold"))
        for row in members:
            on = f" on {inert_text(row.slice, limit=120)}" if row.slice else ""
            lines.append(Text.assemble(f"  {_name(row)}{on} ", _short(row.candidate)))
            for change in row.changes:
                against = inert_text(change.against, limit=40)
                own = row.baselines.get(change.against, Figure("")).value
                lines.append(Text(f"    {against} {own}".rstrip(), style="dim"))
                lines.append(Text.assemble("    ", emphasised(change.figure, decisive=False)))
    return Group(*lines)


def _name(row: MeasurementRow) -> str:
    return inert_text(row.measurement.metric.partition(".")[2], limit=80)


def _short(figure: Figure) -> Text:
    return Text("-" if figure.reason else figure.value)
