"""Data for the script of a page: JSON in columns, in which every text and every column is held once.

    data = Columns(limit=8_000)
    asked = data.column(map(data.text, texts))    # the number of the column
    json_in_script({"asked": asked, "columns": data.columns, "texts": data.texts})

A column of few different cells is a string with a letter for each of them. Texts are inert, and cut where they are
long.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from finetune_gate.evaluators.absent import Unmeasured, Value

from .inert import spelled_out

Cell = int | float | None | tuple[int]
"""A number, which may be that of a text; nothing; or, in a column of scores, the number of the reason for there being
none, as ``(reason,)``."""

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-"


def json_in_script(value: object) -> str:
    """JSON in which nothing can end the element that holds it, or begin another."""
    written = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        written = written.replace(sign, f"\\u{ord(sign):04x}")
    return written


class Columns:
    """Texts and columns, each held once."""

    def __init__(self, limit: int) -> None:
        self.texts: list[str] = []
        self.columns: list[object] = []
        self._limit = limit
        self._text_numbers: dict[str, int] = {}
        self._column_numbers: dict[tuple[Cell, ...], int] = {}

    def text(self, text: str) -> int:
        found = self._text_numbers.get(text)
        if found is None:
            found = self._text_numbers[text] = len(self.texts)
            self.texts.append(_cut(text, self._limit))
        return found

    def column(self, cells: Iterable[Cell]) -> int:
        key = tuple(cells)
        found = self._column_numbers.get(key)
        if found is None:
            found = self._column_numbers[key] = len(self.columns)
            self.columns.append(_packed(key))
        return found

    def scores(self, values: Iterable[Value]) -> int:
        return self.column(
            (self.text(value.reason),) if isinstance(value, Unmeasured) else _rounded(value) for value in values
        )


def _packed(cells: tuple[Cell, ...]) -> object:
    different = list(dict.fromkeys(cells))
    if len(different) > len(_LETTERS):
        return cells
    letters = {cell: _LETTERS[number] for number, cell in enumerate(different)}
    return {"of": different, "at": "".join(letters[cell] for cell in cells)}


def _rounded(value: float) -> float:
    """Four significant digits: what the page shows."""
    rounded = float(f"{value:.4g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded


def _cut(text: str, limit: int) -> str:
    if len(text) <= limit:
        return spelled_out(text)
    return f"{spelled_out(text[:limit])}… [the first {limit:,} of {len(text):,} characters]"
