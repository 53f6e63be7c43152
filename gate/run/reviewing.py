"""What a review counts for: exactly what its reviewer was shown.

    first = walk(GateRequest(gate_file, "7"))                           # hold
    review = Review("approve", "ana", "the three misses are typos")
    walk(GateRequest(gate_file, "7", review=review, seen=first.seen))   # promote, if nothing has changed since

Days lie between a decision to hold and its review. Data, gate file, base, champion, judges, alias or waivers may have
changed meanwhile, and nobody has approved what came of that.
"""

from __future__ import annotations

from finetune_gate.evaluators.scores import ScoreTable

from ..deciding import Review
from ..pins import ModelPin
from .seen import SERVES, Seen
from .states import Resolved


def seen_in(resolved: Resolved, table: ScoreTable) -> Seen:
    """What this run's decision rests on."""
    gate, pins = resolved.gate, resolved.pins
    serves = resolved.alias_at is not None and resolved.alias_at == pins.candidate.version
    in_force = [
        str(index)
        for index, rule in enumerate(gate.rules)
        if rule.waiver is not None and resolved.today <= rule.waiver.expires
    ]
    return Seen(
        {
            **{name: _model(pin) for name, pin in pins.by_name().items()},
            **{f"dataset {name}": found.digest for name, found in resolved.data.items()},
            **{f"evaluator {title}": f"version {found.version}" for title, found in gate.evaluators.items()},
            "gate file": gate.digest,
            "scores": table.digest(),
            "waivers in force": ", ".join(in_force) or "none",
            f"alias {gate.file.promotion.alias}": SERVES if serves else f"version {resolved.alias_at or 'none'}",
        }
    )


def review_that_counts(resolved: Resolved, table: ScoreTable) -> Review | None:
    """The review this run was given. A person who blocks has blocked this candidate whatever else may have changed; an
    approval of something else is none."""
    review, seen = resolved.request.review, resolved.request.seen
    if review is None or review.verdict == "block" or seen is None:
        return review
    return None if seen.changed(seen_in(resolved, table)) else review


def _model(pin: ModelPin) -> str:
    return f"version {pin.version or 'none'}, {pin.files.digest}"
