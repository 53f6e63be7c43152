"""Runs of words as 64-bit numbers, for many texts at once.

vocabulary = Vocabulary()
seen, unseen = vocabulary.encode(train_forms), vocabulary.encode(holdout_forms)
hashes, owners = windows(seen, 13)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # numpy is imported where it is used: see metrics.py
    import numpy as np
    from numpy.typing import NDArray

    from ..metrics import IntArray

    HashArray = NDArray[np.uint64]

_FACTOR = 0x9E3779B97F4A7C15
_WORDS_AT_ONCE = 2_000_000


@dataclass(frozen=True, slots=True)
class Encoded:
    """Texts as numbers of words: those of text ``i`` are ``words[starts[i]:starts[i + 1]]``."""

    words: IntArray
    starts: IntArray

    def __len__(self) -> int:
        return self.starts.size - 1

    def lengths(self) -> IntArray:
        """Words of each text."""
        return self.starts[1:] - self.starts[:-1]

    def part(self, first: int, last: int) -> Encoded:
        """Texts ``first`` up to, and without, ``last``."""
        start, end = int(self.starts[first]), int(self.starts[last])
        return Encoded(self.words[start:end], self.starts[first : last + 1] - start)

    def chunks(self) -> Iterator[tuple[int, Encoded]]:
        """Parts of about two million words, each with the position of its first text: what bounds memory."""
        import numpy as np

        first = 0
        while first < len(self):
            limit = int(self.starts[first]) + _WORDS_AT_ONCE
            last = max(first + 1, int(np.searchsorted(self.starts, np.int64(limit), "right")) - 1)
            yield first, self.part(first, last)
            first = last


class Vocabulary:
    """Numbers for words: the same word has the same number in everything that one vocabulary encoded."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def encode(self, forms: Iterable[str]) -> Encoded:
        """``forms``: texts in their normal form, whose words are what spaces separate."""
        import numpy as np

        numbers = self._numbers
        starts = [0]
        parts: list[IntArray] = [np.empty(0, dtype=np.int64)]
        for form in forms:
            words = [numbers.setdefault(word, len(numbers)) for word in form.split()]
            parts.append(np.array(words, dtype=np.int64))
            starts.append(starts[-1] + len(words))
        return Encoded(np.concatenate(parts), np.array(starts, dtype=np.int64))


def windows(texts: Encoded, size: int) -> tuple[HashArray, IntArray]:
    """Hashes, uint64 [windows], of every run of ``size`` words within one text, and which text each lies in.

    Equal runs have equal hashes. That two others do has a chance of about 1e-6 in a search of 10^7 runs in 10^6.
    """
    import numpy as np

    count = texts.words.size - size + 1
    if count < 1:
        return np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.int64)
    mixed = _mixed(texts.words.astype(np.uint64) + np.uint64(1))
    hashes = np.zeros(count, dtype=np.uint64)
    for at in range(size):
        hashes = hashes * np.uint64(_FACTOR) + mixed[at : at + count]
    owners = np.repeat(np.arange(len(texts), dtype=np.int64), texts.lengths())
    within = owners[:count] == owners[size - 1 :]
    return _mixed(hashes[within]), owners[:count][within]


def shingles(texts: Encoded, at: int, size: int) -> HashArray:
    """The set of one text's runs of ``size`` words, sorted; a shorter text is one run."""
    import numpy as np

    one = texts.part(at, at + 1)
    return np.unique(windows(one, min(size, one.words.size))[0])


def _mixed(values: HashArray) -> HashArray:
    """The finalizer of splitmix64, after which neighbouring numbers have nothing in common (Steele et al. 2014)."""
    import numpy as np

    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
