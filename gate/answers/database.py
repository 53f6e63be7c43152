"""The file of an answer store: made whole, checked when it is opened, salvaged and replaced where it is damaged.

    connection, users = open_file(path, say)

A new file is built beside its place and moved there; so every file found was once complete, and what is not in order
is damage. A damaged file is set aside (``<name>.damaged-<time>``, the last one is kept) and every answer in it that
passes its checksum goes into a new one. Each step can be killed: the next process that opens the store goes on.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from finetune_gate.evaluators.errors import EvaluationError, Problem

from .locks import Users, opening
from .salvage import PAGE, salvaged_rows
from .saying import Say, inert
from .wal import wal_fault

LOCK_SECONDS: Final = 60.0
"""How long to wait for another process's transaction; none takes more than a fraction of a second."""

CHECKED_BYTES: Final = 32 << 20
"""Files up to this size are checked whole each time they are opened by the only user; others by ``check``."""

_APPLICATION: Final = 0x66744761
_LAYOUT: Final = 2
_SCHEMA: Final = {
    "answers": "CREATE TABLE answers (id integer primary key, address blob not null, model integer not null, "
    "written integer not null, content blob not null, checksum blob not null)",
    "answers_by_address": "CREATE UNIQUE INDEX answers_by_address on answers (address)",
    "entries": "CREATE TABLE entries (id integer primary key, model integer not null, size integer not null, "
    "written integer not null, used integer not null, place integer not null default 0)",
    "entries_by_use": "CREATE INDEX entries_by_use on entries (used)",
    "models": "CREATE TABLE models (id integer primary key, digest text not null, label text not null)",
    "packs": "CREATE TABLE packs (place integer not null, model integer not null, name text not null, "
    "primary key (place, model, name)) without rowid",
}
"""``answers`` alone holds answers; the rest is bookkeeping that can be lost. Rows of ``answers`` are appended in order,
so that a shard lies together, and each can be checked by itself."""

ADD_ANSWER: Final = (
    "insert into answers (address, model, written, content, checksum) values (?, ?, ?, ?, ?) on conflict (address) do "
    "update set model = excluded.model, written = excluded.written, content = excluded.content, "
    "checksum = excluded.checksum returning id"
)
ADD_ENTRY: Final = "insert or replace into entries (id, model, size, written, used, place) values (?, ?, ?, ?, ?, ?)"
_ENTRY_BYTES: Final = 230
"""Roughly what an entry takes on disk besides its content."""


def entry_size(content: bytes) -> int:
    return _ENTRY_BYTES + len(content)


def open_file(path: Path, say: Say) -> tuple[sqlite3.Connection, Users]:
    """A connection to the store at ``path``, in order, and this process's place among its users.

    Raises EvaluationError where it cannot be opened, or is damaged while others use it.
    """
    users = Users(path)
    try:
        with opening(path), errors(path):
            return _opened(path, users, say), users
    except BaseException:
        users.leave()
        raise


def mend_file(path: Path, users: Users, found: str, say: Say) -> sqlite3.Connection:
    """The same for a store whose own connection, closed by now, came upon damage: ``found``."""
    with opening(path), errors(path):
        if not users.alone():
            users.join()
            raise _in_use(path, found)
        _salvage(path, found, say)
        return _opened(path, users, say)


def _opened(path: Path, users: Users, say: Say) -> sqlite3.Connection:
    _finish_salvage(path)
    if not path.exists():
        for ending in ("-wal", "-shm"):
            path.with_name(path.name + ending).unlink(missing_ok=True)
        _create(path)
    alone = users.alone()
    fault = (_head_fault(path) or wal_fault(path)) if alone else None
    if fault is None:
        try:
            connection = _connected(path, alone)
            if _is_shared(connection):
                users.join()
            return connection
        except _Damaged as damaged:
            fault = str(damaged)
    if not alone:
        raise _in_use(path, fault)
    _salvage(path, fault, say)
    connection = _connected(path, alone)
    users.join()
    return connection


class _Damaged(Exception):
    """The file is not as SQLite, or this package, wrote it."""


def _connected(path: Path, alone: bool) -> sqlite3.Connection:
    """A connection to a file in order. On a full disk SQLite has no room for the memory that it shares with other
    processes: then without, which the only user can do. Raises _Damaged."""
    no_room = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)
    try:
        try:
            return _checked(path, "normal", alone)
        except sqlite3.OperationalError as error:
            if not alone or _code(error) not in no_room:
                raise
            return _checked(path, "exclusive", alone)
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        if not is_damage(error):
            raise
        raise _Damaged(str(error)) from error


def _checked(path: Path, locking: str, thorough: bool) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=LOCK_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        for setting in (f"locking_mode = {locking}", "synchronous = normal", "cell_size_check = on"):
            connection.execute(f"pragma {setting}")
        connection.text_factory = _text
        fault = _content_fault(connection, thorough)
    except BaseException:
        connection.close()
        raise
    if fault is not None:
        connection.close()
        raise _Damaged(fault)
    return connection


def _is_shared(connection: sqlite3.Connection) -> bool:
    return connection.execute("pragma locking_mode").fetchone() == ("normal",)


def _text(stored: bytes) -> str:
    """Damaged names are still names; answers are not kept as text."""
    return stored.decode("utf-8", "replace")


def _head_fault(path: Path) -> str | None:
    with path.open("rb") as file:
        head = file.read(100)
    in_order = (
        head[:16] == b"SQLite format 3\0"
        and head[16:20] == PAGE.to_bytes(2, "big") + bytes((2, 2))
        and head[21:24] == bytes((64, 32, 32))
        and head[44:48] == (4).to_bytes(4, "big")
        and head[56:72] == b"".join(number.to_bytes(4, "big") for number in (1, _LAYOUT, 1, _APPLICATION))
    )
    return None if in_order else "this is no answer store of this layout"


