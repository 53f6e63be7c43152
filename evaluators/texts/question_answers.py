"""Short answers against references: exact match and token F1, as SQuAD's own script computes them.

    exact_match("The Eiffel Tower.", ["Eiffel Tower"])      # 1.0
    token_f1("Paris Paris Paris", ["Paris"])                # 0.5, and not the 1.0 that sets of words would give

Source: Rajpurkar et al. 2016 (SQuAD, arXiv 1606.05250). Several references: the best one counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from .normalizing import answer_words, folded, normalized_answer


def exact_match(answer: str, references: Sequence[str]) -> float:
    """1 where the normal forms are equal. A reference that is nothing but punctuation and articles has an empty one,
    and is compared as it is written."""
    normal = normalized_answer(answer)
    for reference in references:
        expected = normalized_answer(reference)
        if expected and expected == normal:
            return 1.0
        if not expected and folded(reference).split() == folded(answer).split():
            return 1.0
    return 0.0


def token_f1(answer: str, references: Sequence[str]) -> float:
    """Harmonic mean of precision and recall over multisets of words: a word counts as often as both have it."""
    given = answer_words(normalized_answer(answer))
    return max((_f1(given, answer, reference) for reference in references), default=0.0)


def _f1(given: list[str], answer: str, reference: str) -> float:
    expected = answer_words(normalized_answer(reference))
    if not expected:
        return exact_match(answer, (reference,))
    shared = (Counter(given) & Counter(expected)).total()
    return 2 * shared / (len(given) + len(expected))
