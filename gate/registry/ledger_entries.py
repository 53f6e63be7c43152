"""What a promotion ledger says: its entries, and which of their moves count. Pure: no registry, no clock.

    found = replay(rows)                       # rows as the registry lists them, in any order
    found.standing("champion").version         # where the alias belongs
    found.fates[12]                            # what became of entry 12
    condition(found, "champion", serves, now_ms)

A ledger is a list that can only grow: everybody appends under the next free number, and nobody can take a number
twice. An entry says which **generation** it was judged against: the number of the entry whose move was current then, 0
before the first. A move counts if, when its number is reached, that generation is still current. So of all that were
judged against one generation exactly one counts, the first, whoever reads the ledger and whenever.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .mlflow_types import VersionEntity
from .own_models import own_name

Kind = Literal["promotion", "rollback", "hand-made", "refusal"]
"""``hand-made``: somebody moved the alias outside the ledger, and this entry says so afterwards."""

Fate = Literal["counts", "late", "refusal", "repeat", "unclear", "unreadable"]
"""Of an entry.

counts      its move was made
late        another move had been made from the generation it was judged against: nothing was moved
refusal     it says why nothing was to be moved
repeat      a connection broke while it was written, and it was written twice
unclear     an entry before it was deleted, so nobody can tell whether it counted
unreadable  it is no entry: somebody registered something there, or changed it
"""

Condition = Literal["settled", "unfinished", "late write", "hand-made"]
"""Of an alias, beside its ledger; see `condition`."""

ENTRY_TAG: Final = "finetune_gate.ledger"
SETTING_TAG: Final = "finetune_gate.setting."
"""With somebody's id behind it, on an entry: they have begun to carry its move out, or it is done."""

DONE: Final = "done"
LATE_WRITE_S: Final = 600.0
"""How long after it began to carry out a move a process is thought to be able to set the alias still."""


def ledger_name(model: str) -> str:
    """The registered model that holds the ledger of ``model``.

    >>> ledger_name("support-bot")
    'finetune-gate.ledger.support-bot'
    """
    return own_name("ledger", model)


