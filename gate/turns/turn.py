"""Who gates what: turns, and which of them count. Pure: no registry, no clock.

    log = replay(rows, now_ms, silence_s=90.0)
    log.standing(subject.key).state          # none, asked, running, silent, decided, failed, cancelled

A **subject** is one version of a model under one gate file. Everybody who wants to gate it appends a turn, saying after
which turn of that subject: the last they knew of, 0 for the first. A turn counts if, when its number is reached, that
one is still the last. So of all who start at once exactly one gates, and a turn that was abandoned is taken over by
exactly one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..record import canonical_json
from ..registry.mlflow_types import VersionEntity
from ..registry.registered import RegisteredVersion

TURN_TAG: Final = "finetune_gate.turn"
HEARD_TAG: Final = "finetune_gate.heard"
ENDED_TAG: Final = "finetune_gate.ended"
DELIVERED_TAG: Final = "finetune_gate.delivered"

Kind = Literal["run", "asked", "watched"]
"""``run``: a gate run. ``asked``: somebody was asked to start one. ``watched``: since which version the model is."""

Outcome = Literal["promote", "block", "hold", "failed", "misconfigured", "cancelled", "undelivered"]
"""How a turn ended. ``misconfigured``: as ``failed``, and trying again would change nothing. ``undelivered``: whoever
was to be asked could not be reached."""

State = Literal["none", "asked", "running", "silent", "decided", "failed", "cancelled"]
"""Of a subject. ``silent``: its run is not heard of any more. ``failed`` also after ``undelivered``."""

_DECISIONS: Final = ("promote", "block", "hold")


def identity_of(version: RegisteredVersion) -> str:
    """A digest of what the registry says a version is: the same number registered anew is another version.

    Cheap on purpose: who only looks whether there is something to gate downloads nothing. Limit: files changed under a
    version are not seen; the run itself hashes them.
    """
    return _sha256([version.name, version.version, version.source, version.run_id, version.created_ms])


@dataclass(frozen=True, slots=True)
class Subject:
    """One version under one gate file. ``base``: what `run --base` names instead of the gate file's, or ""."""

    model: str
    version: str
    version_digest: str
    gate_digest: str
    base: str = ""

    @classmethod
    def of(cls, version: RegisteredVersion, gate_digest: str, base: str = "") -> Subject:
        return cls(version.name, version.version, identity_of(version), gate_digest, base)

    @property
    def key(self) -> str:
        return _sha256([self.model, self.version, self.version_digest, self.gate_digest, self.base])


class Turn(BaseModel):
    """A turn as it was written. ``over`` is the last turn of that subject its writer knew of. ``via`` is where the gate
    is to run; ``process`` where it does, as `this_process` says it. ``attempt`` counts from 1."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    id: str
    key: str
    kind: Kind
    version: str
    over: int = Field(ge=0)
    attempt: int = Field(default=1, ge=1)
    gate_digest: str = ""
    via: str = ""
    process: str = ""
    actor: str
    trigger: str
    reason: str = ""
    at: str


class Ending(BaseModel):
    """What became of a turn. ``record`` is the address of the decision record, ``record_digest`` its digest and
    ``files_digest`` that of the files that were judged; ``sentence`` says why."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    outcome: Outcome
    sentence: str = ""
    record: str = ""
    record_digest: str = ""
    files_digest: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One turn with what was noted on it since. ``written_ms`` and ``heard_ms``: milliseconds since 1970."""

    number: int
    turn: Turn
    written_ms: int
    heard_ms: int | None = None
    delivered: str = ""
    ending: Ending | None = None

    @property
    def last_ms(self) -> int:
        """When it was last heard of."""
        return max(self.written_ms, self.heard_ms or 0)

    @property
    def who(self) -> str:
        return f"{self.turn.actor} ({self.turn.trigger})"

    @classmethod
    def of(cls, version: VersionEntity) -> Row | None:
        """None for what is no turn: somebody else registered something there, or changed it."""
        number, tags = int(version.version), version.tags
        try:
            turn = Turn.model_validate_json(tags.get(TURN_TAG, ""))
            ending = Ending.model_validate_json(tags[ENDED_TAG]) if ENDED_TAG in tags else None
        except ValidationError:
            return None
        if turn.over >= number:
            return None
        heard = tags.get(HEARD_TAG, "")
        return cls(
            number,
            turn,
            int(version.creation_timestamp or 0),
            int(heard) if heard.isdecimal() else None,
            tags.get(DELIVERED_TAG, ""),
            ending,
        )


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a subject stands: its last turn that counts, and how many turns since the last decision came to none."""

    key: str
    row: Row | None = None
    state: State = "none"
    attempts: int = 0

    @property
    def number(self) -> int:
        return self.row.number if self.row else 0


