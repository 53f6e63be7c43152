"""What a store holds: for people who look, and for those who want to make room."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .database import PAGE, integrity_fault, set_aside
from .encoding import model_number
from .store import AnswerStore, believed, transaction

_ROWS = 500


@dataclass(frozen=True, slots=True)
class ModelContents:
    """One model's part of a store. Times in seconds since 1970; ``bytes`` is an estimate. ``digest`` and ``label`` are
    None where damage took them: its answers are found all the same."""

    number: int
    digest: str | None
    label: str | None
    answers: int
    bytes: int
    first_written: int
    last_written: int
    last_used: int


@dataclass(frozen=True, slots=True)
class Contents:
    """``disk_bytes``: the store with its log and what was set aside; ``damaged``: files that were set aside."""

    path: Path
    disk_bytes: int
    answers: int
    models: tuple[ModelContents, ...]
    damaged: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Checked:
    """How many entries were looked at, how many did not check out and were removed, and what SQLite said about the
    file, if it was damaged and had to be replaced."""

    answers: int
    removed: int
    mended: str | None


def contents(store: AnswerStore) -> Contents:
    """What ``store`` holds, by model; the most recently used first."""
    query = (
        "select e.model, m.digest, m.label, count(*), sum(e.size), min(e.written), max(e.written), max(e.used) "
        "from entries e left join models m on m.id = e.model group by e.model order by max(e.used) desc, e.model"
    )
    rows = store.run(lambda connection: connection.execute(query).fetchall())
    models = tuple(_model(*row) for row in rows)
    damaged = tuple(set_aside(store.path))
    files = [store.path, store.path.with_name(store.path.name + "-wal"), *damaged]
    disk = sum(file.stat().st_size for file in files if file.exists())
    return Contents(store.path, disk, sum(model.answers for model in models), models, damaged)


def _model(
    number: int, digest: str | None, label: str | None, answers: int, size: int, first: int, last: int, used: int
) -> ModelContents:
    if digest is None or model_number(digest) != number:  # a digest that is not its number's was damaged
        digest = label = None
    return ModelContents(number, digest, label, answers, size, first, last, used)


def check(store: AnswerStore) -> Checked:
    """Look at every entry and at the whole file; remove what does not check out, replace the file if it is damaged.
    Raises EvaluationError where it would have to be replaced while others use it."""
    fault = store.run(integrity_fault)
    if fault is not None:
        store.mend(fault)
    answers = removed = 0
    for rows in _all_rows(store):
        unsound = [row[0] for row in rows if believed(*row[1:]) is None]
        if unsound:
            store.run(lambda connection, numbers=unsound: _remove(connection, numbers))
        answers += len(rows)
        removed += len(unsound)
    return Checked(answers, removed, fault)


def live_bytes(connection: sqlite3.Connection) -> int:
    """What a store's entries take in its file, free pages not counted."""
    pages: int = connection.execute("pragma page_count").fetchone()[0]
    free: int = connection.execute("pragma freelist_count").fetchone()[0]
    return (pages - free) * PAGE


def _all_rows(store: AnswerStore) -> Iterator[list[tuple[int, object, object, object, object]]]:
    query = f"select id, address, model, content, checksum from answers where id > ? order by id limit {_ROWS}"
    after = -(1 << 62)
    while rows := store.run(lambda connection, after=after: connection.execute(query, (after,)).fetchall()):
        yield rows
        after = rows[-1][0]


def _remove(connection: sqlite3.Connection, numbers: list[int]) -> None:
    with transaction(connection):
        for table in ("answers", "entries"):
            connection.executemany(f"delete from {table} where id = ?", [(number,) for number in numbers])
