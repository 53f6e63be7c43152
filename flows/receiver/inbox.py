"""What has come in and is still to be done, on disk before it is answered.

    with Inbox.open(path) as inbox:
        inbox.keep("3f0c...", "support-bot")    # True: new. False: this delivery came before
        (job,) = inbox.waiting()
        inbox.done(job)

A job is "look at this model", so that one per model is enough: what comes while it waits joins it, and what comes while
it is being done makes it wait again. A delivery and its job are written in one transaction, synchronised to the disk.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from finetune_gate.evaluators.errors import ConfigurationError, EvaluationError, Problem

KEPT_SECONDS: Final = 24 * 3600
"""How long the id of a delivery is remembered. Signatures are good for minutes only."""

BUSY_SECONDS: Final = 0.5
"""How long to wait where something else has locked the file: whoever delivers is to be answered within a second."""

_FORGOTTEN_AT_ONCE: Final = 100
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS deliveries (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, heard REAL NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS deliveries_heard ON deliveries (heard);
CREATE TABLE IF NOT EXISTS jobs (model TEXT PRIMARY KEY, asked INTEGER NOT NULL) STRICT, WITHOUT ROWID;
"""


class InboxError(EvaluationError):
    """The inbox cannot be written or read now: a full disk, or something else has it locked."""


@dataclass(frozen=True, slots=True)
class Job:
    """Look at ``model``. ``asked`` is the number of the delivery that asked last; numbers are never used again."""

    model: str
    asked: int


class Inbox:
    """One process's inbox; its threads may share it."""

    def __init__(self, path: Path, connection: sqlite3.Connection, held: int, clock: Callable[[], float]) -> None:
        self.path = path
        self._connection = connection
        self._held = held
        self._clock = clock
        self._lock = threading.Lock()

    @classmethod
    def open(cls, path: Path, *, clock: Callable[[], float] = time.time) -> Self:
        """Raises ConfigurationError where the file is no inbox, cannot be made, or another process has it open."""
        held = _hold(path)
        try:
            connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
            with _mapped(path):
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=FULL")
                connection.executescript(_SCHEMA)
        except (sqlite3.Error, InboxError) as error:
            os.close(held)
            raise ConfigurationError(
                Problem(f"inbox {path}", str(error.__cause__ or error), "an inbox of the receiver", "--inbox PATH")
            ) from None
        return cls(path, connection, held, clock)

    def keep(self, id: str, model: str) -> bool:
        """Keep the job that delivery ``id`` is a reason for; False, and no job, if that delivery came before.

        On disk when this returns. Raises InboxError: then nothing was kept.
        """
        now = self._clock()
        with self._writing() as connection:
            new = connection.execute(
                "INSERT INTO deliveries (id, heard) VALUES (?, ?) ON CONFLICT (id) DO NOTHING RETURNING number",
                (id, now),
            ).fetchall()
            for (number,) in new:
                connection.execute(
                    "INSERT INTO jobs VALUES (?, ?) ON CONFLICT (model) DO UPDATE SET asked = excluded.asked",
                    (model, number),
                )
            connection.execute(
                "DELETE FROM deliveries WHERE number IN "
                "(SELECT number FROM deliveries WHERE heard < ? ORDER BY heard LIMIT ?)",
                (now - KEPT_SECONDS, _FORGOTTEN_AT_ONCE),
            )
        return bool(new)

    def waiting(self) -> tuple[Job, ...]:
        """Every job that is not done, the one that has waited longest first. Raises InboxError."""
        with self._lock, _mapped(self.path):
            return tuple(
                Job(*row) for row in self._connection.execute("SELECT model, asked FROM jobs ORDER BY asked, model")
            )

    def done(self, job: Job) -> None:
        """Forget ``job``, unless its model was asked for again since `waiting` gave it. Raises InboxError."""
        with self._writing() as connection:
            connection.execute("DELETE FROM jobs WHERE model = ? AND asked = ?", (job.model, job.asked))

    def close(self) -> None:
        with self._lock, closing(self._connection):
            os.close(self._held)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _writing(self) -> Generator[sqlite3.Connection]:
        with self._lock, _mapped(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")


def _hold(path: Path) -> int:
    """Shut other processes out for as long as this one lives: ``<path>.lock``."""
    where = f"inbox {path}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        held = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        found = f"cannot be made: {error.strerror or type(error).__name__}"
        raise ConfigurationError(Problem(where, found, "a folder that can be written", "--inbox PATH")) from None
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(held)
        raise ConfigurationError(
            Problem(where, "another receiver has it open", "an inbox of its own for each", "end the other, or --inbox")
        ) from None
    return held


@contextmanager
def _mapped(path: Path) -> Generator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise InboxError(
            Problem(f"inbox {path}", str(error), "a file that can be written", "free space on the disk")
        ) from error
