"""What a model knows of a text by heart: continuations, n-grams found elsewhere, the least likely tokens.

    prefix, rest = cut(document, "words", prefix=32, continuation=32)
    shared_prefix(units_of(answer, "words"), units_of(rest, "words"))      # 32: word for word

Sources: extractable memorisation, Carlini et al., arXiv 2202.07646 (50 tokens of prefix, 50 of continuation, greedy;
here in words or characters, because a gate has no tokenizer of its own); Min-K% Prob, Shi et al., arXiv 2310.16789.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Literal

Unit = Literal["words", "characters"]
"""What texts are counted in. ``characters`` is for scripts that put no spaces between words."""

Ngram = tuple[str, ...]

_WORD = re.compile(r"\S+")


def units_of(text: str, unit: Unit) -> list[str]:
    """Words between whitespace, or characters with each run of whitespace as one space and none at the ends."""
    words = text.split()
    return words if unit == "words" else list(" ".join(words))


def joined(units: Iterable[str], unit: Unit) -> str:
    """The text that ``units_of`` would cut into ``units``."""
    return (" " if unit == "words" else "").join(units)


def cut(text: str, unit: Unit, prefix: int, continuation: int) -> tuple[str, str] | None:
    """The first ``prefix`` units of ``text`` as they stand, and the ``continuation`` units behind them.

    None where the text is shorter. The prefix ends before whitespace, as most tokenizers begin words with it.
    """
    text = text.strip()
    if unit == "characters":
        head, rest = text[:prefix].rstrip(), units_of(text[prefix:], unit)
    else:
        ends = [match.end() for at, match in enumerate(_WORD.finditer(text)) if at < prefix]
        if len(ends) < prefix:
            return None
        head, rest = text[: ends[-1]], units_of(text[ends[-1] :], unit)
    return (head, joined(rest[:continuation], unit)) if len(rest) >= continuation else None


def shared_prefix(first: Sequence[str], second: Sequence[str]) -> int:
    """How many units the two have in common before they first differ."""
    for at, (one, other) in enumerate(zip(first, second, strict=False)):
        if one != other:
            return at
    return min(len(first), len(second))


def edit_similarity(first: str, second: str) -> float:
    """1 - Levenshtein distance / length of the longer: 1 for equal texts, two empty ones included."""
    from rapidfuzz.distance import Levenshtein

    return float(Levenshtein.normalized_similarity(first, second))


def ngrams(units: Sequence[str], n: int) -> list[Ngram]:
    """Every run of ``n`` units, in order; none where there are fewer."""
    return [tuple(units[at : at + n]) for at in range(len(units) - n + 1)]


def found_among(wanted: set[Ngram], texts: Iterable[Sequence[str]], n: int) -> set[Ngram]:
    """Those of ``wanted`` that occur in ``texts``. One pass, and memory for no more than ``wanted``: the texts are the
    large side, and an index of all their n-grams would be larger still."""
    starts = {gram[0] for gram in wanted}
    found: set[Ngram] = set()
    for units in texts:
        for at in range(len(units) - n + 1):
            if units[at] in starts and (gram := tuple(units[at : at + n])) in wanted:
                found.add(gram)
    return found


def lowest_mean(logprobs: Sequence[float], share: float) -> float:
    """Mean of the lowest ``share`` of the log-probabilities, of one at least. Raises ValueError where there are none.

    A text that was never seen holds a few tokens that come as a surprise; one that was trained on holds fewer.
    """
    if not logprobs:
        raise ValueError("logprobs: found none; expected at least one")
    lowest = sorted(logprobs)[: max(1, int(len(logprobs) * share))]
    return math.fsum(lowest) / len(lowest)
