"""What an evaluator shows besides numbers. Kept beside the record, shown in the report, and never decided by.

    Table("Leaked examples", "Rows of the holdout that lie in the training file", ("holdout", "train"), (("7", "12"),))

Cells and tokens may be model output: every text is hostile until the report has made it inert.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

MAX_ROWS = 100
"""Rows of one table that are kept; ``Table.of`` counts the others."""

MAX_TEXT = 1_000
"""Characters of one cell that are kept."""

Cell = str | int | float | None


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a title. ``note`` says in a sentence how to read them, ``left_out`` how many there were beyond."""

    title: str
    note: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    left_out: int = 0
    kind: Literal["table"] = "table"

    @staticmethod
    def of(title: str, note: str, columns: Iterable[str], rows: Iterable[Iterable[Cell]]) -> Table:
        """The first ``MAX_ROWS`` rows, long texts cut with an ellipsis."""
        every = [tuple(_cut(cell) for cell in row) for row in rows]
        return Table(title, note, tuple(columns), tuple(every[:MAX_ROWS]), max(0, len(every) - MAX_ROWS))


@dataclass(frozen=True, slots=True)
class HeatRow:
    """One text cut into tokens, with the weight of each: 0 is neutral, below 0 against. Equally long."""

    label: str
    tokens: tuple[str, ...]
    weights: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Texts whose tokens are coloured by weight, relative to the largest absolute weight of each row."""

    title: str
    note: str
    rows: tuple[HeatRow, ...]
    left_out: int = 0
    kind: Literal["heat_map"] = "heat_map"


@dataclass(frozen=True, slots=True)
class Advice:
    """A sentence on what could be done about what was found."""

    text: str
    kind: Literal["advice"] = "advice"


Finding = Table | HeatMap | Advice


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything found in a run, by the evaluator's title."""

    by_evaluator: Mapping[str, tuple[Finding, ...]] = field(default_factory=dict[str, tuple[Finding, ...]])


def _cut(cell: Cell) -> Cell:
    if isinstance(cell, str) and len(cell) > MAX_TEXT:
        return cell[: MAX_TEXT - 1] + "\u2026"
    return cell
