"""What earlier gates of a model came to: decisions, figures over versions, moves, uses of datasets.

past = Tracking(registry).past_runs("support-bot")
decisions_of(past)[-1].metrics["classification.accuracy"]
moves_of(Ledger(registry, "support-bot").read())[-1].reason
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .registry import PastRun
    from .registry.ledger_entries import Replayed

FALSE_PROMOTION = 0.05
"""Chance that a gate passes a candidate that is no better, at the usual confidence."""

WORN = 0.5
"""A dataset is called worn out where the chance that one of its gates was lucky has reached this."""


@dataclass(frozen=True, slots=True)
class PastDecision:
    """One gate run. ``metrics`` are the candidate's; ``base/...``, ``champion/...``, ``vs_base/...`` as MLflow has
    them. ``rule_metrics`` are those that a rule spoke of. ``trigger`` and ``actor`` say what and who made it, a claim;
    ``review`` is what a person said of a hold. Empty where nothing was said, as by runs of older versions."""

    run_id: str
    at: datetime
    version: str
    decision: str
    sentence: str
    dry_run: bool
    rule_metrics: tuple[str, ...]
    metrics: Mapping[str, float]
    trigger: str = ""
    actor: str = ""
    review: str = ""
    awaits_approval: bool = False


def figure_name(metric: str, by: Mapping[str, str]) -> str:
    """What MLflow calls a metric on one slice: ``classification.accuracy[category=billing]``."""
    return metric + "".join(f"[{column}={value}]" for column, value in by.items())


def low_name(figure: str) -> str:
    """Where the lower end of a figure's interval is kept."""
    return f"low/{figure}"


def high_name(figure: str) -> str:
    return f"high/{figure}"


def decisions_of(past: Sequence[PastRun]) -> list[PastDecision]:
    """Oldest first."""
    return [
        PastDecision(
            run_id=run.run_id,
            at=datetime.fromtimestamp(run.started_ms / 1000, UTC),
            version=run.tags.get("finetune_gate.version", ""),
            decision=run.tags.get("finetune_gate.decision", ""),
            sentence=run.tags.get("finetune_gate.reason", ""),
            dry_run=run.tags.get("finetune_gate.dry_run") == "true",
            rule_metrics=tuple(filter(None, run.tags.get("finetune_gate.rule_metrics", "").split(","))),
            metrics=run.metrics,
            trigger=run.tags.get("finetune_gate.trigger", ""),
            actor=run.tags.get("finetune_gate.actor", ""),
            review=run.tags.get("finetune_gate.review", ""),
            awaits_approval=run.tags.get("finetune_gate.awaits_approval") == "true",
        )
        for run in past
        if run.tags.get("finetune_gate.decision")
    ]


@dataclass(frozen=True, slots=True)
class PastMove:
    """One entry of the promotion ledger. ``fate`` is its `Fate` there; of what counts, ``carried_out`` says whether the
    alias was seen to follow."""

    entry: int
    at: datetime
    kind: str
    alias: str
    before: str | None
    after: str | None
    fate: str
    carried_out: bool
    actor: str
    trigger: str
    reason: str
    record: str


def moves_of(ledger: Replayed, most: int | None = None) -> list[PastMove]:
    """Oldest first; the newest ``most``. Times are the registry's own."""
    found: list[PastMove] = []
    for row in ledger.rows if most is None else ledger.rows[-most:]:
        entry = row.entry
        found.append(
            PastMove(
                entry=row.number,
                at=datetime.fromtimestamp(row.written_ms / 1000, UTC),
                kind=entry.kind if entry else "unreadable",
                alias=entry.alias if entry else "",
                before=entry.before if entry else None,
                after=entry.after if entry else None,
                fate=ledger.fates[row.number],
                carried_out=row.done,
                actor=entry.actor if entry else "",
                trigger=entry.trigger if entry else "",
                reason=entry.reason if entry else "somebody wrote this who was not finetune-gate, or changed it",
                record=entry.record_uri if entry else "",
            )
        )
    return found


def became_of(move: PastMove) -> str:
    """``promotion: version 3 -> version 4``, with what else there is to say."""
    if move.kind == "unreadable":
        return "no entry of finetune-gate"
    if move.kind == "refusal":
        return f"refusal of version {move.after} for {move.alias}"
    before, after = (f"version {one}" if one else "nothing" for one in (move.before, move.after))
    said = f"{move.kind} of {move.alias}: {before} -> {after}"
    notes = {
        "late": "did not count: another move was first",
        "unclear": "not known to count: an entry before it was deleted",
        "repeat": "written twice",
        "counts": "" if move.carried_out else "not carried out yet",
    }
    note = notes.get(move.fate, "")
    return f"{said} ({note})" if note else said


def earlier_uses(past: Sequence[PastRun], digests: Mapping[str, str], run_key: str) -> dict[str, int]:
    """For each dataset, how many other gates saw the same file, under whatever name. The same gate run again, with
    equal models, gate file and data, saw it once."""
    seen: dict[str, set[str]] = {}
    for run in past:
        if run.key == run_key:
            continue
        for name, value in run.params.items():
            if name.startswith("dataset."):
                seen.setdefault(value, set()).add(run.key)
    return {name: len(seen.get(digest, ())) for name, digest in digests.items()}


def chance_of_luck(uses: int) -> float:
    """The most that the chance can be that at least one of ``uses`` gates promoted by luck: 1 - (1 - alpha)^uses."""
    return 1.0 - (1.0 - FALSE_PROMOTION) ** uses
