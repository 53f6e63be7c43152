"""The answer store of one machine: what models answered, kept under content addresses, so that nothing is paid twice.

    with AnswerStore(home / "answers.sqlite") as store:
        known = store.get(addresses)
        store.put({address: answer}, ModelKey(model.digest, "support-bot v7"))

An address covers everything that can change an answer (see ``Model.addresses``), so two models never share an entry.
Every entry carries a checksum: one that does not match is forgotten and computed again, never believed. The checksum
finds damage, not intent: whoever can write to the file can also forge answers in it. Writes are transactions in
SQLite's write-ahead log: a process killed at any moment loses at most the shard it was writing. (A power cut can also
lose the last transactions before it, whole.) What damage does, and what becomes of it, says ``database``.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from threading import RLock
from types import TracebackType
from typing import Final, Self, TypeVar

from finetune_gate.evaluators.asking import Answer, Failed
from finetune_gate.evaluators.errors import EvaluationError

from .database import ADD_ANSWER, ADD_ENTRY, LOCK_SECONDS, entry_size, errors, is_damage, mend_file, open_file
from .encoding import Kept, checksum, decode, encode, model_number
from .locks import opening
from .saying import Say

T = TypeVar("T")

MARKED_EVERY_SECONDS: Final = 12 * 3600
"""An entry's last use is kept no finer than this, so that reading hardly ever writes."""

_PER_QUERY: Final = 1000
_ROWS_PER_TRANSACTION: Final = 2000
_MARKING_MS: Final = 2000


@dataclass(frozen=True, slots=True)
class ModelKey:
    """Whose answers these are. ``label`` is for people only ("support-bot v7"), and may change over time."""

    digest: str
    label: str


@dataclass(frozen=True, slots=True)
class Entry:
    """An answer as it is kept: ``number`` within this store, its address, and its bytes (see ``encoding``)."""

    number: int
    address: str
    content: bytes


