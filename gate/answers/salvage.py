"""Get answers out of a damaged SQLite file: every row that passes its checksum, wherever it lies.

    for row in salvaged_rows(Path("answers.sqlite")): ...

Reads pages, not tables: what points to a row (index, inner pages, schema, header) may be gone, and the row is found. A
page of the write-ahead log counts as well, whether or not SQLite would still believe it. Only ordinary rows are looked
for, on pages that still say they hold some; a row that goes on in overflow pages needs all of them. So a damaged byte
costs at most the answers on its own page. The layout is SQLite's documented one (sqlite.org/fileformat2.html).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .encoding import checksum, decode

PAGE: Final = 4096
"""Bytes per page of every store; never read from the file, where it could be damaged."""

WAL_HEADER: Final = 32
FRAME_HEADER: Final = 24
_LEAF: Final = 0x0D
_COLUMNS: Final = 6
_INTEGER_BYTES: Final = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
_MAX_ROW: Final = 1 << 26  # what claims to be longer is damage

_Pages = Callable[[int], bytes]
_View = tuple[_Pages, int]
"""Pages by number, and how many bytes of each hold data: some builds of SQLite reserve a few at the end."""


@dataclass(frozen=True, slots=True)
class Row:
    """An entry as the table ``answers`` holds it, less its number."""

    address: str
    model: int
    written: int
    content: bytes
    checksum: bytes

    @property
    def sound(self) -> bool:
        """Whether it may be believed."""
        if self.checksum != checksum(self.address, self.model, self.content):
            return False
        try:
            decode(self.content)
        except ValueError:
            return False
        return True


def salvaged_rows(path: Path) -> Iterator[Row]:
    """Sound rows of the store at ``path`` and of its ``-wal``, in no order; one address can come more than once."""
    wal = path.with_name(path.name + "-wal")
    with _reader(path) as (main, size), _reader(wal) as (log, log_size):
        frames = range(WAL_HEADER, log_size - FRAME_HEADER - PAGE + 1, FRAME_HEADER + PAGE)
        newest = {int.from_bytes(log(at, 4), "big"): at + FRAME_HEADER for at in frames}

        def from_main(number: int) -> bytes:
            return main((number - 1) * PAGE, PAGE)

        def from_both(number: int) -> bytes:
            return log(newest[number], PAGE) if number in newest else from_main(number)

        # how many bytes are reserved stands in the head, which may be what is damaged
        usable = dict.fromkeys((PAGE, PAGE - int.from_bytes(main(20, 1), "big")))
        views = [(pages, used) for used in usable for pages in (from_both, from_main)]
        for number in range(1, -(-size // PAGE) + 1):
            yield from _rows(from_main(number), number == 1, views)
        for at in frames:
            yield from _rows(log(at + FRAME_HEADER, PAGE), False, views)


@contextmanager
def _reader(path: Path) -> Generator[tuple[Callable[[int, int], bytes], int]]:
    """``read(offset, length)`` of a file, and its size; of one that is not there, nothing and 0."""
    if not path.exists():
        yield (lambda offset, length: b""), 0
        return
    with path.open("rb") as file:
        yield (lambda offset, length: os.pread(file.fileno(), length, offset)), path.stat().st_size


def _rows(page: bytes, is_first: bool, views: Sequence[_View]) -> Iterator[Row]:
    start = 100 if is_first else 0
    if page[start : start + 1] != bytes([_LEAF]):
        return
    page = page.ljust(PAGE, b"\0")  # the last page of a file that was cut
    cells = int.from_bytes(page[start + 3 : start + 5], "big")
    first = start + 8
    for at in range(first, min(first + 2 * cells, PAGE - 1), 2):
        cell = int.from_bytes(page[at : at + 2], "big")
        for view in views:
            row = _row(page, cell, view)
            if row is not None and row.sound:
                yield row
                break


def _row(page: bytes, at: int, view: _View) -> Row | None:
    """The row whose cell begins at ``at``, or None where there is none."""
    try:
        length, at = _varint(page, at)
        _, at = _varint(page, at)
        if length > _MAX_ROW:
            return None
        payload = _payload(page, at, length, view)
        if payload is None:
            return None
        header, place = _varint(payload, 0)
        kinds: list[int] = []
        while place < header:
            kind, place = _varint(payload, place)
            kinds.append(kind)
        if len(kinds) != _COLUMNS or kinds[0] != 0:  # the row's number is stored as NULL
            return None
        values: list[bytes | int] = []
        for kind in kinds[1:]:
            value, place = _value(payload, place, kind)
            values.append(value)
        address, model, written, content, check = values
        if not (isinstance(address, bytes) and isinstance(content, bytes) and isinstance(check, bytes)):
            return None
        if isinstance(model, bytes) or isinstance(written, bytes):
            return None
        return Row(address.decode(), model, written, content, check)
    except (IndexError, ValueError):
        return None


def _payload(page: bytes, at: int, length: int, view: _View) -> bytes | None:
    pages, usable = view
    most = usable - 35
    if length <= most:
        return page[at : at + length]
    least = (usable - 12) * 32 // 255 - 23
    local = least + (length - least) % (usable - 4)
    local = local if local <= most else least
    parts = [page[at : at + local]]
    following = int.from_bytes(page[at + local : at + local + 4], "big")
    missing = length - local
    while missing > 0:
        more = pages(following)[:usable] if following else b""
        if len(more) < 4:
            return None
        parts.append(more[4 : 4 + missing])
        missing -= usable - 4
        following = int.from_bytes(more[:4], "big")
    return b"".join(parts)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for end in range(at, at + 8):
        value = value << 7 | data[end] & 0x7F
        if data[end] < 0x80:
            return value, end + 1
    return value << 8 | data[at + 8], at + 9


def _value(payload: bytes, at: int, kind: int) -> tuple[bytes | int, int]:
    if kind in (8, 9):
        return kind - 8, at
    size = _INTEGER_BYTES.get(kind)
    if size is not None:
        return int.from_bytes(payload[at : at + size], "big", signed=True), at + size
    if kind < 12:
        raise ValueError("no text, bytes or whole number")
    size = (kind - 12) // 2
    if at + size > len(payload):
        raise IndexError
    return payload[at : at + size], at + size
