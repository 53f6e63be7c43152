"""Ratings beside the answers of one run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..absent import Unmeasured
from .by_rater import Opinions, choices_by_rater, scores_by_rater
from .ratings import Rating, text_key

Text = str | Unmeasured


@dataclass(frozen=True, slots=True)
class Panel:
    """Who said what of the candidate's answers and of those of the baseline that they are shown beside.

    ``texts`` are by role, in the order of ``examples``, which are ids; ``prompts`` are as people saw them. A role that
    the run does not have has no texts.
    """

    examples: tuple[str, ...]
    prompts: tuple[str, ...]
    texts: Mapping[str, tuple[Text, ...]]
    against: str
    ratings: tuple[Rating, ...]

    def choices(self) -> Opinions:
        """Of the pairs that are shown: 1 for the candidate, 0 for the baseline."""
        sides = (self._known("candidate"), self._known(self.against))
        return choices_by_rater(self.ratings, self.prompts, *sides)

    def scores(self, criterion: str, role: str) -> Opinions:
        return scores_by_rater(self.ratings, criterion, self.prompts, self._known(role))

    def raters(self) -> tuple[str, ...]:
        """Those who rated at least one of the pairs that are shown, in alphabetical order."""
        shown = self.pairs()
        return tuple(sorted({rating.rater for rating in self.ratings if rating.texts in shown and not rating.empty}))

    def pairs(self) -> frozenset[frozenset[str]]:
        """Keys of the texts of every pair that is shown."""
        keys = (self.pair_key(at) for at in range(len(self.prompts)))
        return frozenset(key for key in keys if len(key) == 2)

    def pair(self, at: int) -> tuple[Text, Text]:
        """Candidate's and baseline's answer to one prompt."""
        return self._text("candidate", at), self._text(self.against, at)

    def pair_key(self, at: int) -> frozenset[str]:
        """Keys of the two texts, as `Rating.texts`: only one where they are the same, none where one failed."""
        texts = self.pair(at)
        keys = [text_key(self.prompts[at], text) for text in texts if isinstance(text, str)]
        return frozenset(keys) if len(keys) == len(texts) else frozenset()

    def same(self, at: int) -> bool:
        """Whether there is nothing to choose from. Of an answer that failed that is not known."""
        first, second = self.pair(at)
        return isinstance(first, str) and first == second

    def current(self) -> frozenset[str]:
        """Keys of all answers of all models of the run."""
        return frozenset(
            text_key(prompt, text)
            for texts in self.texts.values()
            for prompt, text in zip(self.prompts, texts, strict=True)
            if isinstance(text, str)
        )

    def _text(self, role: str, at: int) -> Text:
        texts = self.texts.get(role)
        return Unmeasured(f"there is no {role} in this run") if texts is None else texts[at]

    def _known(self, role: str) -> Sequence[str | None]:
        texts = [self._text(role, at) for at in range(len(self.prompts))]
        return [text if isinstance(text, str) else None for text in texts]