class Entry(BaseModel):
    """One move or refusal, as it was meant when it was written. Versions are numbers; None is "no alias".

    ``seen`` is the last entry its writer had read. ``at`` is the writer's clock, ISO 8601. ``actor`` is a claim.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", validate_by_name=True, serialize_by_alias=True)

    id: str
    kind: Kind
    alias: str
    before: str | None = Field(validation_alias="from", serialization_alias="from")
    after: str | None = Field(validation_alias="to", serialization_alias="to")
    generation: int = Field(ge=0)
    seen: int = Field(ge=0)
    stage: str | None = None
    stage_before: str | None = Field(default=None, validation_alias="stage_from", serialization_alias="stage_from")
    decision_digest: str = Field(default="", validation_alias="decision", serialization_alias="decision")
    record_uri: str = Field(default="", validation_alias="record", serialization_alias="record")
    actor: str
    trigger: str
    reason: str
    at: str

    def said(self) -> str:
        """``champion: version 3 -> version 4``"""
        return f"{self.alias}: {at_version(self.before)} -> {at_version(self.after)}"


def at_version(version: str | None) -> str:
    return f"version {version}" if version else "nothing"


@dataclass(frozen=True, slots=True)
class Row:
    """One number of a ledger. ``setters``: by id, when somebody began to carry its move out (milliseconds since 1970,
    their clock), or None where that is done."""

    number: int
    written_ms: int
    entry: Entry | None
    setters: Mapping[str, int | None] = field(default_factory=dict[str, "int | None"])

    @property
    def done(self) -> bool:
        """The move was seen to be carried out: whatever the alias points to later is another's doing."""
        return None in self.setters.values()

    def being_set(self, now_ms: int) -> bool:
        """Somebody who began to carry it out has not said that it is done, and may be about to set the alias."""
        begun = (one for one in self.setters.values() if one is not None)
        return any(now_ms - one < LATE_WRITE_S * 1000 for one in begun)

    @classmethod
    def of(cls, version: VersionEntity) -> Row:
        number = int(version.version)
        setters: dict[str, int | None] = {}
        for key, value in version.tags.items():
            if key.startswith(SETTING_TAG):
                begun = value.removeprefix("begun ")
                setters[key.removeprefix(SETTING_TAG)] = int(begun) if begun.isdecimal() else None
        try:
            entry = Entry.model_validate_json(version.tags.get(ENTRY_TAG, ""))
        except ValidationError:
            entry = None
        if entry is not None and entry.kind != "refusal" and not entry.generation <= entry.seen < number:
            entry = None
        return cls(number, int(version.creation_timestamp or 0), entry, setters)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the ledger stands on one alias: it belongs to ``version`` since entry ``generation`` made its ``move``.

    Generation 0: no move yet, and the alias is taken as it is. ``broken_at``: an entry is missing here, and what came
    after is unclear until somebody writes down what the alias points to. ``sound_to``: entries missing up to here were
    known to be missing when that was done.
    """

    alias: str
    generation: int = 0
    version: str | None = None
    move: Row | None = None
    broken_at: int | None = None
    sound_to: int = 0


@dataclass(frozen=True, slots=True)
class Replayed:
    """A ledger, read to its end at number ``head``."""

    rows: tuple[Row, ...]
    fates: Mapping[int, Fate]
    standings: Mapping[str, Standing]
    head: int
    missing: tuple[int, ...]

    def standing(self, alias: str) -> Standing:
        broken_at = self.missing[-1] if self.missing else None
        return self.standings.get(alias, Standing(alias, broken_at=broken_at))

    def moves(self, alias: str) -> list[Row]:
        """Those that count, oldest first."""
        return [
            row for row in self.rows if row.entry and row.entry.alias == alias and self.fates[row.number] == "counts"
        ]


def replay(rows: Iterable[Row]) -> Replayed:
    """Which moves count. A number that is missing was deleted: nothing that was written after it counts, until a
    ``hand-made`` entry whose writer knew of the gap says where the alias is."""
    ordered = sorted({row.number: row for row in rows}.values(), key=lambda row: row.number)
    fates: dict[int, Fate] = {}
    standings: dict[str, Standing] = {}
    ids: set[str] = set()
    missing: list[int] = []
    before = 0
    for row in ordered:
        missing.extend(range(before + 1, row.number))
        before = row.number
        entry = row.entry
        if entry is None:
            fates[row.number] = "unreadable"
        elif entry.id in ids:
            fates[row.number] = "repeat"
        elif entry.kind == "refusal":
            fates[row.number] = "refusal"
        else:
            standing = standings.get(entry.alias, Standing(entry.alias))
            fate, sound_to = _judge(entry, standing, missing[-1] if missing else 0)
            fates[row.number] = fate
            if fate == "counts":
                standings[entry.alias] = Standing(entry.alias, row.number, entry.after, row, None, sound_to)
        if entry is not None:
            ids.add(entry.id)
    last = missing[-1] if missing else 0
    standings = {
        alias: replace(standing, broken_at=last if last > standing.sound_to else None)
        for alias, standing in standings.items()
    }
    return Replayed(tuple(ordered), fates, standings, before, tuple(missing))


def _judge(entry: Entry, standing: Standing, last_missing: int) -> tuple[Fate, int]:
    if last_missing > standing.sound_to:
        knew = entry.kind == "hand-made" and entry.seen >= last_missing
        return ("counts", entry.seen) if knew else ("unclear", standing.sound_to)
    current = entry.generation == standing.generation
    continued = standing.generation == 0 or entry.before == standing.version
    return ("counts" if current and continued else "late"), standing.sound_to


def condition(replayed: Replayed, alias: str, serves: str | None, now_ms: int) -> Condition:
    """How ``alias``, which points to ``serves``, compares with its ledger. ``serves`` must be read after the ledger.

    settled      it points where the ledger says, and the move is known to be carried out; or there was no move yet
    unfinished   the last move is not known to be carried out, and the alias is where it was before or after that move:
                 whoever wrote it was killed, or is at it. To be completed.
    late write   the alias is where an *earlier* move of ours led, and somebody who began to carry that one out has
                 not said that it is done: a process that slept has woken up. To be set right.
    hand-made    anything else. To be written down, and left as it is.

    Limit: a person who moves the alias back by hand before anybody has seen the last move carried out (which only a
    kill between two calls leaves so) is taken for an unfinished move; one who moves it, within ten minutes, to where a
    killed process was about to, for a late write.
    """
    standing = replayed.standing(alias)
    if standing.broken_at is not None:
        return "hand-made"
    move = standing.move
    if move is None or move.entry is None:
        return "settled"
    if serves == standing.version:
        return "settled" if move.done else "unfinished"
    if not move.done and serves == move.entry.before:
        return "unfinished"
    earlier = [row for row in replayed.moves(alias) if row.number < move.number]
    if any(row.entry and row.entry.after == serves and row.being_set(now_ms) for row in earlier):
        return "late write"
    return "hand-made"
