"""Datasets: rows with stable ids, read from JSONL, CSV or Parquet and pinned by the digest of the file.

    holdout = load_dataset("holdout", DatasetSource(path="data/holdout.jsonl"), folder=Path("."))
    holdout.examples[0].id, holdout.examples[0].row["text"]

Every fault is reported with file, physical line, what was found and what was expected; up to 20 at once.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from pydantic import BaseModel, ConfigDict, Field

from .drawing import drawn
from .errors import DatasetError, Problem

MAX_PROBLEMS = 20
MAX_FILE_BYTES = 4 * 2**30
MAX_FIELD_BYTES = 16 * 2**20
_SURROGATE = re.compile("[\ud800-\udfff]")
TABLES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".pq")
Cell = str | int | float | bool | list[object] | dict[str, object] | None
Row = Mapping[str, Cell]


class DatasetSource(BaseModel):
    """Where a dataset lies and which of its columns have a meaning for every evaluator.

    ``id`` names the column of stable ids; without one, an id is made from the row's content, so that added rows
    never rename old ones. Rows that share a ``group`` (a customer, a document) are not independent: intervals take
    them as one cluster. ``category`` is the default column to slice by.

    A ``path`` that is a folder stands for all tables in it, one below the other: a column ``file`` says where a row
    comes from, and ids are made from content, since each file may count anew. Which rows a ``sample`` takes depends on
    seed and ids alone, so that added rows displace few of those taken before.

    An ``optional`` file may still be missing or empty, as ratings are before anyone has rated: then there are no rows.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    path: str = Field(
        min_length=1, description="JSONL, CSV or Parquet file, or a folder of them, relative to the gate file"
    )
    id: str = Field(default="id", description="column of stable example ids")
    group: str = Field(default="group", description="column of clusters of dependent examples")
    category: str = Field(default="category", description="column of categories")
    sample: int | None = Field(default=None, ge=1, description="take so many rows, chosen by seed and id")
    seed: int = Field(default=0, ge=0, lt=2**32, description="seed of the sample")
    optional: bool = Field(default=False, description="the file may be missing or empty, as ratings are at first")


