"""Leakage: texts that models should never have seen, and that lie in what they were trained on.

    for leak in find_leaks(train_texts, holdout_texts):
        print(leak.unseen, leak.seen, leak.kind, leak.degree)

Three ways in which a text can be there, strongest first; each text is reported once, with one partner:

exact            the same words: case, width, white space and punctuation aside
near-duplicate   Jaccard index of the sets of word 5-grams at least 0.8 (see ``likeness``)
overlap          a run of 13 words in common, or the whole of a text of 8 to 12 words within another

13 and 8 are those of Brown et al. 2020 (arXiv 2005.14165, appendix C), 13 is also what EleutherAI/lm-evaluation-harness
decontaminates with. Runs that more than a tenth of the seen texts hold (and more than ten) are a form that is filled
in; they do not count, nor do runs that touch them. None of this finds translations, or the same fact in other words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from .likeness import NEAR, near_partners
from .shingles import Encoded, Vocabulary, windows
from .wording import normal_form

if TYPE_CHECKING:  # numpy is imported where it is used: see metrics.py
    import numpy as np
    from numpy.typing import NDArray

    from ..metrics import IntArray
    from .shingles import HashArray

    BoolArray = NDArray[np.bool_]

NGRAM = 13
SHORTEST = 8
"""Words of the shortest text that is looked for within others; shorter ones are too often part of something else."""

COMMON_SHARE = 0.1
COMMON_LEAST = 10
_HOLDERS = 4

Kind = Literal["exact", "near-duplicate", "overlap"]
_Partner = tuple[int, Kind, float]


@dataclass(frozen=True, slots=True)
class Leak:
    """Positions of two texts that have too much in common.

    ``degree``: 1 for an exact copy, the Jaccard index of a near-duplicate, and for an overlap the share of the unseen
    text's runs of words that lie in seen ones.
    """

    unseen: int
    seen: int
    kind: Kind
    degree: float


def find_leaks(
    seen: Sequence[str], unseen: Sequence[str], *, ngram: int = NGRAM, near: float = NEAR, seed: int = 0
) -> tuple[Leak, ...]:
    """One leak for each text of ``unseen`` that lies in ``seen``, in the order of ``unseen``. Empty texts never do.

    ``near`` of 1 looks for no near-duplicates. ``seen`` is read once, in parts: memory grows with its words (8 bytes
    each), time with both. Raises ValueError for ``ngram`` below 8, or ``near`` that is no share above 0.
    """
    if ngram < SHORTEST:
        raise ValueError(f"found ngram={ngram}; expected at least {SHORTEST}: shorter runs of words are everywhere")
    if not 0 < near <= 1:
        raise ValueError(f"found near={near}; expected a share above 0, up to 1")
    forms = [normal_form(text) for text in unseen]
    places: dict[str, int] = {}
    for place, text in enumerate(seen):
        places.setdefault(normal_form(text), place)
    places.pop("", None)
    partners: dict[str, _Partner] = {form: (places[form], "exact", 1.0) for form in forms if form in places}
    left = [form for form in dict.fromkeys(forms) if form and form not in partners]
    if left and places:
        vocabulary = Vocabulary()
        found = _alike(vocabulary.encode(places), vocabulary.encode(left), ngram, near, seed)
        distinct = list(places.values())
        partners |= {left[at]: (distinct[partner], kind, degree) for at, (partner, kind, degree) in found.items()}
    return tuple(Leak(at, *partners[form]) for at, form in enumerate(forms) if form in partners)


def _alike(seen: Encoded, unseen: Encoded, ngram: int, near: float, seed: int) -> dict[int, _Partner]:
    """Partners of the texts of ``unseen`` that are near-duplicates of some, or overlap with some."""
    import numpy as np

    found: dict[int, _Partner] = {}
    if near < 1:
        partners = near_partners(seen, unseen, near, seed)
        found = {at: (partner, "near-duplicate", degree) for at, (partner, degree) in partners.items()}
    left = np.array([at for at in range(len(unseen)) if at not in found], dtype=np.int64)
    sizes = np.minimum(unseen.lengths()[left], ngram)
    for size in range(SHORTEST, ngram + 1):
        found |= _overlapping(seen, unseen, left[sizes == size], size)
    return found


def _overlapping(seen: Encoded, unseen: Encoded, wanted: IntArray, size: int) -> dict[int, _Partner]:
    """For texts ``wanted`` with runs of ``size`` words that ``seen`` has too: the text that shares most of them, as far
    as the first few holders of each run tell."""
    import numpy as np

    if not wanted.size:
        return {}
    hashes, owners = windows(unseen, size)
    ours = np.isin(owners, wanted)
    runs, codes = np.unique(hashes[ours], return_inverse=True)
    owners = owners[ours]
    held, holders = _holders(seen, runs, size)
    common = held > max(COMMON_LEAST, COMMON_SHARE * len(seen))
    own = _apart(unseen, owners, common[codes], size)
    codes, owners = codes[own], owners[own]
    runs_of = np.bincount(owners, minlength=len(unseen))
    hits = np.flatnonzero(held[codes])
    hits_of = np.bincount(owners[hits], minlength=len(unseen))
    votes: dict[int, Counter[int]] = {}
    for code, owner in zip(codes[hits].tolist(), owners[hits].tolist(), strict=True):
        votes.setdefault(owner, Counter()).update(holders[code])
    return {
        owner: (min(found, key=lambda one: (-found[one], one)), "overlap", float(hits_of[owner] / runs_of[owner]))
        for owner, found in votes.items()
    }


def _apart(texts: Encoded, owners: IntArray, common: BoolArray, size: int) -> BoolArray:
    """Which runs share no word with a common one. A form and the word after it are little more than the form."""
    import numpy as np

    starts = texts.starts[owners] + np.arange(owners.size) - np.searchsorted(owners, owners)
    steps = np.zeros(texts.words.size + 1, dtype=np.int64)
    np.add.at(steps, starts[common], 1)
    np.add.at(steps, starts[common] + size, -1)
    covered = np.concatenate([[0], np.cumsum(np.cumsum(steps[:-1]) > 0)])
    return covered[starts + size] == covered[starts]


def _holders(seen: Encoded, runs: HashArray, size: int) -> tuple[IntArray, dict[int, list[int]]]:
    """How many texts of ``seen`` hold each of ``runs`` (sorted), and which: the first four."""
    import numpy as np

    held = np.zeros(runs.size, dtype=np.int64)
    holders: dict[int, list[int]] = {}
    for first, chunk in seen.chunks():
        hashes, owners = windows(chunk, size)
        places = np.minimum(np.searchsorted(runs, hashes), runs.size - 1)
        hit = runs[places] == hashes
        # a text that holds a run twice holds it once
        pairs = np.unique(places[hit] * len(chunk) + owners[hit])
        codes = pairs // len(chunk)
        known, starts, counts = np.unique(codes, return_index=True, return_counts=True)
        for code, start, count in zip(known.tolist(), starts.tolist(), counts.tolist(), strict=True):
            some = holders.setdefault(code, [])
            few = pairs[start : start + min(count, _HOLDERS - len(some))] - code * len(chunk)
            some += [first + int(holder) for holder in few]
        held[known] += counts
    return held, holders
