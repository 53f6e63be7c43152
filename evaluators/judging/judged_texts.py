"""What judges are shown: one answer to a question, or two of them, and what is known to be right."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Submission:
    """One answer to one question."""

    question: str
    answer: str
    references: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two answers to one question, in the order in which a judge sees them."""

    question: str
    first: str
    second: str
    references: tuple[str, ...] = ()

    @property
    def swapped(self) -> Comparison:
        return Comparison(self.question, self.second, self.first, self.references)
