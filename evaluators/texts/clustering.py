"""Clusters of answers that mean the same, and the entropy over them.

    clusters = connected([[True, True, False], [True, True, False], [False, False, True]])   # (0, 0, 1)
    semantic_entropy(clusters)                                                               # 0.6365 nats

Clusters are the connected components of the relation "says the same as", which is the smallest equivalence that holds
it. They depend on nothing but the relation: neither on the order of the answers, as comparing each with the first
member of every cluster so far does, nor on how ties are broken, as agglomerative linkage does on a relation of yes and
no, where nearly everything is a tie. The price is chaining: A like B and B like C puts A and C together even where
they were found to differ, which makes a model look steadier. The share of agreeing pairs does not chain: read both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import fsum, log

from .agreement import Relation


def connected(agree: Relation) -> tuple[int, ...]:
    """The cluster of each answer. Clusters are numbered by their first answer; other orders give the same clusters."""
    clusters = [-1] * len(agree)
    found = 0
    for start in range(len(agree)):
        if clusters[start] >= 0:
            continue
        reached = [start]
        clusters[start] = found
        while reached:
            here = reached.pop()
            for other, same in enumerate(agree[here]):
                if same and clusters[other] < 0:
                    clusters[other] = found
                    reached.append(other)
        found += 1
    return tuple(clusters)


def semantic_entropy(clusters: Sequence[int], *, normalised: bool = False) -> float:
    """Discrete semantic entropy in nats: -sum p log p over the shares of the clusters, 0 where all answers agree.

    The plug-in form that needs no log-probabilities (Farquhar, Kossen, Kuhn and Gal 2024, Nature 630:625; Kuhn, Gal
    and Farquhar 2023, arXiv 2302.09664). It is at most log n for n answers, and lower than the entropy that more
    samples would show; ``normalised`` divides by log n. Raises ValueError without answers.
    """
    count = len(clusters)
    if not count:
        raise ValueError("semantic entropy of no answers")
    entropy = fsum(-size / count * log(size / count) for size in Counter(clusters).values())
    entropy = min(max(0.0, entropy), log(count))  # sums of rounded terms may leave the range by one unit
    return entropy / log(count) if normalised and count > 1 else entropy