class AnswerStore:
    """Safe with several threads, processes and open stores on one file. Failed answers are not kept: asked again.

    ``say`` hears, in one line, of damage that was found and of what became of it. All methods raise EvaluationError
    where the file cannot be read or written; what was put before is then still there.
    """

    def __init__(self, path: Path, say: Say = lambda line: None) -> None:
        self.path = path
        self._say = say
        self._lock = RLock()
        self._touched: set[int] = set()
        self._unsound = 0
        self._connection, self._users = open_file(path, say)
        self._open = True

    def get(self, addresses: Sequence[str]) -> dict[str, Answer]:
        """The answers that are known, by address. They count as used from now on."""

        def read(connection: sqlite3.Connection) -> dict[str, Answer]:
            found: dict[str, Answer] = {}
            for chunk in _chunks(dict.fromkeys(addresses), _PER_QUERY):
                query = f"select id, address, model, content, checksum from answers where address in ({_marks(chunk)})"
                for number, address, model, content, check in connection.execute(query, _encoded(chunk)):
                    answer = believed(address, model, content, check)
                    if answer is None:
                        self._unsound += 1
                    else:
                        found[address.decode()] = answer
                        self._touched.add(number)
            return found

        return self._attempt(read)

    def count(self, addresses: Sequence[str]) -> int:
        """How many of ``addresses`` are held. Nothing is decoded, checked or marked as used."""

        def read(connection: sqlite3.Connection) -> int:
            held: set[bytes] = set()
            for chunk in _chunks(dict.fromkeys(addresses), _PER_QUERY):
                query = f"select address from answers where address in ({_marks(chunk)})"
                held.update(address for (address,) in connection.execute(query, _encoded(chunk)))
            return sum(address.encode() in held for address in addresses)

        return self._attempt(read)

    def put(self, answers: Mapping[str, Answer], model: ModelKey) -> None:
        """Keep answers of one model, all of them or none; what was kept under an address before is replaced. Raises
        ValueError for a log-probability that is not finite."""
        kept = [(address, encode(answer)) for address, answer in answers.items() if not isinstance(answer, Failed)]
        number, now = model_number(model.digest), int(time.time())

        def write(connection: sqlite3.Connection) -> list[int]:
            with transaction(connection):
                _name(connection, model)
                added: list[int] = []
                for address, content in kept:
                    row = (address.encode(), number, now, content, checksum(address, number, content))
                    added.append(connection.execute(ADD_ANSWER, row).fetchone()[0])
                    connection.execute(ADD_ENTRY, (added[-1], number, entry_size(content), now, now, 0))
                return added

        if kept:
            self._touched.update(self._attempt(write))

    def name(self, models: Iterable[ModelKey]) -> None:
        """What these models are called now, for people."""

        named = list({model.digest: model for model in models}.values())

        def write(connection: sqlite3.Connection) -> None:
            known = dict(connection.execute("select id, label from models").fetchall())
            if any(known.get(model_number(model.digest)) != model.label for model in named):
                with transaction(connection):
                    for model in named:
                        _name(connection, model)

        self._attempt(write)

    def take(self, answers: Iterable[tuple[str, bytes]], model: ModelKey, place: int, pack: str) -> int:
        """Keep encoded answers that came from the shared ``place`` in ``pack``; how many were new here. What is held
        already stays: this machine's own answers are trusted more."""
        number, now = model_number(model.digest), int(time.time())
        new = 0
        left = iter(answers)
        while chunk := list(islice(left, _ROWS_PER_TRANSACTION)):

            def write(connection: sqlite3.Connection, chunk: Sequence[tuple[str, bytes]] = chunk) -> int:
                with transaction(connection):
                    _name(connection, model)
                    return sum(_take(connection, address, content, number, now, place) for address, content in chunk)

            new += self._attempt(write)
        self.note_packs([pack], model, place)
        return new

    def known_packs(self, model: ModelKey, place: int) -> set[str]:
        """Names of packs of the shared ``place`` whose answers are, or were, here."""
        query = "select name from packs where place = ? and model = ?"
        wanted = (place, model_number(model.digest))
        return {name for (name,) in self._attempt(lambda connection: connection.execute(query, wanted).fetchall())}

    def note_packs(self, names: Iterable[str], model: ModelKey, place: int) -> None:
        rows = [(place, model_number(model.digest), name) for name in names]

        def write(connection: sqlite3.Connection) -> None:
            with transaction(connection):
                connection.executemany("insert or ignore into packs values (?, ?, ?)", rows)

        self._attempt(write)

    def forget_place(self, model: ModelKey, place: int) -> None:
        """The shared ``place`` no longer holds anything of the model: all of it may be shared there again."""
        number = model_number(model.digest)

        def write(connection: sqlite3.Connection) -> None:
            with transaction(connection):
                connection.execute("update entries set place = 0 where model = ? and place = ?", (number, place))
                connection.execute("delete from packs where model = ? and place = ?", (number, place))

        self._attempt(write)

    def unshared(self, model: ModelKey, place: int, after: int = 0) -> Iterator[Entry]:
        """Sound entries of a model with numbers above ``after``, in order, that are not known to be at ``place``."""
        query = (
            "select a.id, a.address, a.model, a.content, a.checksum from entries e join answers a on a.id = e.id "
            "where e.id > ? and e.model = ? and e.place <> ? order by e.id limit 500"
        )
        number = model_number(model.digest)
        while True:
            wanted = (after, number, place)
            rows = self._attempt(lambda connection, wanted=wanted: connection.execute(query, wanted).fetchall())
            for at, address, owner, content, check in rows:
                after = at
                if believed(address, owner, content, check) is not None:
                    yield Entry(at, address.decode(), content)
            if not rows:
                return

    def mark_shared(self, numbers: Iterable[int], place: int) -> None:
        rows = [(place, number) for number in numbers]

        def write(connection: sqlite3.Connection) -> None:
            with transaction(connection):
                connection.executemany("update entries set place = ? where id = ?", rows)

        self._attempt(write)

    def mark_used(self) -> None:
        """Write down what was read, where the last note of it is old. Left undone where another process is writing for
        long, or where there is no room: it only tells what to remove first."""
        now = int(time.time())
        with self._lock, suppress(sqlite3.Error):
            stale = list(self._stale(now - MARKED_EVERY_SECONDS))
            self._connection.execute(f"pragma busy_timeout = {_MARKING_MS}")
            try:
                for chunk in _chunks(stale, _ROWS_PER_TRANSACTION):
                    with transaction(self._connection):
                        rows = [(now, number) for number in chunk]
                        self._connection.executemany("update entries set used = ? where id = ?", rows)
            finally:
                self._connection.execute(f"pragma busy_timeout = {int(1000 * LOCK_SECONDS)}")

    def _stale(self, before: int) -> Iterator[int]:
        for chunk in _chunks(sorted(self._touched), _PER_QUERY):
            query = f"select id from entries where used < ? and id in ({_marks(chunk)})"
            yield from (number for (number,) in self._connection.execute(query, (before, *chunk)).fetchall())

    def touched(self, number: int) -> bool:
        """Whether this open store has put or read the entry."""
        return number in self._touched

    def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """For the other files of this package: ``work`` on the connection, alone, with this store's errors."""
        return self._attempt(work)

    def mend(self, found: str) -> None:
        """Set the file aside and go on with what is whole in it. Raises EvaluationError while others use it."""
        with self._lock:
            self._mend(found)

    def close(self) -> None:
        with self._lock:
            if not self._open:
                return
            self._open = False
            self.mark_used()
            if self._unsound:
                self._say(f"answer store {self.path}: answers that were damaged and not believed: {self._unsound:,}")
            try:
                # SQLite refuses others for a moment while the last user tidies up
                with opening(self.path, 5.0):
                    self._connection.close()
            except EvaluationError:
                self._connection.close()
            finally:
                self._users.leave()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _attempt(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """``work`` on the connection; once more on a mended file where it came upon damage."""
        with self._lock, errors(self.path):
            try:
                return work(self._connection)
            except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
                if not is_damage(error):
                    raise
                self._mend(str(error))
            return work(self._connection)

    def _mend(self, found: str) -> None:
        self._connection.close()
        self._touched.clear()  # entries have other numbers from here on
        self._connection = mend_file(self.path, self._users, found, self._say)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Generator[None]:
    connection.execute("begin immediate")
    try:
        yield
        connection.execute("commit")
    except BaseException:
        if connection.in_transaction:
            connection.execute("rollback")
        raise


def _take(connection: sqlite3.Connection, address: str, content: bytes, model: int, now: int, place: int) -> int:
    held = connection.execute("select id from answers where address = ?", (address.encode(),)).fetchone()
    if held is not None:
        connection.execute("update entries set place = ? where id = ?", (place, held[0]))
        return 0
    row = (address.encode(), model, now, content, checksum(address, model, content))
    number = connection.execute(ADD_ANSWER, row).fetchone()[0]
    connection.execute(ADD_ENTRY, (number, model, entry_size(content), now, now, place))
    return 1


def _name(connection: sqlite3.Connection, model: ModelKey) -> None:
    known = connection.execute("select label from models where id = ?", (model_number(model.digest),)).fetchone()
    if known != (model.label,):
        row = (model_number(model.digest), model.digest, model.label)
        connection.execute("insert or replace into models values (?, ?, ?)", row)


def believed(address: object, model: object, content: object, check: object) -> Kept | None:
    """The answer in a row of the file, or None where it does not check out."""
    if not (isinstance(address, bytes) and isinstance(model, int) and isinstance(content, bytes)):
        return None
    try:
        if check != checksum(address.decode(), model, content):
            return None
        return decode(content)
    except ValueError:
        return None


def _chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    left = iter(items)
    while chunk := list(islice(left, size)):
        yield chunk


def _marks(chunk: Sequence[object]) -> str:
    return ",".join("?" * len(chunk))


def _encoded(addresses: Iterable[str]) -> list[bytes]:
    return [address.encode() for address in addresses]
