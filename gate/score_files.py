"""The score table on disk: one long Parquet file, written atomically.

Columns: ``evaluator, example_id, role, component, value, reason, group``, and one ``slice.NAME`` per slice column.
Read it with any tool: ``pandas.read_parquet("scores.parquet").query("component == 'correct'")``.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, cast

from finetune_gate.evaluators.errors import EvaluationError, Problem
from finetune_gate.evaluators.scores import ScoreRow, ScoreTable

from .record import write_bytes_atomically

_SLICE = "slice."


def write_scores(table: ScoreTable, path: Path) -> int:
    """Write all rows; returns their number."""
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    rows = list(table.rows())
    slices = sorted({column for row in rows for column in row.slices})
    columns: dict[str, list[object]] = {
        name: [getattr(row, name) for row in rows]
        for name in ("evaluator", "example_id", "role", "component", "value", "reason", "group")
    }
    columns |= {f"{_SLICE}{name}": [row.slices.get(name) for row in rows] for name in slices}
    fields = [(name, arrow.float64() if name == "value" else arrow.string()) for name in columns]
    built = cast("Any", arrow).table(columns, schema=arrow.schema(fields))
    buffer = io.BytesIO()
    parquet.write_table(built, buffer, compression="zstd")  # pyright: ignore[reportUnknownMemberType]
    write_bytes_atomically(path, buffer.getvalue())
    return len(rows)


def read_scores(path: Path) -> ScoreTable:
    """Raises EvaluationError where ``path`` is no score table."""
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    try:
        rows = cast("list[dict[str, Any]]", parquet.read_table(path).to_pylist())  # pyright: ignore[reportUnknownMemberType]
        return ScoreTable.from_rows(
            ScoreRow(
                row["evaluator"],
                row["example_id"],
                row["role"],
                row["component"],
                row["value"],
                row["reason"],
                row["group"],
                {
                    name.removeprefix(_SLICE): value
                    for name, value in row.items()
                    if name.startswith(_SLICE) and value is not None
                },
            )
            for row in rows
        )
    except (OSError, arrow.ArrowException, KeyError) as error:
        raise EvaluationError(Problem(str(path), f"{error}", "a score table written by finetune-gate")) from error