@dataclass(frozen=True, slots=True)
class Example:
    """One row: ``row`` holds every column as it was read."""

    id: str
    row: Row
    group: str | None = None
    category: str | None = None

    def slice_value(self, column: str) -> str | None:
        """What a rule's ``slice`` compares with: ``category`` is the dataset's category column, whatever its name."""
        value = self.category if column == "category" else self.row.get(column)
        return None if value is None else str(value)


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset in memory. ``digest`` is the SHA-256 of the file, as ``sha256sum`` prints it, whatever was sampled of
    it; of a folder it is over the names and digests of its tables."""

    name: str
    path: Path
    digest: str
    columns: tuple[str, ...]
    examples: tuple[Example, ...]


def load_dataset(name: str, source: DatasetSource, folder: Path) -> Dataset:
    """Read ``source`` (relative to ``folder``). Raises DatasetError with every fault found. An optional dataset without
    rows has no columns, and where there is no file the digest of no bytes."""
    if "\0" in source.path:
        raise DatasetError(Problem(f"data.{name}", f"a path with a NUL in it: {source.path!r}", "a file's path"))
    path = folder / source.path
    where = f"data.{name} ({path})"
    if path.is_dir():
        digest, rows = _folder_rows(path, where, source.optional)
    else:
        content = _read_bytes(path, where, source.optional)
        rows = [] if source.optional and not content else _rows(path, content, where)
        digest = hashlib.sha256(content).hexdigest()
    if not rows:
        if source.optional:
            return Dataset(name, path, digest, (), ())
        raise DatasetError(Problem(where, "no rows", "at least one example"))
    columns = tuple(dict.fromkeys(column for _, row in rows for column in row))
    for role, column in (("id", source.id), ("group", source.group), ("category", source.category)):
        if role in source.model_fields_set and column not in columns:
            raise DatasetError(
                Problem(where, f"no column {column!r} (named as the {role} column)", f"one of {', '.join(columns)}")
            )
    has_ids = not path.is_dir() and source.id in columns
    examples = _examples(rows, source, has_ids, where)
    return Dataset(name, path, digest, columns, _sampled(examples, source))


def _sampled(examples: tuple[Example, ...], source: DatasetSource) -> tuple[Example, ...]:
    """Those that seed and id draw, in their own order."""
    most = len(examples) if source.sample is None else source.sample
    taken = drawn((f"{source.seed} {example.id}" for example in examples), most)
    return tuple(example for example in examples if f"{source.seed} {example.id}" in taken)


def _folder_rows(folder: Path, where: str, optional: bool) -> tuple[str, list[tuple[str, Row]]]:
    """All rows of all tables in ``folder``, by path, and a digest of names and contents. Hidden files are left out."""
    found: list[tuple[str, Row]] = []
    digest = hashlib.sha256()
    left = MAX_FILE_BYTES
    for path in sorted(folder.rglob("*"), key=lambda path: path.relative_to(folder).as_posix()):
        name = path.relative_to(folder).as_posix()
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if hidden or path.suffix.lower() not in TABLES or not path.is_file():
            continue
        content = _read_bytes(path, f"{where} {name}")
        left -= len(content)
        if left < 0:
            raise DatasetError(Problem(where, "its tables are larger than 4 GiB", "a sample that a gate can evaluate"))
        digest.update(f"{name}\0{hashlib.sha256(content).hexdigest()}\n".encode("utf-8", "surrogateescape"))
        rows = _rows(path, content, f"{where} {name}")
        found += [(f"{name} {place}", {**row, "file": name}) for place, row in rows]
    if not found and not optional:
        raise DatasetError(Problem(where, "a folder without a table in it", f"files that end in {', '.join(TABLES)}"))
    return digest.hexdigest(), found


def _read_bytes(path: Path, where: str, optional: bool = False) -> bytes:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise DatasetError(Problem(where, "file is larger than 4 GiB", "a sample that a gate can evaluate"))
        return path.read_bytes()
    except FileNotFoundError:
        if optional:
            return b""
        way_out = "paths are relative to the gate file's folder"
        raise DatasetError(Problem(where, "file does not exist", "a JSONL, CSV or Parquet file", way_out)) from None
    except OSError as error:
        raise DatasetError(Problem(where, f"cannot be read: {error.strerror or error}")) from error


def _rows(path: Path, content: bytes, where: str) -> list[tuple[str, Row]]:
    """Rows with the place each came from, such as ``line 12``."""
    kind = path.suffix.lower()
    if kind in {".jsonl", ".ndjson", ".json"}:
        return _json_rows(content, where)
    if kind in {".csv", ".tsv"}:
        return _csv_rows(content, where, delimiter="," if kind == ".csv" else "\t")
    if kind in {".parquet", ".pq"}:
        return _parquet_rows(content, where)
    raise DatasetError(Problem(where, f"unknown kind of file {kind!r}", ".jsonl, .csv, .tsv or .parquet"))


def _text(content: bytes, where: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DatasetError(
            Problem(f"{where} line {line}", f"byte 0x{content[error.start]:02x} is not UTF-8", "UTF-8 text")
        ) from None


def _json_rows(content: bytes, where: str) -> list[tuple[str, Row]]:
    problems: list[Problem] = []
    rows: list[tuple[str, Row]] = []
    for number, line in enumerate(_text(content, where).split("\n"), start=1):
        if not line.strip():
            continue
        place = f"{where} line {number}"
        try:
            value: object = json.loads(line, parse_constant=_refuse_constant, object_pairs_hook=_no_duplicates)
        except (ValueError, RecursionError) as error:
            problems.append(Problem(place, f"not JSON: {error}", 'one JSON object per line, {"id": ..., "text": ...}'))
        else:
            if isinstance(value, dict):
                rows.append((f"line {number}", cast("Row", value)))
            else:
                problems.append(Problem(place, f"a JSON {type(value).__name__}", "a JSON object"))
        if len(problems) >= MAX_PROBLEMS:
            break
    if problems:
        raise DatasetError(*problems)
    return rows


def _refuse_constant(constant: str) -> object:
    raise ValueError(f"{constant} is not a JSON value")


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    for key, count in Counter(key for key, _ in pairs).items():
        if count > 1:
            raise ValueError(f"key {key!r} occurs {count} times")
    return dict(pairs)


def _csv_rows(content: bytes, where: str, delimiter: str) -> list[tuple[str, Row]]:
    csv.field_size_limit(MAX_FIELD_BYTES)
    reader = csv.reader(io.StringIO(_text(content, where), newline=""), delimiter=delimiter, strict=True)
    problems: list[Problem] = []
    rows: list[tuple[str, Row]] = []
    try:
        header = next(reader, list[str]())
        repeated = [column for column, count in Counter(header).items() if count > 1]
        if repeated:
            raise DatasetError(Problem(f"{where} line 1", f"column {repeated[0]!r} occurs twice", "unique names"))
        for cells in reader:
            if not cells:
                continue
            if len(cells) != len(header):
                place = f"{where} line {reader.line_num}"
                problems.append(Problem(place, f"{len(cells)} fields", f"{len(header)}: {', '.join(header)}"))
                if len(problems) >= MAX_PROBLEMS:
                    break
                continue
            rows.append((f"line {reader.line_num}", dict(zip(header, cells, strict=True))))
    except csv.Error as error:
        problems.append(Problem(f"{where} line {reader.line_num}", f"not CSV: {error}", "comma-separated values"))
    if problems:
        raise DatasetError(*problems)
    return rows


def _parquet_rows(content: bytes, where: str) -> list[tuple[str, Row]]:
    from .parquet import read_parquet

    try:
        rows: list[Row] = [*read_parquet(content)]
    except ValueError as error:
        raise DatasetError(Problem(where, f"not a Parquet file: {error}")) from error
    return [(f"row {number}", row) for number, row in enumerate(rows, start=1)]


def _examples(rows: list[tuple[str, Row]], source: DatasetSource, has_ids: bool, where: str) -> tuple[Example, ...]:
    problems = list(_non_finite(rows, where))
    seen: dict[str, str] = {}
    made: Counter[str] = Counter()
    contents: list[str] = []
    examples: list[Example] = []
    for place, row in rows:
        if has_ids:
            value = row.get(source.id)
            if value is None or isinstance(value, (list, dict, bool, float)) or not str(value).strip():
                problems.append(Problem(f"{where} {place}", f"{source.id}={value!r}", "a text or whole number as id"))
                continue
            example_id = str(value)
            if example_id in seen:
                way_out = "ids must be unique: comparisons are paired by them"
                problems.append(
                    Problem(
                        f"{where} {place}", f"duplicate id {example_id!r}, first at {seen[example_id]}", "", way_out
                    )
                )
                continue
            seen[example_id] = place
            contents.append("")
        else:
            content = json.dumps(row, sort_keys=True, ensure_ascii=False, default=str)
            example_id = hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:12]
            made[example_id] += 1
            contents.append(example_id)
            if made[example_id] > 1:
                example_id = f"{example_id}#{made[example_id]}"
        examples.append(Example(example_id, row, _optional(row, source.group), _optional(row, source.category)))
    if problems:
        raise DatasetError(*problems[:MAX_PROBLEMS])
    # the same row twice is not two pieces of evidence
    return tuple(
        replace(example, group=f"same as {content}") if made[content] > 1 and example.group is None else example
        for example, content in zip(examples, contents, strict=True)
    )


def _optional(row: Row, column: str) -> str | None:
    value = row.get(column)
    return None if value is None or not str(value).strip() else str(value)


def _non_finite(rows: list[tuple[str, Row]], where: str) -> Iterator[Problem]:
    for place, row in rows:
        for column, value in row.items():
            if isinstance(value, float) and not math.isfinite(value):
                yield Problem(f"{where} {place}", f"{column}={value}", "a finite number, or null for no value")
            elif isinstance(value, str) and _SURROGATE.search(value):
                yield Problem(f"{where} {place}", f"{column!a} holds half a surrogate pair", "Unicode text")
