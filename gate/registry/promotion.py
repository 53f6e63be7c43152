"""Move what the gate decided into the registry, so that being killed at any moment leaves nothing half done for good.

    promoter = AliasPromotion(registry)
    move = promoter.promote(pins, "champion", None, record.digest(), "runs:/4f0c/finetune_gate/record.json")
    promoter.note(pins, "promote", "All 5 blocking rules passed.", "runs:/4f0c/...", record.digest())
    promoter.finish(pins)

MLflow has no compare-and-set for aliases, and keeps no history of them. So the alias is read again right before it is
written, and what was written is read back; the candidate's version carries an intent from before the move, marked
once all is published, so that a run repeated after a kill, or later, knows what it was judged against. Limit: between
that reading and the writing, another writer can still slip in; two gates of one model at the same moment are not kept
apart yet.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Literal, Protocol, TypeVar

from finetune_gate.evaluators.errors import ConfigurationError, Problem, RegistryError

from ..pins import ModelPin, Pins
from .mlflow_client import plain
from .registered import INTENT_TAG, Intent, RegisteredVersion
from .registry import Registry

T = TypeVar("T")
Decision = Literal["promote", "block", "hold"]
Outcome = Literal["moved", "already_there", "stale"]
"""``moved``: the alias points to the candidate now, and did not before. ``already_there``: it did before, as after a
run that was killed. ``stale``: it points neither where it did when the run was judged, nor to the candidate; nothing
was moved."""

STAGES: Final = ("Staging", "Production", "Archived")
MAX_REASON: Final = 500


@dataclass(frozen=True, slots=True)
class Move:
    """What became of an alias (and stage, where one was asked for). Versions are numbers; None is "no alias"."""

    outcome: Outcome
    alias: str
    before: str | None
    after: str | None
    stage_before: str | None
    stage_after: str | None
    detail: str


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
    ) -> Move: ...
    def note(
        self,
        pins: Pins,
        decision: Decision,
        reason: str,
        record_uri: str,
        decision_digest: str,
        decided_at: str | None = None,
    ) -> None: ...
    def finish(self, pins: Pins) -> None: ...


class AliasPromotion:
    """Moves MLflow's alias directly. ``deadline_s``: how long a write may take to be seen by reading."""

    def __init__(self, registry: Registry, *, deadline_s: float = 10.0) -> None:
        self._registry = registry
        self._deadline_s = deadline_s

    def promote(
        self,
        pins: Pins,
        alias: str,
        stage: str | None,
        decision_digest: str,
        record_uri: str,
        *,
        expected: str | None = "champion",
    ) -> Move:
        """Point ``alias`` to the candidate (and move it to ``stage``, archiving what is there), or say why not.

        ``expected``: where the alias pointed when the run was pinned: a version, None for nowhere, or "champion" for
        where ``pins.champion`` is (nowhere, if there is none). If it points anywhere else now, and not to the
        candidate either, the decision rests on stale grounds: the outcome is ``stale`` and nothing is moved.
        Raises RegistryError if the registry does not hold afterwards what was written, ConfigurationError for an
        unknown stage.
        """
        name, version = _registered(pins.candidate)
        if stage is not None and stage not in STAGES:
            raise ConfigurationError(Problem("promotion.stage", repr(stage), f"one of {', '.join(STAGES)}"))
        if expected == "champion":
            expected = pins.champion.version if pins.champion else None
        current = self._registry.alias_version(name, alias)
        candidate = self._registry.version(name, version)
        if current not in (expected, version):
            return Move(
                outcome="stale",
                alias=alias,
                before=current,
                after=current,
                stage_before=candidate.stage if stage else None,
                stage_after=candidate.stage if stage else None,
                detail=f"alias {alias!r} of {name} points to {_at(current)} now; "
                f"this run was judged when it pointed to {_at(expected)}",
            )
        earlier = Intent.of(candidate)
        resumed = current == version and earlier is not None and (earlier.alias, earlier.after) == (alias, version)
        before = earlier.before if earlier and resumed else current
        stage_before = (earlier.stage_before if earlier and resumed else candidate.stage) if stage else None
        self._set_tags(
            candidate, {INTENT_TAG: Intent(alias, before, version, stage_before, decision_digest, record_uri).to_tag()}
        )
        if current != version:
            self._set_alias(name, alias, version, current)
        if stage is not None and candidate.stage != stage:
            self._set_stage(candidate, stage)
        self._read_back(f"alias {alias!r} of {name}", current, version, lambda: self._alias(name, alias))
        moved = f"alias {alias!r} of {name}: {_at(before)} -> {_at(version)}"
        if stage is not None:
            moved += f"; stage {stage_before} -> {stage}"
        return Move(
            outcome="already_there" if current == version else "moved",
            alias=alias,
            before=before,
            after=version,
            stage_before=stage_before,
            stage_after=stage,
            detail=moved,
        )

    def note(
        self,
        pins: Pins,
        decision: Decision,
        reason: str,
        record_uri: str,
        decision_digest: str,
        decided_at: str | None = None,
    ) -> None:
        """Write the decision on the candidate's version, as tags ``finetune_gate.*``. ``decided_at``: ISO 8601."""
        name, version = _registered(pins.candidate)
        tags = {
            "finetune_gate.decision": decision,
            "finetune_gate.reason": plain(reason, MAX_REASON),
            "finetune_gate.record": record_uri,
            "finetune_gate.record_digest": decision_digest,
        }
        if decided_at is not None:
            tags["finetune_gate.decided_at"] = decided_at
        self._set_tags(self._registry.version(name, version), tags)

    def finish(self, pins: Pins) -> None:
        """All is published: say so on the intent. Call it whatever the decision was."""
        candidate = self._registry.version(*_registered(pins.candidate))
        intent = Intent.of(candidate)
        if intent is not None and not intent.published:
            self._set_tags(candidate, {INTENT_TAG: replace(intent, published=True).to_tag()})

    def _set_tags(self, version: RegisteredVersion, tags: dict[str, str]) -> None:
        """Those that differ, and then read back."""
        connection = self._registry.connection
        for key, value in tags.items():
            if version.tags.get(key) != value:
                with connection.doing(f"set tag {key!r} of {version.label}"):
                    connection.client.set_model_version_tag(version.name, version.version, key, value)

        def read() -> dict[str, str | None]:
            found = self._registry.version(version.name, version.version).tags
            return {key: found.get(key) for key in tags}

        self._read_back(f"tags of {version.label}", {key: version.tags.get(key) for key in tags}, tags, read)

    def _set_alias(self, name: str, alias: str, version: str, current: str | None) -> None:
        connection = self._registry.connection
        try:
            with connection.doing(f"point alias {alias!r} of {name} to version {version}"):
                connection.client.set_registered_model_alias(name, alias, version)
        except RegistryError:
            # two first writers at once: MLflow refuses one of them, which may have wanted the same
            if self._alias(name, alias) != version:
                raise
        self._read_back(f"alias {alias!r} of {name}", current, version, lambda: self._alias(name, alias))

    def _set_stage(self, version: RegisteredVersion, stage: str) -> None:
        connection = self._registry.connection
        with connection.doing(f"move {version.label} to stage {stage}"), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # that stages are deprecated is known, and asked for
            connection.client.transition_model_version_stage(
                version.name, version.version, stage, archive_existing_versions=stage != "Archived"
            )
        self._read_back(
            f"stage of {version.label}",
            version.stage,
            stage,
            lambda: self._registry.version(version.name, version.version).stage,
        )

    def _alias(self, name: str, alias: str) -> str | None:
        return self._registry.alias_version(name, alias)

    def _read_back(self, what: str, old: object, wanted: T, read: Callable[[], T]) -> None:
        """Until it reads as it was written, or the deadline is over: a replica may lag behind."""
        until, pause = time.monotonic() + self._deadline_s, 0.05
        while (found := read()) != wanted:
            if time.monotonic() + pause > until:
                raise RegistryError(
                    Problem(
                        where=what,
                        found=f"{found!r} after {wanted!r} was written (before: {old!r})",
                        expected=repr(wanted),
                        way_out="another writer, or a server that drops writes: see who moved it, and run again",
                    )
                )
            time.sleep(pause)
            pause = min(pause * 2, 1.0)


def _registered(pin: ModelPin) -> tuple[str, str]:
    if not pin.name or not pin.version:
        raise ValueError(f"{pin.label} is no registered version")
    return pin.name, pin.version


def _at(version: str | None) -> str:
    return f"version {version}" if version else "nothing"
