"""What a review counts for: exactly what its reviewer was shown.

    first = walk(GateRequest(gate_file, "7"))                           # hold
    review = Review("approve", "ana", "the three misses are typos")
    walk(GateRequest(gate_file, "7", review=review, seen=first.seen))   # promote, if nothing has changed since

Days lie between a decision to hold and its review. Data, gate file, base, champion, judges, alias or waivers may have
changed meanwhile, and nobody has approved what came of that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ..deciding import Review
from ..pins import ModelPin

if TYPE_CHECKING:
    from finetune_gate.evaluators.scores import ScoreTable

    from .states import Resolved

_SERVES: Final = "the candidate"
"""What an alias points to that needs no moving; every other part is a digest or a version."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a decision rested on, part by part, each as a digest or a name: ``{"dataset holdout": "5f0c...", ...}``."""

    parts: Mapping[str, str]

    def changed(self, now: Seen) -> tuple[str, ...]:
        """Names of the parts that are not what they were, in alphabetical order.

        An alias that points to the candidate is no change: promoting moves nothing then, and a run killed right after
        it moved the alias has to come to the same decision again.
        """
        names = sorted({*self.parts, *now.parts})
        return tuple(name for name in names if now.parts.get(name) not in (self.parts.get(name), _SERVES))


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
            f"alias {gate.file.promotion.alias}": _SERVES if serves else f"version {resolved.alias_at or 'none'}",
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
