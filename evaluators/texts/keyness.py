"""Which words one set of texts uses more than another: log-odds with an informative Dirichlet prior.

    terms = keyness(ours, theirs)            # ours[i] and theirs[i]: the words of both on document i
    [term for term in terms if term.p <= 0.05 and term.z > 0]

With y counts of a term, n sums over all terms, a the prior's pseudo-counts and A their sum (Monroe, Colaresi and Quinn
2008, "Fightin' Words", Political Analysis 16:372):

    delta = log((y + a) / (n + A - y - a)) of ours minus that of theirs
    z     = delta / sqrt(1 / (y + a) of ours + 1 / (y + a) of theirs)

The prior is the pool of both sets, scaled to a share of their size. It pulls rare terms towards no difference, so
that a word seen a few times on one side only is not significant.

What z assumes: words are drawn one by one. They are not: an answer that says a word says it again. So z alone would
take one talkative document for a habit, and each term must also pass an exact sign test over documents: on how many
of them do we use it more often, on how many do they? A term's p is the larger of the two, so it is small only where
both are. p of z is corrected for the number of terms by Benjamini and Yekutieli (2001, Annals of Statistics 29:1165),
which holds under any dependence; the sign test is a check of the same finding and is not corrected again. It needs
documents that are independent of each other, and at 0.05 at least six of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import erfc, fsum, log, sqrt

from .normalizing import words


@dataclass(frozen=True, slots=True)
class Term:
    """``ours`` and ``theirs`` count uses, ``more`` and ``less`` the documents on which we use it more or less often
    than they. ``z`` above 0: we use it more. ``p`` is two-sided and corrected."""

    text: str
    ours: int
    theirs: int
    more: int
    less: int
    z: float
    p: float


def terms_of(text: str, *, bigrams: bool = False) -> list[str]:
    """The words of ``text``, with ``bigrams`` also each two neighbours: figures are no terms. Of
    scripts written without spaces a word is one character, and terms are found as two of them."""
    found = words(text)
    terms = [word for word in found if not word.isdigit()]
    if bigrams:
        terms += [f"{one} {two}" for one, two in pairwise(found) if not (one.isdigit() or two.isdigit())]
    return terms


def keyness(
    ours: Sequence[Sequence[str]], theirs: Sequence[Sequence[str]], *, least: int = 5, prior_share: float = 0.1
) -> tuple[Term, ...]:
    """Every term used at least ``least`` times on both sides together, the most over-used by us first.

    ``ours[i]`` and ``theirs[i]`` hold the terms of both sides on document i. The prior's pseudo-counts sum to
    ``prior_share`` of all uses. Empty where no term is used often enough or one side has no terms at all. Raises
    ValueError where the sides differ in documents.
    """
    from ..statistics import mcnemar_exact  # the sign test is McNemar's: documents that do not differ say nothing

    pairs = [(Counter(own), Counter(other)) for own, other in zip(ours, theirs, strict=True)]
    we: Counter[str] = Counter()
    they: Counter[str] = Counter()
    for own, other in pairs:
        we.update(own)
        they.update(other)
    pool = we + they
    tested = sorted(term for term, count in pool.items() if count >= least)
    if not tested or not we or not they:
        return ()
    scores = log_odds(tested, we, they, prior_share)
    corrected = benjamini_yekutieli([erfc(abs(z) / sqrt(2.0)) for z in scores])
    more = Counter(term for own, other in pairs for term in own if own[term] > other[term])
    less = Counter(term for own, other in pairs for term in other if other[term] > own[term])
    found = [
        Term(term, we[term], they[term], more[term], less[term], z, max(p, mcnemar_exact(more[term], less[term])))
        for term, z, p in zip(tested, scores, corrected, strict=True)
    ]
    return tuple(sorted(found, key=lambda term: (-term.z, term.text)))


def benjamini_yekutieli(p_values: Sequence[float]) -> list[float]:
    """Corrected p-values, in the order given: those at most q are a set with a false discovery rate of at most q."""
    count = len(p_values)
    harmonic = fsum(1.0 / rank for rank in range(1, count + 1))
    corrected = [1.0] * count
    least = 1.0
    for rank, at in sorted(enumerate(sorted(range(count), key=lambda at: p_values[at]), start=1), reverse=True):
        least = min(least, p_values[at] * count * harmonic / rank)
        corrected[at] = least
    return corrected


def log_odds(terms: Iterable[str], we: Counter[str], they: Counter[str], prior_share: float) -> list[float]:
    """z of each term, in the order given: how much more ours it is than theirs, by the formula above; 0 where
    there is one term only, whose odds against all others are no number."""
    pool = we + they
    if len(pool) == 1:
        return [0.0 for _ in terms]
    prior_total = prior_share * pool.total()
    our_total, their_total = we.total() + prior_total, they.total() + prior_total

    def z(term: str) -> float:
        prior = prior_share * pool[term]
        ours, theirs = we[term] + prior, they[term] + prior
        delta = log(ours / (our_total - ours)) - log(theirs / (their_total - theirs))
        return delta / sqrt(1.0 / ours + 1.0 / theirs)

    return [z(term) for term in terms]
