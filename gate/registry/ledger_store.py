"""A promotion ledger as it is kept in MLflow: read in pages, and appended to by atomic calls.

    store = LedgerStore(registry.connection, "support-bot", Author("octocat", "github"))
    found = store.read()
    row = store.append(Wanted("champion", "3", "7", found.standing("champion").generation), seen=found.head)

An entry is a row of an `AppendOnly` list.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from typing import Final

from ..clock import now_iso, now_ms
from .append_only import AppendOnly, Named
from .ledger_entries import DONE, ENTRY_TAG, SETTING_TAG, Entry, Kind, Replayed, Row, ledger_name, replay
from .ledger_words import description, ledger_description, title
from .mlflow_client import Connection, plain
from .mlflow_types import VersionEntity

MAX_REASON: Final = 500


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
        self.model = model
        self._author = author
        named = Named(ledger_name(model), title(model), ledger_description(model), {"finetune_gate.ledger_of": model})
        self._rows = AppendOnly(connection, named, patience_s)

    def read(self) -> Replayed:
        """The whole ledger, in pages; empty if there is none yet."""
        return replay(Row.of(version) for version in self._rows.read())

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
            at=now_iso(),
        )
        tags = {ENTRY_TAG: entry.model_dump_json()}
        if entry.kind != "refusal":
            tags[SETTING_TAG + entry.id] = DONE if by_hand else _begun()
        run = re.match(r"runs:/([0-9a-f]{32})/", entry.record_uri)
        at_run = {"source": f"{run[0]}finetune_gate", "run_id": run[1]} if run else {}

        def written(version: VersionEntity) -> bool:
            found = Row.of(version).entry
            return found is not None and found.id == entry.id

        number = self._rows.append(tags, description(self.model, entry), written=written, **at_run)
        return Row(number, now_ms(), entry, {entry.id: None if by_hand else now_ms()})

    def say_begun(self, row: Row) -> str:
        """Say that the caller is about to carry out the move of ``row``; returns the id under which that was said."""
        key = uuid.uuid4().hex
        self._rows.note(row.number, SETTING_TAG + key, _begun())
        return key

    def say_done(self, row: Row, key: str) -> None:
        self._rows.note(row.number, SETTING_TAG + key, DONE)


def _begun() -> str:
    return f"begun {now_ms()}"
