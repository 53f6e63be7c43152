"""What earlier gates of a model came to: decisions, figures over versions, and how often a dataset was looked at.

past = Tracking(registry).past_runs("support-bot")
decisions_of(past)[-1].metrics["classification.accuracy"]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .registry import PastRun

FALSE_PROMOTION = 0.05
"""Chance that a gate passes a candidate that is no better, at the usual confidence."""

WORN = 0.5
"""A dataset is called worn out where the chance that one of its gates was lucky has reached this."""


@dataclass(frozen=True, slots=True)
class PastDecision:
    """One gate run. ``metrics`` are the candidate's; ``base/...``, ``champion/...``, ``vs_base/...`` as MLflow has
    them. ``rule_metrics`` are those that a rule spoke of."""

    run_id: str
    at: datetime
    version: str
    decision: str
    sentence: str
    dry_run: bool
    rule_metrics: tuple[str, ...]
    metrics: Mapping[str, float]


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
        )
        for run in past
        if run.tags.get("finetune_gate.decision")
    ]


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
