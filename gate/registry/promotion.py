"""Move what the gate decided into the registry, so that being killed at any moment leaves nothing half done for good.

    promoter = LedgerPromotion(registry, Author("octocat", "github"))
    generation = promoter.settle("support-bot", "champion").standing.generation      # before anything is judged
    move = promoter.promote(pins, "champion", None, digest, "runs:/4f0c/...", generation=generation)
    promoter.note(pins, "promote", "All 5 blocking rules passed.", "runs:/4f0c/...", digest)
    promoter.finish(pins)

An alias, and a legacy stage, move only by an entry in the model's promotion ledger (`ledger`), which settles who was
first. The candidate's version also carries an intent from before the alias moves, marked once all is published, so
that a run repeated after a kill, or later, knows what it was judged against.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal, Protocol

from finetune_gate.evaluators.errors import ConfigurationError, Problem

from ..pins import ModelPin, Pins
from .ledger import Ledger, Settled
from .ledger_entries import at_version
from .ledger_store import MAX_REASON, Author, Wanted
from .mlflow_client import plain
from .registered import INTENT_TAG, Intent, RegisteredVersion
from .registry import Registry
from .writing import Writer

Decision = Literal["promote", "block", "hold"]
Outcome = Literal["moved", "already_there", "stale"]
"""``moved``: the alias points to the candidate now, and did not before. ``already_there``: it did before, as after a
run that was killed. ``stale``: the alias was moved since the run was judged; nothing was moved."""

STAGES: Final = ("Staging", "Production", "Archived")


@dataclass(frozen=True, slots=True)
class Move:
    """What became of an alias (and stage, where one was asked for). Versions are numbers; None is "no alias".
    ``entry``: the number in the promotion ledger, where something was written there."""

    outcome: Outcome
    alias: str
    before: str | None
    after: str | None
    stage_before: str | None
    stage_after: str | None
    detail: str
    entry: int | None = None


class Promoter(Protocol):
    """Acts on a decision. Every method may be called again after a kill at any point, and ends in the same state."""

    def promote(
        self,
        pins: Pins,
        alias: str,
        stage: str | None,
        decision_digest: str,
        record_uri: str,
        *,
        expected: str | None = "champion",
        generation: int | None = None,
        reason: str = "",
    ) -> Move: ...
    def note(
        self,
        pins: Pins,
        decision: Decision,
        reason: str,
        record_uri: str,
        decision_digest: str,
        decided_at: str | None = None,
        *,
        alias: str = "champion",
        generation: int = 0,
    ) -> None: ...
    def finish(self, pins: Pins) -> None: ...


class LedgerPromotion:
    """Moves by the promotion ledger. ``deadline_s``: how long a write may take to be seen by reading."""

    def __init__(self, registry: Registry, author: Author | None = None, *, deadline_s: float = 10.0) -> None:
        self._registry = registry
        self._author = author
        self._deadline_s = deadline_s
        self._writer = Writer(registry, deadline_s)

    def settle(self, model: str, alias: str) -> Settled:
        """Bring alias and ledger together, and say where they are and what was done."""
        return self._ledger(model).settle(alias)

    def promote(
        self,
        pins: Pins,
        alias: str,
        stage: str | None,
        decision_digest: str,
        record_uri: str,
        *,
        expected: str | None = "champion",
        generation: int | None = None,
        reason: str = "",
    ) -> Move:
        """Point ``alias`` to the candidate (and move it to ``stage``, archiving what is there), or say why not.

        ``expected``: where the alias pointed when the run was pinned: a version, None for nowhere, or "champion" for
        where ``pins.champion`` is (nowhere, if there is none). ``generation``: that of the ledger then; None where it
        was not asked for, and only the version is compared. If either is another now, and the alias is not at the
        candidate either, the decision rests on stale grounds: the outcome is ``stale`` and nothing is moved.
        Raises RegistryError if the registry does not hold afterwards what was written, ConfigurationError for an
        unknown stage.
        """
        name, version = _registered(pins.candidate)
        if stage is not None and stage not in STAGES:
            raise ConfigurationError(Problem("promotion.stage", repr(stage), f"one of {', '.join(STAGES)}"))
        if expected == "champion":
            expected = pins.champion.version if pins.champion else None
        ledger = self._ledger(name)
        settled = ledger.settle(alias)
        candidate = self._registry.version(name, version)
        standing = settled.standing
        if standing.version == version and stage in (None, candidate.stage):
            return _there(settled, name, candidate, stage)
        if standing.version != version:
            if standing.version != expected:
                return _stale(standing.version, alias, candidate, stage, f"it pointed to {at_version(expected)}")
            if generation not in (None, standing.generation):
                return _stale(standing.version, alias, candidate, stage, f"entry {generation} of its ledger was last")
        wanted = Wanted(
            alias,
            standing.version,
            version,
            standing.generation,
            reason=reason,
            stage=stage,
            stage_before=candidate.stage if stage else None,
            decision_digest=decision_digest,
            record_uri=record_uri,
        )
        made = ledger.move(wanted, settled)
        if made.outcome == "stale" and made.serves != version:
            return _stale(made.serves, alias, candidate, stage, f"it pointed to {at_version(standing.version)}")
        return Move(
            outcome="moved" if made.outcome == "moved" and standing.version != version else "already_there",
            alias=alias,
            before=standing.version,
            after=version,
            stage_before=wanted.stage_before,
            stage_after=stage,
            detail=_said(name, alias, standing.version, version, wanted.stage_before, stage),
            entry=made.number,
        )

    def note(
        self,
        pins: Pins,
        decision: Decision,
        reason: str,
        record_uri: str,
        decision_digest: str,
        decided_at: str | None = None,
        *,
        alias: str = "champion",
        generation: int = 0,
    ) -> None:
        """Write the decision on the candidate's version, as tags ``finetune_gate.*``, and a refusal in the ledger of
        ``alias``, too. ``decided_at``: ISO 8601."""
        name, version = _registered(pins.candidate)
        tags = {
            "finetune_gate.decision": decision,
            "finetune_gate.reason": plain(reason, MAX_REASON),
            "finetune_gate.record": record_uri,
            "finetune_gate.record_digest": decision_digest,
        }
        candidate = self._registry.version(name, version)
        if decision != "promote" and any(candidate.tags.get(key) != value for key, value in tags.items()):
            serves = pins.champion.version if pins.champion else None
            said = reason if reason.lower().startswith(decision) else f"{decision}: {reason}"
            self._ledger(name).refuse(
                Wanted(
                    alias,
                    serves,
                    version,
                    generation,
                    reason=said,
                    decision_digest=decision_digest,
                    record_uri=record_uri,
                )
            )
        if decided_at is not None:
            tags["finetune_gate.decided_at"] = decided_at
        self._writer.set_tags(candidate, tags)

    def finish(self, pins: Pins) -> None:
        """All is published: say so on the intent. Call it whatever the decision was."""
        candidate = self._registry.version(*_registered(pins.candidate))
        intent = Intent.of(candidate)
        if intent is not None and not intent.published:
            self._writer.set_tags(candidate, {INTENT_TAG: replace(intent, published=True).to_tag()})

    def _ledger(self, model: str) -> Ledger:
        return Ledger(self._registry, model, self._author, deadline_s=self._deadline_s)


def _there(settled: Settled, name: str, candidate: RegisteredVersion, stage: str | None) -> Move:
    """The candidate serves: because it was moved there in this call, completing an earlier run's move, or before."""
    standing, version = settled.standing, candidate.version
    entry = standing.move.entry if standing.move else None
    promoted = entry is not None and entry.kind == "promotion"
    noted = Intent.of(candidate)
    before, stage_before = standing.version, candidate.stage if stage else None
    if entry is not None and promoted:
        before, stage_before = entry.before, entry.stage_before or stage_before
    if (before == version or not promoted) and noted and (noted.alias, noted.after) == (standing.alias, version):
        before, stage_before = noted.before, noted.stage_before or stage_before
    return Move(
        outcome="already_there" if settled.found == version else "moved",
        alias=standing.alias,
        before=before,
        after=version,
        stage_before=stage_before,
        stage_after=stage,
        detail=_said(name, standing.alias, before, version, stage_before, stage),
        entry=standing.generation or None,
    )


def _stale(serves: str | None, alias: str, candidate: RegisteredVersion, stage: str | None, then: str) -> Move:
    at = candidate.stage if stage else None
    now = f"alias {alias!r} of {candidate.name} points to {at_version(serves)} now"
    return Move("stale", alias, serves, serves, at, at, f"{now}; this run was judged when {then}")


def _said(name: str, alias: str, before: str | None, after: str, stage_before: str | None, stage: str | None) -> str:
    moved = f"alias {alias!r} of {name}: {at_version(before)} -> {at_version(after)}"
    return moved if stage is None else f"{moved}; stage {stage_before} -> {stage}"


def _registered(pin: ModelPin) -> tuple[str, str]:
    if not pin.name or not pin.version:
        raise ValueError(f"{pin.label} is no registered version")
    return pin.name, pin.version