@dataclass(frozen=True, slots=True)
class Log:
    """All turns of one model, read to their end. ``watched_from``: versions above it are new; None: never watched."""

    rows: tuple[Row, ...] = ()
    standings: Mapping[str, Standing] = field(default_factory=dict[str, Standing])
    counting: frozenset[int] = frozenset()
    watched_from: int | None = None

    def standing(self, key: str) -> Standing:
        return self.standings.get(key, Standing(key))

    def decided(self, version: str) -> bool:
        """Whether any gate file has come to a decision on ``version``."""
        return any(
            row.turn.version == version and row.ending is not None and row.ending.outcome in _DECISIONS
            for row in self.rows
            if row.number in self.counting
        )


def replay(
    rows: Iterable[Row], now_ms: int, silence_s: float, is_dead: Callable[[str], bool] = lambda _process: False
) -> Log:
    """Which turns count. ``silence_s``: how long a run may not be heard of before it is thought to be gone.
    ``is_dead``: whether a process is known to have ended, whatever was heard of it."""
    ordered = sorted({row.number: row for row in rows}.values(), key=lambda row: row.number)
    last: dict[str, Row] = {}
    attempts: dict[str, int] = {}
    counting: set[int] = set()
    ids: set[str] = set()
    watched_from: int | None = None
    for row in ordered:
        turn = row.turn
        if turn.id in ids:  # a connection broke while it was written, and it was written twice
            continue
        ids.add(turn.id)
        if turn.kind == "watched":
            watched_from = int(turn.version) if watched_from is None and turn.version.isdecimal() else watched_from
            continue
        before = last.get(turn.key)
        if turn.over != (before.number if before else 0):
            continue
        attempts[turn.key] = attempts.get(turn.key, 0) + _came_to_nothing(before, turn)
        if before is not None and before.ending is not None and before.ending.outcome in _DECISIONS:
            attempts[turn.key] = 0
        last[turn.key] = row
        counting.add(row.number)

    def standing(key: str, row: Row) -> Standing:
        state = _state(row, now_ms, silence_s, is_dead)
        failed = state in ("failed", "silent") and not (row.ending and row.ending.outcome == "undelivered")
        return Standing(key, row, state, attempts[key] + failed)

    return Log(
        tuple(ordered), {key: standing(key, row) for key, row in last.items()}, frozenset(counting), watched_from
    )


def _came_to_nothing(before: Row | None, turn: Turn) -> bool:
    """Whether ``turn`` follows one that was an attempt: not one that asked for this very run, or reached nobody."""
    if before is None or (before.turn.kind == "asked" and turn.kind == "run"):
        return False
    return before.ending is None or before.ending.outcome not in ("undelivered", "cancelled", *_DECISIONS)


def _state(row: Row, now_ms: int, silence_s: float, is_dead: Callable[[str], bool]) -> State:
    if row.ending is not None:
        outcome = row.ending.outcome
        if outcome in _DECISIONS:
            return "decided"
        return "cancelled" if outcome == "cancelled" else "failed"
    if row.turn.kind == "asked":
        return "asked"
    if now_ms - row.last_ms > silence_s * 1000 or is_dead(row.turn.process):
        return "silent"
    return "running"


def _sha256(parts: object) -> str:
    return hashlib.sha256(canonical_json(parts)).hexdigest()
