"""Judges: who says which of two answers is better, and what becomes of it in both orders.

    judge = AskedJudge("openai:/gpt-4o", JudgePrompt("structured"), repeats=1)
    judge.requests(comparison)                  # both orders, all repeats
    judge.verdict(comparison, replies)          # Verdict(win=1.0, ...), or Unmeasured

A win counts only if it survives the swap of the two answers (FastChat, arXiv 2306.05685); log-probabilities are
averaged over both orders. Everything here is about the first answer of the comparison that is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from typing import Protocol

from ...absent import Unmeasured
from ...asking import Answer, Failed, Request
from ...evaluator import Answers
from ...texts.question_answers import token_f1
from ..judged_texts import Comparison
from ..settings import REFERENCE_SCHEME, Similarity
from .prompts import JudgePrompt
from .verdicts import Preference, read_choice, read_structured

LANGUAGE_MODEL = "LLM"
NO_LANGUAGE_MODEL = "similarity to the reference answer, not an LLM"
"""What a judge is, in every report."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a judge makes of one comparison, over both orders, averaged over repeats.

    ``win`` 1: the first answer is better, .5: a tie, 0: it is worse. ``flipped``: share of repeats in which the order
    changed the verdict. ``first_slot``: how far whatever stood first was preferred; .5 is even. ``preferred``: in which
    share of all calls the first answer was. ``rationales``: the judge's own words, as given and swapped, and hostile.
    """

    win: float
    flipped: float
    first_slot: float
    preferred: float
    rationales: tuple[str, str] = ("", "")


class Judge(Protocol):
    """One of the panel."""

    @property
    def address(self) -> str: ...

    @property
    def nature(self) -> str:
        """`LANGUAGE_MODEL` or `NO_LANGUAGE_MODEL`."""
        ...

    @property
    def calls(self) -> int:
        """Requests for one comparison, at most."""
        ...

    def requests(self, comparison: Comparison) -> tuple[Request, ...]: ...

    def verdict(self, comparison: Comparison, replies: Answers) -> Verdict | Unmeasured:
        """Unmeasured where any of its requests has no reply that can be read."""
        ...

    def tie(self, comparison: Comparison, replies: Answers, tolerance: float) -> float | Unmeasured:
        """Of two equal answers: in which share of repeats the judge sees that neither is better, which is a verdict of
        tie or, of log-probabilities, a preference within ``tolerance`` of one half."""
        ...


@dataclass(frozen=True, slots=True)
class AskedJudge:
    """A model that is asked."""

    address: str
    prompt: JudgePrompt
    repeats: int

    @property
    def nature(self) -> str:
        return LANGUAGE_MODEL

    @property
    def calls(self) -> int:
        return 2 * self.repeats

    def requests(self, comparison: Comparison) -> tuple[Request, ...]:
        orders = (comparison, comparison.swapped)
        asked = [self.prompt.request(one, repeat) for repeat in range(self.repeats) for one in orders]
        return tuple(dict.fromkeys(asked))

    def verdict(self, comparison: Comparison, replies: Answers) -> Verdict | Unmeasured:
        as_given, swapped = self._read(comparison, replies), self._read(comparison.swapped, replies)
        if isinstance(as_given, Unmeasured):
            return as_given
        if isinstance(swapped, Unmeasured):
            return swapped
        pairs = [(ours.first, 1.0 - theirs.first) for ours, theirs in zip(as_given, swapped, strict=True)]
        return Verdict(
            win=_mean(map(self._win, pairs)),
            flipped=_mean(map(self._flipped, pairs)),
            first_slot=_mean((ours + 1.0 - theirs) / 2 for ours, theirs in pairs),
            preferred=_mean(float(one > 0.5) for pair in pairs for one in pair),
            rationales=(as_given[0].rationale, swapped[0].rationale),
        )

    def tie(self, comparison: Comparison, replies: Answers, tolerance: float) -> float | Unmeasured:
        read = self._read(comparison, replies)
        if isinstance(read, Unmeasured):
            return read
        within = tolerance if self.prompt.verdict == "logprobs" else 0.0
        return _mean(float(abs(one.first - 0.5) <= within) for one in read)

    def _read(self, comparison: Comparison, replies: Answers) -> list[Preference] | Unmeasured:
        """One for each repeat, or why the first that is missing cannot be told."""
        found: list[Preference] = []
        for repeat in range(self.repeats):
            reply: Answer = replies.get(self.prompt.request(comparison, repeat), Failed("the judge was not asked"))
            told = read_choice(reply) if self.prompt.verdict == "logprobs" else read_structured(reply)
            if isinstance(told, Unmeasured):
                return told
            found.append(told)
        return found

    def _win(self, pair: tuple[float, float]) -> float:
        if self.prompt.verdict == "logprobs":
            return fsum(pair) / 2
        return pair[0] if pair in ((1.0, 1.0), (0.0, 0.0)) else 0.5

    def _flipped(self, pair: tuple[float, float]) -> bool:
        """Log-probabilities are never quite equal: there only a change of sides counts."""
        if self.prompt.verdict == "logprobs":
            return (pair[0] - 0.5) * (pair[1] - 0.5) < 0
        return pair[0] != pair[1]


@dataclass(frozen=True, slots=True)
class ReferenceJudge:
    """Prefers the answer that is more like the reference. Asks nobody, knows no order, and is no language model: it
    serves where none can be had, and as a check on one."""

    similarity: Similarity

    @property
    def address(self) -> str:
        return f"{REFERENCE_SCHEME}{self.similarity}"

    @property
    def nature(self) -> str:
        return NO_LANGUAGE_MODEL

    @property
    def calls(self) -> int:
        return 0

    def requests(self, comparison: Comparison) -> tuple[Request, ...]:
        return ()

    def verdict(self, comparison: Comparison, replies: Answers) -> Verdict | Unmeasured:
        if not comparison.references:
            return Unmeasured("the example has no reference")
        like = _SIMILARITIES[self.similarity]
        ours, theirs = (round(like(text, comparison.references), 9) for text in (comparison.first, comparison.second))
        told = f"{self.similarity} to the reference: {ours:.3f} and {theirs:.3f}"
        return Verdict((ours > theirs) / 2 + (ours >= theirs) / 2, 0.0, 0.5, float(ours > theirs), (told, told))

    def tie(self, comparison: Comparison, replies: Answers, tolerance: float) -> float | Unmeasured:
        told = self.verdict(comparison, replies)
        return told if isinstance(told, Unmeasured) else float(told.win == 0.5)


def _mean(values: Iterable[float]) -> float:
    some = list(values)
    return fsum(some) / len(some)


def _rouge_l(text: str, references: Sequence[str]) -> float:
    from ...texts.rouge import choose_tokenizer, rouge, tokenizer_named

    return rouge(references, text, tokenizer_named(choose_tokenizer("auto", references))).rougeL


def _chrf(text: str, references: Sequence[str]) -> float:
    import numpy as np

    from ...texts.overlap import chrf_counts, corpus_chrf

    return float(corpus_chrf(np.array(chrf_counts([text], [references]), dtype=np.float64))[0]) / 100


_SIMILARITIES: Mapping[Similarity, Callable[[str, Sequence[str]], float]] = {
    "token_f1": token_f1,
    "rouge_l": _rouge_l,
    "chrf": _chrf,
}
