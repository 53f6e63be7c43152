"""Which words a fine-tuning corpus is about: those that its texts hold more often than other texts do.

    terms = fine_tuning_terms(train_texts, other_texts)
    spans = term_spans("My invoice was wrong.", [term.text for term in terms])    # [(3, 10)]

Every text counts a word once, however often it says it, so that no single text makes a term. The two corpora need not
be of one size. The more a word belongs to the first, the higher its z (``keyness.log_odds``, of texts that hold a word
in place of its uses); the prior is a tenth of what both corpora hold together. Limits: words are runs of letters and
digits, so scripts written without spaces have no terms here; z is a ranking with a threshold, not a test corrected for
many words.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .keyness import log_odds

_WORD = re.compile(r"\w+")
_PRIOR_SHARE = 0.1

Span = tuple[int, int]
"""Begin and end of a piece of text, in characters."""


@dataclass(frozen=True, slots=True)
class TrainingTerm:
    """A word with how many texts of either corpus hold it; the higher ``z``, the more it belongs to the first."""

    text: str
    train: int
    others: int
    z: float


def fine_tuning_terms(
    train_texts: Iterable[str], other_texts: Iterable[str], *, most: int = 50, least: int = 3, least_z: float = 1.645
) -> tuple[TrainingTerm, ...]:
    """At most ``most`` words, the most characteristic of ``train_texts`` first: in at least ``least`` of its texts,
    and with z of at least ``least_z``. Empty where either corpus has no words."""
    ours, theirs = _holding(train_texts), _holding(other_texts)
    if not ours or not theirs:
        return ()
    often = [word for word, count in ours.items() if count >= least]
    found = zip(often, log_odds(often, ours, theirs, _PRIOR_SHARE), strict=True)
    chosen = [TrainingTerm(word, ours[word], theirs[word], z) for word, z in found if z >= least_z]
    return tuple(sorted(chosen, key=lambda term: (-term.z, term.text))[:most])


def term_spans(text: str, terms: Sequence[str]) -> list[Span]:
    """Where ``text`` holds any of ``terms`` as whole words, whatever their case; of two that overlap, the longer."""
    written = [re.escape(term) for term in sorted(set(terms), key=lambda term: (-len(term), term)) if term.strip()]
    if not written:
        return []
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(written)})(?!\w)", re.IGNORECASE)
    return [match.span() for match in pattern.finditer(text)]


def _holding(texts: Iterable[str]) -> Counter[str]:
    """How many of ``texts`` hold each word that has a letter in it."""
    found: Counter[str] = Counter()
    for text in texts:
        found.update({word for word in _WORD.findall(text.casefold()) if any(map(str.isalpha, word))})
    return found
