"""Texts without what does not matter to whether two of them are the same: case, width, white space, punctuation."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Protocol, cast

from ..texts.normalizing import folded

_SPACELESS = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_ASCII = re.compile(r"[a-z0-9]+|[+<=>|~$]|[-*/%](?=\s*[0-9(])")
_ANY = (
    rf"[{_SPACELESS}][\p{{M}}ー]*|[[\p{{L}}\p{{M}}\p{{N}}]--[{_SPACELESS}]]+|[\p{{Sm}}\p{{Sc}}]|[-*/%](?=\s*[\p{{N}}(])"
)


class _Pattern(Protocol):
    """What is used of a pattern of the package ``regex``, which has no types of its own."""

    def findall(self, string: str) -> list[str]: ...


def plain_words(text: str) -> list[str]:
    """``plain_words("What's 3 - 5?")`` is ``["what", "s", "3", "-", "5"]``.

    Folded runs of letters, marks and digits of any script; in scripts without spaces every character is one. Signs of
    arithmetic and of money stay: without them "3 + 5" and "3 - 5" would be one text.
    """
    if text.isascii():
        return _ASCII.findall(text.lower())
    return _any().findall(folded(text))


def normal_form(text: str) -> str:
    """Equal for texts that say the same letter by letter. A text without any word is itself without white space."""
    return " ".join(plain_words(text)) or "".join(folded(text).split())


def row_text(row: Mapping[str, object], columns: Iterable[str]) -> str:
    """The texts of ``columns`` below one another; of lists and objects (chat messages) every text in them."""
    return "\n".join(part for column in columns for part in _texts_in(row.get(column)))


def _texts_in(cell: object) -> list[str]:
    if isinstance(cell, str):
        return [cell]
    if isinstance(cell, list):
        return [text for one in cast("list[object]", cell) for text in _texts_in(one)]
    if isinstance(cell, dict):
        return [text for one in cast("dict[str, object]", cell).values() for text in _texts_in(one)]
    return [] if cell is None else [str(cell)]


@cache
def _any() -> _Pattern:
    import regex  # pyright: ignore[reportMissingTypeStubs] - it has none

    return cast("_Pattern", regex.compile(_ANY, regex.VERSION1))
