"""How far several answers to one question agree, from a relation between them or from their clusters.

    agree = [[True, True, False], [True, True, False], [False, False, True]]
    pair_agreement(agree)              # 1 of 3 pairs
    majority_share([0, 0, 1])          # 2/3
    pass_hat(right=3, drawn=4, k=2)    # C(3, 2) / C(4, 2) = 1/2

One answer says nothing about consistency: fewer than two are ``Unmeasured``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from math import comb

from ..absent import Unmeasured, Value

Relation = Sequence[Sequence[bool]]
"""Square and symmetric: whether answer i says the same as answer j. The diagonal is not read."""


def pair_agreement(agree: Relation) -> Value:
    """Share of the unordered pairs that agree. Over rephrasings of one question this is the consistency of ParaRel
    (Elazar et al. 2021, arXiv 2102.01017, section 3), over repeated samples the pairwise agreement."""
    if len(agree) < 2:
        return _too_few(len(agree))
    pairs = list(combinations(range(len(agree)), 2))
    return sum(agree[first][second] for first, second in pairs) / len(pairs)


def majority_share(clusters: Sequence[int]) -> Value:
    """Share of the answers that lie in the largest cluster (maj@n, the vote of arXiv 2203.11171)."""
    if len(clusters) < 2:
        return _too_few(len(clusters))
    return max(Counter(clusters).values()) / len(clusters)


def consistently_right(right: Sequence[bool]) -> Value:
    """1 where every answer is right, else 0: ParaRel's consistent accuracy of one question."""
    return float(all(right)) if len(right) >= 2 else _too_few(len(right))


def pass_hat(right: int, drawn: int, k: int) -> float:
    """pass^k: the chance that ``k`` answers picked from ``drawn``, of which ``right`` are right, are all right.

    C(right, k) / C(drawn, k), the unbiased estimator of p^k (tau-bench, arXiv 2406.12045), from exact integers.
    Raises ValueError unless 1 <= k <= drawn and 0 <= right <= drawn.
    """
    if not (1 <= k <= drawn and 0 <= right <= drawn):
        raise ValueError(f"pass^{k} of {right} right among {drawn}; expected 1 <= k <= drawn and 0 <= right <= drawn")
    return comb(right, k) / comb(drawn, k)


def _too_few(count: int) -> Unmeasured:
    return Unmeasured(f"{count} {'answer' if count == 1 else 'answers'}: agreement needs at least 2")
