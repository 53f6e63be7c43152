"""Texts as raters see them."""

from __future__ import annotations

import re

_HIDING = re.compile(
    "["
    "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"  # C0 and C1 controls but tab and line ends
    "\u202a-\u202e\u2066-\u2069"  # bidirectional embeddings, overrides and isolates
    "\ud800-\udfff"  # lone surrogates, which no encoding can write
    "\U000e0000-\U000e0fff"  # tags: a whole hidden alphabet
    "]"
)


def legible(text: str) -> str:
    """``text`` with what could reorder or hide it spelled out. Joiners and direction marks stay: without them words of
    many languages, and emoji, would look wrong, and a rater judges how an answer looks to its reader."""
    return _HIDING.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