def _content_fault(connection: sqlite3.Connection, thorough: bool) -> str | None:
    found = dict(connection.execute("select name, sql from sqlite_master where sql is not null").fetchall())
    if found != _SCHEMA:
        return "its tables are not those of an answer store"
    pages: int = connection.execute("pragma page_count").fetchone()[0]
    return integrity_fault(connection) if thorough and pages * PAGE <= CHECKED_BYTES else None


def integrity_fault(connection: sqlite3.Connection) -> str | None:
    """What SQLite finds wrong with tables and indexes; the checksums of entries are not looked at."""
    try:
        said = str(connection.execute("pragma integrity_check(1)").fetchone()[0])
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        if not is_damage(error):
            raise
        said = str(error)
    return None if said == "ok" else " ".join(said.replace("*** in database main ***", "").split())


def is_damage(error: sqlite3.Error | UnicodeDecodeError) -> bool:
    """Whether SQLite says that the file is not as it wrote it. Its message can quote damaged names, which Python then
    cannot decode."""
    return isinstance(error, sqlite3.DataError | UnicodeDecodeError) or _code(error) in (
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
    )


def _code(error: Exception) -> int:
    """SQLite's primary result code; 0 for what Python itself raises."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _create(path: Path) -> None:
    new = path.with_name(path.name + ".new")
    _build(new, lambda connection: 0)
    os.replace(new, path)


def _build(path: Path, fill: Callable[[sqlite3.Connection], int]) -> int:
    _remove(path)
    try:
        return _built(path, fill)
    except BaseException:
        _remove(path)  # half a file only takes room
        raise


def _remove(path: Path) -> None:
    for ending in ("", "-journal", "-wal", "-shm"):
        path.with_name(path.name + ending).unlink(missing_ok=True)


def _built(path: Path, fill: Callable[[sqlite3.Connection], int]) -> int:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for setting in (f"page_size = {PAGE}", "auto_vacuum = incremental", f"user_version = {_LAYOUT}"):
            connection.execute(f"pragma {setting}")
        connection.execute(f"pragma application_id = {_APPLICATION}")
        connection.execute("begin immediate")
        for statement in _SCHEMA.values():
            connection.execute(statement)
        filled = fill(connection)
        connection.execute("commit")
        connection.execute("pragma journal_mode = wal")
    return filled


def _salvage(path: Path, found: str, say: Say) -> None:
    """Build the file that replaces a damaged one. From the move to ``.salvaged`` on, it is only put in place."""
    now = int(time.time())  # when each was used last is not known; what a run has just read must stay

    def fill(new: sqlite3.Connection) -> int:
        for row in salvaged_rows(path):
            values = (row.address.encode(), row.model, row.written, row.content, row.checksum)
            number = new.execute(ADD_ANSWER, values).fetchone()[0]
            new.execute(ADD_ENTRY, (number, row.model, entry_size(row.content), row.written, now, 0))
        return int(new.execute("select count(*) from answers").fetchone()[0])

    part = path.with_name(path.name + ".part")
    kept = _build(part, fill)
    os.replace(part, path.with_name(path.name + ".salvaged"))
    _finish_salvage(path)
    done = f"kept the {kept:,} answers in it that are whole, set the damaged file aside"
    say(f"answer store {path}: {inert(found)}; {done}")


def _finish_salvage(path: Path) -> None:
    salvaged = path.with_name(path.name + ".salvaged")
    if not salvaged.exists():
        return
    if path.exists():
        for old in set_aside(path):
            old.unlink(missing_ok=True)
        os.replace(path, path.with_name(f"{path.name}.damaged-{time.time_ns()}"))
    # a log that stayed would be replayed over the new file
    for ending in ("-wal", "-shm"):
        path.with_name(path.name + ending).unlink(missing_ok=True)
    os.replace(salvaged, path)


def set_aside(path: Path) -> list[Path]:
    """Damaged files of the store at ``path`` that were set aside."""
    return sorted(path.parent.glob(f"{path.name}.damaged-*"))


def _in_use(path: Path, found: str) -> EvaluationError:
    way_out = "run again when the other processes that use it have ended: what is whole in it is salvaged then"
    return EvaluationError(Problem(f"answer store {path}", f"it is damaged ({found})", "", way_out))


@contextmanager
def errors(path: Path) -> Generator[None]:
    """The border with SQLite and the file system: what they raise becomes an EvaluationError with a way out."""
    where = f"answer store {path}"
    try:
        yield
    except sqlite3.Error as error:
        code = _code(error)
        if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
            problem = Problem(where, f"cannot write: {error}", "", _MAKE_ROOM)
        elif code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            found = f"another process has held it for over {LOCK_SECONDS:.0f} s"
            problem = Problem(where, found, "", "see which process has the file open, end it, and run again")
        else:
            way_out = "FINETUNE_GATE_HOME names another folder; a file that is in the way can be moved"
            problem = Problem(where, str(error), "a file that SQLite can write", way_out)
        raise EvaluationError(problem) from error
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        way_out = _MAKE_ROOM if full else "FINETUNE_GATE_HOME names another folder"
        raise EvaluationError(Problem(where, error.strerror or str(error), "", way_out)) from error


_MAKE_ROOM: Final = (
    "free some space, or set FINETUNE_GATE_HOME to a folder on another disk; then run again: what is finished is kept"
)
