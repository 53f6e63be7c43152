"""Parquet in memory: rows from bytes, bytes from columns. The only place that touches pyarrow."""

# pyarrow ships no type stubs; this file is the border behind which everything is typed
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

_BATCH = 256
"""Rows that are in memory at once where they are read one after the other."""


def read_parquet(content: bytes) -> list[dict[str, Any]]:
    """All rows. Raises ValueError where ``content`` is no Parquet file."""
    import pyarrow
    import pyarrow.parquet

    try:
        rows: list[dict[str, Any]] = pyarrow.parquet.read_table(pyarrow.BufferReader(content)).to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(str(error)) from error
    return rows


def parquet_rows(content: bytes, *, most_bytes: int) -> Iterator[dict[str, Any]]:
    """Row after row, so that a reader can stop. Raises ValueError where ``content`` is no Parquet file, or where its
    rows come to more than ``most_bytes``."""
    import pyarrow
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(pyarrow.BufferReader(content))
        for batch in file.iter_batches(batch_size=_BATCH):
            most_bytes -= batch.nbytes
            if most_bytes < 0:
                raise ValueError("more in it than is read")
            yield from batch.to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(str(error)) from error


def write_parquet(columns: Mapping[str, tuple[Literal["text", "number"], Sequence[object]]]) -> bytes:
    """``write_parquet({"id": ("text", ["a"]), "value": ("number", [0.5])})``; None is null in both kinds."""
    import pyarrow
    import pyarrow.parquet

    kinds = {"text": pyarrow.string(), "number": pyarrow.float64()}
    schema = pyarrow.schema([(name, kinds[kind]) for name, (kind, _) in columns.items()])
    table = pyarrow.table({name: values for name, (_, values) in columns.items()}, schema=schema)
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()
