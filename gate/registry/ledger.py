"""The promotion ledger of one model, kept in the registry itself, and the alias beside it.

    ledger = Ledger(registry, "support-bot", Author("octocat", "github"))
    settled = ledger.settle("champion")          # completes what is unfinished, writes down what was done by hand
    made = ledger.move(Wanted("champion", "3", "7", settled.standing.generation, reason="Good."), settled)
    made.outcome                                 # moved, or stale: somebody was faster

MLflow has no compare-and-set for aliases, but it hands out version numbers of one model uniquely and in order. So the
ledger is a registered model of its own; every move is a version of it, created in one call with all that is meant.
Which of them count is in `ledger_entries`: the ledger is the truth, the alias follows it. Whoever finds a move that
counts and is not carried out carries it out. Nothing is ever changed in an entry; a tag beside it says who carries it
out, and that it is done.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, replace
from typing import Final, Literal

from finetune_gate.evaluators.errors import Problem, RegistryError

from ..clock import now_ms
from .ledger_entries import Condition, Entry, Replayed, Row, Standing, at_version, condition
from .ledger_store import Author, LedgerStore, Wanted
from .ledger_words import completed, set_right, why_by_hand, written_down
from .mlflow_client import NotInRegistry
from .registered import INTENT_TAG, Intent
from .registry import Registry
from .writing import Writer

_JUST_MS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Deed:
    """What was done about an alias in some ``condition``, and the same in words."""

    condition: Condition
    said: str


@dataclass(frozen=True, slots=True)
class Settled:
    """An alias that is where its ledger says. ``found``: where it pointed at first. ``deeds``: what was done about
    it since."""

    replayed: Replayed
    standing: Standing
    found: str | None
    deeds: tuple[Deed, ...] = ()


@dataclass(frozen=True, slots=True)
class Made:
    """What became of a move: entry ``number``, and where the alias is now."""

    outcome: Literal["moved", "stale"]
    number: int
    serves: str | None


class Ledger:
    """Reads and writes the ledger of ``model``. Errors of MLflow leave as RegistryError.

    ``deadline_s``: how long a write may take to be seen. ``patience_s``: how long to go on among other writers.
    ``grace_s``: how long another who has just written a move is left to carry it out alone.
    """

    def __init__(
        self,
        registry: Registry,
        model: str,
        author: Author | None = None,
        *,
        deadline_s: float = 10.0,
        patience_s: float = 120.0,
        grace_s: float = 1.0,
    ) -> None:
        self.model = model
        self._registry, self._patience_s, self._grace_s = registry, patience_s, grace_s
        self._store = LedgerStore(registry.connection, model, author or Author(), patience_s)
        self._writer = Writer(registry, deadline_s)

    def read(self) -> Replayed:
        """The whole ledger, in pages; empty if there is none yet."""
        return self._store.read()

    def settle(self, alias: str, *, own: str = "") -> Settled:
        """Bring ``alias`` and ledger together: complete a move that counts and was not carried out, set right a write
        that came late, and write down a move that was made by hand. ``own``: id of an entry of the caller's."""
        begun, deeds = time.monotonic(), list[Deed]()
        first: list[str | None] = []
        sure = False  # a move by hand is written down once it was seen twice
        while True:
            replayed = self.read()
            serves = self._registry.alias_version(self.model, alias)
            first = first or [serves]
            standing = replayed.standing(alias)
            state = condition(replayed, alias, serves, now_ms())
            if state == "settled":
                if standing.generation == 0:
                    standing = replace(standing, version=serves)
                return Settled(replayed, standing, first[0], tuple(deeds))
            if time.monotonic() - begun > self._patience_s:
                raise RegistryError(
                    Problem(
                        f"alias {alias!r} of {self.model}",
                        f"not where its ledger says, after {self._patience_s:g} s of setting it right",
                        f"{at_version(standing.version)}, as of entry {standing.generation}",
                        "other writers keep moving it: see who, and run again",
                    )
                )
            waited = time.monotonic() - begun
            if state == "unfinished" and waited < self._grace_s and _anothers_just_now(standing.move, own):
                time.sleep(self._grace_s * random.uniform(0.2, 0.5))
                continue
            gone = standing.version is not None and not self._exists(standing.version)
            if state != "hand-made" and not gone and standing.move is not None:
                self._carry_out(standing.move, serves)
                entry = _entry(standing.move)
                deeds.append(Deed(state, set_right(entry) if state == "late write" else completed(entry)))
            elif sure or gone:
                why = why_by_hand(standing, serves, gone=gone, unfinished=state != "hand-made")
                self._store.append(
                    Wanted(alias, standing.version, serves, standing.generation, "hand-made", why), replayed.head
                )
                deeds.append(Deed("hand-made", written_down(alias, serves, why)))
            sure = state == "hand-made" and not sure

    def move(self, wanted: Wanted, settled: Settled) -> Made:
        """Write the move, and carry it out if it counts. Stale if another counted first.

        ``settled`` is what was found just now, and must be what ``wanted`` starts from (ValueError).
        """
        standing, head = settled.standing, settled.replayed.head
        if (wanted.generation, wanted.before) != (standing.generation, standing.version):
            raise ValueError(f"{wanted} does not start from entry {standing.generation}")
        row = self._store.append(wanted, head)
        if row.number == head + 1:  # nobody came between: it counts, and nothing else is to be read
            self._carry_out(row, wanted.before, announced=True)
            return Made("moved", row.number, wanted.after)
        written = f"entry {row.number} of the ledger of {self.model}"
        self._writer.read_back(written, False, True, lambda: self.read().head >= row.number)
        after = self.settle(wanted.alias, own=_entry(row).id)
        mine = [one for one in after.replayed.rows if one.entry and row.entry and one.entry.id == row.entry.id]
        made = any(after.replayed.fates[one.number] == "counts" and one.done for one in mine)
        return Made("moved" if made else "stale", mine[0].number if mine else row.number, after.standing.version)

    def refuse(self, wanted: Wanted) -> None:
        """Write down that nothing is to be moved, and why."""
        self._store.append(replace(wanted, kind="refusal"), wanted.generation)

    def _carry_out(self, row: Row, serves: str | None, *, announced: bool = False) -> None:
        """Point the alias, which is at ``serves``, to where the move of ``row`` leads; read back, say that it is done.

        Whoever sets an alias says so beforehand (``announced``: in the entry itself) and looks at the ledger again
        afterwards. If a later move counts by then, the alias is set to that one instead: what is written late must not
        stay, and if the writer is killed before that, others know by its announcement what happened.
        """
        key = _entry(row).id if announced else self._store.say_begun(row)
        target = row
        while True:
            self._set(target, serves)
            current = self.read().standing(_entry(row).alias)
            if current.broken_at is not None or current.move is None or current.generation <= target.number:
                break
            target, serves = current.move, self._registry.alias_version(self.model, _entry(row).alias)
        self._store.say_done(row, key)

    def _set(self, row: Row, serves: str | None) -> None:
        entry = _entry(row)
        version = None if entry.after is None else self._registry.version(self.model, entry.after)
        if version is not None and entry.kind == "promotion" and entry.before != entry.after:
            intent = Intent(
                entry.alias,
                entry.before,
                version.version,
                entry.stage_before,
                entry.decision_digest,
                entry.record_uri,
            )
            noted = Intent.of(version)
            if noted is None or replace(noted, published=False) != intent:
                self._writer.set_tags(version, {INTENT_TAG: intent.to_tag()})
        if serves != entry.after:
            self._writer.point_alias(self.model, entry.alias, entry.after)
        if version is not None and entry.stage is not None:
            self._writer.set_stage(version, entry.stage)
        self._writer.read_back(
            f"alias {entry.alias!r} of {self.model}",
            serves,
            entry.after,
            lambda: self._registry.alias_version(self.model, entry.alias),
            over=lambda: self.read().standing(entry.alias).generation > row.number,
        )

    def _exists(self, version: str | None) -> bool:
        if version is None:
            return False
        try:
            self._registry.version(self.model, version)
        except NotInRegistry:
            return False
        return True


def reconcile(registry: Registry, model: str, author: Author | None = None) -> dict[str, Settled]:
    """Settle every alias of ``model`` that its ledger knows: for a watcher, or by hand. Empty without a ledger.

    An alias whose moves count no longer, because an entry before them was deleted, is known as well.
    """
    ledger = Ledger(registry, model, author)
    entries = [row.entry for row in ledger.read().rows if row.entry]
    known = {entry.alias for entry in entries if entry.kind != "refusal"}
    return {alias: ledger.settle(alias) for alias in sorted(known)}


def _entry(row: Row) -> Entry:
    if row.entry is None:
        raise ValueError(f"number {row.number} is no entry")
    return row.entry


def _anothers_just_now(row: Row | None, own: str) -> bool:
    return row is not None and _entry(row).id != own and abs(now_ms() - row.written_ms) < _JUST_MS
