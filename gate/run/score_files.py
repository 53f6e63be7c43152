"""The score table on disk: one long Parquet file, written atomically.

Columns: ``evaluator, example_id, role, component, value, reason, group``, and one ``slice.NAME`` per slice column.
Read it with any tool: ``pandas.read_parquet("scores.parquet").query("component == 'correct'")``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from finetune_gate.evaluators.errors import EvaluationError, Problem
from finetune_gate.evaluators.parquet import read_parquet, write_parquet
from finetune_gate.evaluators.scores import ScoreRow, ScoreTable

from ..record import write_bytes_atomically

_COLUMNS = ("evaluator", "example_id", "role", "component", "value", "reason", "group")
_SLICE = "slice."


def write_scores(table: ScoreTable, path: Path) -> int:
    """Write all rows; returns their number."""
    rows = list(table.rows())
    slices = sorted({column for row in rows for column in row.slices})
    columns: dict[str, tuple[Literal["text", "number"], list[object]]] = {
        name: ("number" if name == "value" else "text", [getattr(row, name) for row in rows]) for name in _COLUMNS
    }
    columns |= {f"{_SLICE}{name}": ("text", [row.slices.get(name) for row in rows]) for name in slices}
    write_bytes_atomically(path, write_parquet(columns))
    return len(rows)


def read_scores(path: Path) -> ScoreTable:
    """Raises EvaluationError where ``path`` is no score table."""
    try:
        return ScoreTable.from_rows(
            ScoreRow(
                *(row[name] for name in _COLUMNS),
                slices={
                    name.removeprefix(_SLICE): value
                    for name, value in row.items()
                    if name.startswith(_SLICE) and value is not None
                },
            )
            for row in read_parquet(path.read_bytes())
        )
    except (OSError, ValueError, KeyError) as error:
        raise EvaluationError(Problem(str(path), f"{error}", "a score table written by finetune-gate")) from error
