"""What a decision rested on, so that a review of it counts for nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

SERVES: Final = "the candidate"
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
        return tuple(name for name in names if now.parts.get(name) not in (self.parts.get(name), SERVES))
