"""Findings as the page draws them: tables, heat maps, advice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from finetune_gate.evaluators.findings import Advice, Cell, Findings, HeatMap, HeatRow, Table

SEEN_AT_ONCE = 10
"""Rows of a table that need no click."""

SHADES = 5
"""How many strengths a heat map has on either side of neutral."""


@dataclass(frozen=True, slots=True)
class Shaded:
    """A token and its shade, ``p1`` to ``p5`` for and ``n1`` to ``n5`` against; empty where it is neutral."""

    token: str
    shade: str


@dataclass(frozen=True, slots=True)
class DrawnRow:
    label: str
    tokens: tuple[Shaded, ...]


@dataclass(frozen=True, slots=True)
class DrawnCell:
    """``number``: set with the digits of its column one below the other."""

    text: str
    number: bool


@dataclass(frozen=True, slots=True)
class DrawnTable:
    """``first`` rows are seen at once, the ``others`` when they are asked for."""

    table: Table
    first: tuple[tuple[DrawnCell, ...], ...]
    others: tuple[tuple[DrawnCell, ...], ...]


@dataclass(frozen=True, slots=True)
class Drawn:
    """What one evaluator found, by kind, in its order."""

    advice: tuple[str, ...]
    tables: tuple[DrawnTable, ...]
    heat_maps: tuple[tuple[HeatMap, tuple[DrawnRow, ...]], ...]


def drawn(findings: Findings) -> Mapping[str, Drawn]:
    return {
        title: Drawn(
            tuple(one.text for one in found if isinstance(one, Advice)),
            tuple(_drawn_table(one) for one in found if isinstance(one, Table)),
            tuple((one, tuple(_shaded(row) for row in one.rows)) for one in found if isinstance(one, HeatMap)),
        )
        for title, found in findings.by_evaluator.items()
    }


def _drawn_table(table: Table) -> DrawnTable:
    rows = tuple(tuple(_drawn_cell(cell) for cell in row) for row in table.rows)
    return DrawnTable(table, rows[:SEEN_AT_ONCE], rows[SEEN_AT_ONCE:])


def _drawn_cell(cell: Cell) -> DrawnCell:
    if cell is None or isinstance(cell, str):
        return DrawnCell(cell or "", False)
    return DrawnCell(_number(cell), True)


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _shaded(row: HeatRow) -> DrawnRow:
    most = max((abs(weight) for weight in row.weights), default=0.0)
    pairs = zip(row.tokens, row.weights, strict=False)  # a file that was tampered with may hold anything
    return DrawnRow(row.label, tuple(Shaded(token, _shade(weight, most)) for token, weight in pairs))


def _shade(weight: float, most: float) -> str:
    strength = round(SHADES * abs(weight) / most) if most else 0
    return f"{'p' if weight > 0 else 'n'}{strength}" if strength else ""
