"""Near-duplicates: texts whose sets of word 5-grams are alike. MinHash finds candidates, exact sets decide.

Sources: Broder 1997 (resemblance, MinHash), Lee et al. 2021 (arXiv 2107.06499: 5-grams and 0.8 for language-model
data); signatures by ekzhu/datasketch. Candidates share one of 18 bands of 7 values: a pair at exactly 0.8 is found with
a chance of 98.5 %, at 0.85 with 99.9 %. What is found is never false: the exact Jaccard index is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol, cast

from .clusters import Clusters
from .shingles import Encoded, Vocabulary, shingles

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..metrics import IntArray
    from .shingles import HashArray

    Signatures = NDArray[np.uint32]

SHINGLE = 5
NEAR = 0.8
_BANDS, _ROWS = 18, 7
_SLACK = 0.15
"""How far below the threshold an estimate from signatures may lie before the pair is dropped: four standard errors."""

_ACROSS = 2_000
"""Texts of one bucket that a text is compared with, in one chunk of the other side."""

_WITHIN = 256
"""The same within one set: each text with so many before it in its bucket, which still chains dense clusters."""

_PAIRS_AT_ONCE = 200_000


class _Sketch(Protocol):
    """What is used of datasketch's MinHash."""

    hashvalues: Signatures


def signatures(texts: Encoded, seed: int) -> Signatures:
    """MinHash signatures, uint32 [texts, 126], seeded. Every text has a word."""
    import numpy as np
    from datasketch import minhash  # pyright: ignore[reportMissingTypeStubs] - it has none

    generate = cast("Callable[..., Iterator[_Sketch]]", minhash.MinHash.generator)  # pyright: ignore[reportUnknownMemberType]
    found = np.empty((len(texts), _BANDS * _ROWS), dtype=np.uint32)
    sets = ((shingles(texts, at, SHINGLE) >> np.uint64(32)).tolist() for at in range(len(texts)))
    # 32 bits of hashes that are good already: what it calls a hash function has nothing left to do
    hashed = generate(sets, num_perm=_BANDS * _ROWS, seed=seed + 1, hashfunc=int)
    for at, one in enumerate(hashed):
        found[at] = one.hashvalues
    return found


def jaccard(first: HashArray, second: HashArray) -> float:
    """Size of the intersection over size of the union, of sorted sets; 0 for two empty ones."""
    import numpy as np

    shared = np.intersect1d(first, second, assume_unique=True).size
    union = first.size + second.size - shared
    return shared / union if union else 0.0


def near_partners(seen: Encoded, unseen: Encoded, threshold: float, seed: int) -> dict[int, tuple[int, float]]:
    """For the texts of ``unseen`` that have one: a text of ``seen`` at least that alike, and the exact Jaccard index.
    Every text has a word."""
    import numpy as np

    left = np.arange(len(unseen), dtype=np.int64)
    ours = signatures(unseen, seed)
    found: dict[int, tuple[int, float]] = {}
    for first, chunk in seen.chunks():
        theirs = signatures(chunk, seed)
        for band in range(_BANDS):
            left = left[[int(at) not in found for at in left]]
            pairs = _across(_band(ours[left], band), _band(theirs, band))
            for some in np.array_split(pairs, 1 + len(pairs) // _PAIRS_AT_ONCE):
                mine, other = left[some[:, 0]], some[:, 1]
                for at, partner in _likely(ours[mine], theirs[other], mine, other, threshold):
                    if at not in found:
                        degree = jaccard(shingles(unseen, at, SHINGLE), shingles(chunk, partner, SHINGLE))
                        if degree >= threshold:
                            found[at] = (first + partner, degree)
    return found


def unite_near(forms: Sequence[str], clusters: Clusters, places: IntArray, threshold: float, seed: int) -> None:
    """Unite the clusters of near-duplicates among ``forms``, which each have a word; ``places`` says where in
    ``clusters`` each is."""
    import numpy as np

    encoded = Vocabulary().encode(forms)
    marks = signatures(encoded, seed)
    for band in range(_BANDS):
        pairs = _within(_band(marks, band))
        for some in np.array_split(pairs, 1 + len(pairs) // _PAIRS_AT_ONCE):
            firsts = clusters.firsts()[places]
            mine, other = some[firsts[some[:, 0]] != firsts[some[:, 1]]].T
            for one, another in _likely(marks[mine], marks[other], mine, other, threshold):
                ours, theirs = int(places[one]), int(places[another])
                if clusters.first_of(ours) == clusters.first_of(theirs):
                    continue
                if jaccard(shingles(encoded, one, SHINGLE), shingles(encoded, another, SHINGLE)) >= threshold:
                    clusters.unite(ours, theirs)


def _band(marks: Signatures, band: int) -> IntArray:
    """One number for each signature's values in a band: equal for equal values."""
    import numpy as np

    values = np.ascontiguousarray(marks[:, band * _ROWS : (band + 1) * _ROWS])
    mixed = np.zeros(len(values), dtype=np.uint64)
    for column in range(_ROWS):
        mixed = (mixed ^ values[:, column]) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    return mixed.view(np.int64)


def _across(ours: IntArray, theirs: IntArray) -> IntArray:
    """Positions [pairs, 2] of equal numbers, at most ``_ACROSS`` for each of ours."""
    import numpy as np

    order = np.argsort(theirs, kind="stable")
    ordered = theirs[order]
    low = np.searchsorted(ordered, ours, "left")
    counts = np.minimum(np.searchsorted(ordered, ours, "right") - low, _ACROSS)
    mine = np.repeat(np.arange(ours.size, dtype=np.int64), counts)
    offsets = np.arange(mine.size, dtype=np.int64) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.stack([mine, order[low[mine] + offsets]], axis=1)


def _within(numbers: IntArray) -> IntArray:
    """Positions [pairs, 2], the smaller first, of equal numbers: each with at most ``_WITHIN`` before it."""
    import numpy as np

    order = np.argsort(numbers, kind="stable")
    ordered = numbers[order]
    starts = np.searchsorted(ordered, ordered, "left")
    places = np.arange(numbers.size, dtype=np.int64)
    counts = np.minimum(places - starts, _WITHIN)
    later = np.repeat(places, counts)
    back = np.arange(later.size, dtype=np.int64) - np.repeat(np.cumsum(counts) - counts, counts) + 1
    return np.stack([order[later - back], order[later]], axis=1)


def _likely(
    ours: Signatures, theirs: Signatures, mine: IntArray, other: IntArray, threshold: float
) -> list[tuple[int, int]]:
    """The pairs whose signatures agree about as much as the threshold asks, most alike first."""
    import numpy as np

    alike = (ours == theirs).mean(axis=1)
    kept = np.flatnonzero(alike >= threshold - _SLACK)
    kept = kept[np.argsort(-alike[kept], kind="stable")]
    return [(int(mine[at]), int(other[at])) for at in kept]
