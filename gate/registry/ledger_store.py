"""A promotion ledger as it is kept in MLflow: read in pages, and appended to by atomic calls.

    store = LedgerStore(registry.connection, "support-bot", Author("octocat", "github"))
    found = store.read()
    row = store.append(Wanted("champion", "3", "7", found.standing("champion").generation), seen=found.head)

A ledger is a registered model of its own, and an entry a version of it, whose tags are given in the creating call.
"""

from __future__ import annotations

import random
import re
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from finetune_gate.evaluators.errors import Problem, RegistryError

from .ledger_entries import DONE, ENTRY_TAG, SETTING_TAG, Entry, Kind, Replayed, Row, ledger_name, replay
from .ledger_words import description, ledger_description, title
from .mlflow_client import Connection, NotInRegistry, error_code, plain

PAGE: Final = 250
MAX_REASON: Final = 500
_MOST_ENTRIES: Final = 100_000
_SOURCE: Final = "finetune-gate:/ledger"
_CONTENDED: Final = ("TEMPORARILY_UNAVAILABLE", "INTERNAL_ERROR", "BAD_REQUEST", "RESOURCE_ALREADY_EXISTS")


@dataclass(frozen=True, slots=True)
class Author:
    """Who writes, and what made them: a person or CI account, and a trigger. A claim, not a proof."""

    actor: str = "unknown"
    trigger: str = "library"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A move to be made: from where the alias must be, judged against ``generation``."""

    alias: str
    before: str | None
    after: str | None
    generation: int
    kind: Kind = "promotion"
    reason: str = ""
    stage: str | None = None
    stage_before: str | None = None
    decision_digest: str = ""
    record_uri: str = ""


class LedgerStore:
    """The ledger of ``model``. ``patience_s``: how long to try to append among other writers. Errors of MLflow leave as
    RegistryError."""

    def __init__(self, connection: Connection, model: str, author: Author, patience_s: float) -> None:
        self.model, self.name = model, ledger_name(model)
        self._connection, self._author, self._patience_s = connection, author, patience_s

    def read(self) -> Replayed:
        """The whole ledger, in pages; empty if there is none yet."""
        quote = '"' if "'" in self.name else "'"
        rows: list[Row] = []
        token: str | None = None
        with self._connection.doing(f"read the {title(self.model)}"):
            while len(rows) < _MOST_ENTRIES:
                page = self._connection.client.search_model_versions(
                    f"name={quote}{self.name}{quote}",
                    max_results=PAGE,
                    order_by=["version_number ASC"],  # what is appended meanwhile is on the last page
                    page_token=token,
                )
                rows.extend(Row.of(version) for version in page)
                token = page.token
                if not token:
                    return replay(rows)
        raise RegistryError(Problem(title(self.model), f"more than {_MOST_ENTRIES} entries", "a ledger to be read"))

    def append(self, wanted: Wanted, seen: int) -> Row:
        """The entry as it was written. ``seen``: the last one that the caller has read.

        Whoever appends a move has said by that to be about to carry it out; one made by hand is carried out.
        """
        by_hand = wanted.kind == "hand-made"
        actor, trigger = self._author.actor, self._author.trigger
        entry = Entry(
            id=uuid.uuid4().hex,
            kind=wanted.kind,
            alias=wanted.alias,
            before=wanted.before,
            after=wanted.after,
            generation=wanted.generation,
            seen=seen,
            stage=wanted.stage,
            stage_before=wanted.stage_before,
            decision_digest=wanted.decision_digest,
            record_uri=wanted.record_uri,
            actor="unknown" if by_hand else plain(actor, 200),
            trigger=plain(f"noticed by {actor}, {trigger}" if by_hand else trigger, 200),
            reason=plain(wanted.reason, MAX_REASON),
            at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        tags = {ENTRY_TAG: entry.model_dump_json()}
        if entry.kind != "refusal":
            tags[SETTING_TAG + entry.id] = DONE if by_hand else _begun()
        number = self._create(entry, tags)
        return Row(number, now_ms(), entry, {entry.id: None if by_hand else now_ms()})

    def say_begun(self, row: Row) -> str:
        """Say that the caller is about to carry out the move of ``row``; returns the id under which that was said."""
        key = uuid.uuid4().hex
        self._say(row, key, _begun())
        return key

    def say_done(self, row: Row, key: str) -> None:
        self._say(row, key, DONE)

    def _say(self, row: Row, key: str, what: str) -> None:
        with self._connection.doing(f"note on entry {row.number} of the {title(self.model)}"):
            self._connection.client.set_model_version_tag(self.name, str(row.number), SETTING_TAG + key, what)

    def _create(self, entry: Entry, tags: Mapping[str, str]) -> int:
        """The number of the new entry. Tried again among other writers; what was written although an error came back
        is found by its id."""
        run = re.match(r"runs:/([0-9a-f]{32})/", entry.record_uri)
        until, pause = time.monotonic() + self._patience_s, 0.1
        while True:
            try:
                with self._connection.doing(f"write to the {title(self.model)}"):
                    made = self._connection.client.create_model_version(
                        self.name,
                        f"{run[0]}finetune_gate" if run else _SOURCE,
                        run[1] if run else None,
                        tags=dict(tags),
                        description=description(self.model, entry),
                        await_creation_for=0,
                    )
                return int(made.version)
            except NotInRegistry:
                if time.monotonic() > until:
                    raise
                self._open()
            except RegistryError as error:
                written = [row for row in self.read().rows if row.entry is not None and row.entry.id == entry.id]
                if written:
                    return written[0].number
                if error_code(error) not in _CONTENDED or time.monotonic() > until:
                    raise
                time.sleep(pause * random.uniform(0.5, 1.5))
                pause = min(pause * 2, 3.0)

    def _open(self) -> None:
        try:
            with self._connection.doing(f"create the {title(self.model)}"):
                self._connection.client.create_registered_model(
                    self.name, tags={"finetune_gate.ledger_of": self.model}, description=ledger_description(self.model)
                )
        except RegistryError as error:
            if error_code(error) != "RESOURCE_ALREADY_EXISTS":
                raise


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def _begun() -> str:
    return f"begun {now_ms()}"
