"""Texts without what does not matter to whether two of them are the same: case, width, white space, punctuation."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import cast

from ..texts.normalizing import SPACELESS, compiled, folded

_ASCII = re.compile(r"[a-z0-9]+|[+<=>|~$]|[-*/%](?=\s*[0-9(])")
_ANY = (
    rf"[{SPACELESS}][\p{{M}}ー]*|[[\p{{L}}\p{{M}}\p{{N}}]--[{SPACELESS}]]+|[\p{{Sm}}\p{{Sc}}]|[-*/%](?=\s*[\p{{N}}(])"
)


def plain_words(text: str) -> list[str]:
    """``plain_words("What's 3 - 5?")`` is ``["what", "s", "3", "-", "5"]``.

    Folded runs of letters, marks and digits of any script; in scripts without spaces every character is one. Signs of
    arithmetic and of money stay: without them "3 + 5" and "3 - 5" would be one text.
    """
    if text.isascii():
        return _ASCII.findall(text.lower())
    return compiled(_ANY).findall(folded(text))


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
