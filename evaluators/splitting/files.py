"""Some rows of a dataset's file, as a file of the same kind."""

# pyarrow ships no type stubs; behind this border everything is typed
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from typing import TypeVar

from ..datasets import Dataset
from ..errors import DatasetError, Problem

_Name = TypeVar("_Name")


def cut_file(dataset: Dataset, rows: Mapping[_Name, Sequence[int]]) -> dict[_Name, bytes]:
    """``cut_file(dataset, {"train": [0, 2], "test": [1]})``: the content of a file for each, rows in that order.

    Lines of JSONL stay as they are, byte by byte; of CSV the quoting may change, and nothing else; Parquet keeps its
    schema. Raises DatasetError where the file has changed since ``dataset`` was read.
    """
    content = dataset.path.read_bytes()
    if hashlib.sha256(content).hexdigest() != dataset.digest:
        raise DatasetError(Problem(str(dataset.path), "has changed while it was being split", "", "split it again"))
    kind = dataset.path.suffix.lower()
    if kind in (".parquet", ".pq"):
        return {name: _parquet(content, some) for name, some in rows.items()}
    if kind in (".csv", ".tsv"):
        return _csv(content, rows, delimiter="," if kind == ".csv" else "\t")
    lines = [line for line in content.decode("utf-8-sig").split("\n") if line.strip()]
    return {name: "".join(f"{lines[at]}\n" for at in some).encode() for name, some in rows.items()}


def _csv(content: bytes, rows: Mapping[_Name, Sequence[int]], delimiter: str) -> dict[_Name, bytes]:
    reader = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), delimiter=delimiter, strict=True)
    header = next(reader)
    records = [cells for cells in reader if cells]
    found: dict[_Name, bytes] = {}
    for name, some in rows.items():
        text = io.StringIO(newline="")
        csv.writer(text, delimiter=delimiter, lineterminator="\n").writerows([header, *(records[at] for at in some)])
        found[name] = text.getvalue().encode()
    return found


def _parquet(content: bytes, rows: Sequence[int]) -> bytes:
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(pyarrow.BufferReader(content))
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(table.take(pyarrow.array(rows, pyarrow.int64())), buffer, compression="zstd")
    return buffer.getvalue()
