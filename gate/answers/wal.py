"""Whether SQLite's write-ahead log still holds everything that was committed to it.

SQLite believes the log up to the first frame that does not check out, and forgets the rest without a word: right for
a transaction that a kill cut short, wrong for one flipped byte with finished work behind it. Format:
sqlite.org/fileformat2.html, section 4.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .salvage import FRAME_HEADER, PAGE, WAL_HEADER

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Words = NDArray[np.uint32]

_MAGIC: Final = 0x377F0682
_FRAME: Final = FRAME_HEADER + PAGE


def wal_fault(path: Path) -> str | None:
    """What is wrong with the ``-wal`` of the store at ``path``; None where SQLite will find all that was committed.

    A log that ends within a frame is in order: that is how a killed process leaves it.
    """
    wal = path.with_name(path.name + "-wal")
    if not wal.exists() or wal.stat().st_size < WAL_HEADER + _FRAME:
        return None
    with wal.open("rb") as file:
        header = file.read(WAL_HEADER)
        order = ">u4" if header[3] & 1 else "<u4"
        sums = _Sums(order)
        if (
            int.from_bytes(header[:4], "big") & ~1 != _MAGIC
            or int.from_bytes(header[8:12], "big") != PAGE
            or sums.after(header[:24], (0, 0)) != _pair(header[24:32])
        ):
            return "the head of its write-ahead log is damaged"
        believed, state = True, _pair(header[24:32])
        while len(frame := file.read(_FRAME)) == _FRAME:
            if frame[8:16] != header[16:24]:  # left from an earlier round of the log, which is in the file already
                believed = False
                continue
            if believed:
                state = sums.after(frame[:8] + frame[FRAME_HEADER:], state)
                believed = state == _pair(frame[16:24])
            if not believed and frame[4:8] != b"\0\0\0\0":  # a commit that SQLite will not come to
                return "its write-ahead log is damaged"
    return None


class _Sums:
    """The log's running checksum. Per pair of words it is ``a += x + b; b += y + a`` (mod 2^32): linear, so a whole
    frame is a sum of products with coefficients that are computed once."""

    def __init__(self, order: str) -> None:
        self._order = order
        self._known: dict[int, tuple[Any, ...]] = {}

    def after(self, data: bytes, before: tuple[int, int]) -> tuple[int, int]:
        import numpy as np

        words = np.frombuffer(data, dtype=self._order).astype(np.uint32)
        of_x, of_y, whole = self._coefficients(len(words) // 2)
        found = of_x @ words[0::2] + of_y @ words[1::2] + whole @ np.array(before, dtype=np.uint32)
        return int(found[0]), int(found[1])

    def _coefficients(self, pairs: int) -> tuple[Words, Words, Words]:
        """How much the first and second word of every pair, and the state before, come to in the end."""
        import numpy as np

        if pairs not in self._known:
            # one step: (a, b) -> (a + b + x, a + 2b + x + y)
            step = ((1, 1), (1, 2))
            power = ((1, 0), (0, 1))
            of_x = np.zeros((2, pairs), dtype=np.uint32)
            of_y = np.zeros((2, pairs), dtype=np.uint32)
            for at in reversed(range(pairs)):
                of_x[:, at] = [(row[0] + row[1]) % 2**32 for row in power]
                of_y[:, at] = [row[1] for row in power]
                power = tuple(
                    (
                        (row[0] * step[0][0] + row[1] * step[1][0]) % 2**32,
                        (row[0] * step[0][1] + row[1] * step[1][1]) % 2**32,
                    )
                    for row in power
                )
            self._known[pairs] = of_x, of_y, np.array(power, dtype=np.uint32)
        return self._known[pairs]


def _pair(data: bytes) -> tuple[int, int]:
    return int.from_bytes(data[:4], "big"), int.from_bytes(data[4:8], "big")
