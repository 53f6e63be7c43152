"""The answer store: what a model answered, kept under a content address, so that nothing is paid for twice.

    with AnswerStore(home / "answers.sqlite") as store:
        known = store.get(addresses)
        store.put({address: answer})

An address covers everything that can change an answer (see ``Model.addresses``), so two models never share an entry.
Every entry carries a checksum: one that does not match is forgotten and computed again, never believed. Writes are
transactions in SQLite's write-ahead log: a process killed at any moment loses at most the shard it was writing.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import cast

from finetune_gate.evaluators.asking import Answer, Failed, Generation, TokenLogprobs
from finetune_gate.evaluators.errors import EvaluationError, Problem

LOCK_TIMEOUT_SECONDS = 60
_SCHEMA = """
create table if not exists answers (
    address  text primary key,
    answer   blob not null,
    checksum blob not null,
    written  real not null
) without rowid
"""


class AnswerStore:
    """Safe with several processes on one file. Failed answers are not kept: they are asked again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._connection = self._open()
        except sqlite3.DatabaseError as error:
            if _is_transient(error):
                raise self._error(error) from error
            # not a database any more: keep it aside for whoever wants to look, and start anew
            os.replace(path, path.with_name(f"{path.name}.damaged-{time.time_ns()}"))
            self._connection = self._open()

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=LOCK_TIMEOUT_SECONDS, isolation_level=None)
        try:
            connection.execute("pragma journal_mode = wal")
            connection.execute("pragma synchronous = normal")
            connection.execute(_SCHEMA)
        except sqlite3.DatabaseError:
            connection.close()
            raise
        return connection

    def get(self, addresses: Sequence[str]) -> dict[str, Answer]:
        """The answers that are known, by address."""
        found: dict[str, Answer] = {}
        with self._errors():
            for start in range(0, len(addresses), 500):
                chunk = addresses[start : start + 500]
                marks = ",".join("?" * len(chunk))
                query = f"select address, answer, checksum from answers where address in ({marks})"
                for address, content, checksum in self._connection.execute(query, chunk):
                    answer = _decode(address, content, checksum)
                    if answer is not None:
                        found[address] = answer
        return found

    def put(self, answers: Mapping[str, Answer]) -> None:
        """Keep answers, all of them or none."""
        rows: list[tuple[str, bytes, bytes, float]] = []
        for address, answer in answers.items():
            if not isinstance(answer, Failed):
                content = _encode(answer)
                rows.append((address, content, _checksum(address, content), time.time()))
        if not rows:
            return
        with self._errors():
            self._connection.execute("begin immediate")
            try:
                self._connection.executemany("insert or replace into answers values (?, ?, ?, ?)", rows)
                self._connection.execute("commit")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("rollback")
                raise

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> AnswerStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _errors(self) -> Generator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._error(error) from error

    def _error(self, error: sqlite3.Error) -> EvaluationError:
        way_out = "free some space, end the process that holds it, or delete the file: answers are computed again"
        return EvaluationError(Problem(f"answer store {self.path}", str(error), "a writable SQLite file", way_out))


def _is_transient(error: sqlite3.DatabaseError) -> bool:
    return isinstance(error, sqlite3.OperationalError) and "malformed" not in str(error)


def _checksum(address: str, content: bytes) -> bytes:
    return hashlib.sha256(address.encode() + b"\0" + content).digest()


def _encode(answer: TokenLogprobs | Generation) -> bytes:
    if isinstance(answer, TokenLogprobs):
        fields: dict[str, object] = {"logprobs": answer.logprobs, "dropped_context": answer.dropped_context}
    else:
        fields = {"text": answer.text, "finish": answer.finish, "tokens": answer.tokens}
    return json.dumps(fields, separators=(",", ":"), allow_nan=False).encode()


def _decode(address: str, content: object, checksum: object) -> Answer | None:
    if not isinstance(content, bytes) or checksum != _checksum(address, content):
        return None
    fields = cast("dict[str, object]", json.loads(content))
    if "logprobs" in fields:
        logprobs = cast("list[float]", fields["logprobs"])
        return TokenLogprobs(tuple(float(value) for value in logprobs), cast("int", fields["dropped_context"]))
    text, finish, tokens = fields["text"], fields["finish"], fields["tokens"]
    return Generation(cast("str", text), "length" if finish == "length" else "stop", cast("int", tokens))
