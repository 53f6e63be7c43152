"""Foreign text made inert: names, reasons and model output may hold anything, and people read reports in terminals."""

from __future__ import annotations

import re

_ACTIVE = re.compile(
    "["
    "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"  # C0 and C1 controls but tab and line ends: ANSI sequences start here
    "\u00ad\u061c\u180e"  # soft hyphen, Arabic letter mark, Mongolian vowel separator
    "\u200b-\u200f\u2028-\u202e"  # zero width, line separators, bidirectional embeddings and overrides
    "\u2060-\u206f\ufeff\ufff9-\ufffb"  # invisible operators, bidirectional isolates, byte order mark, annotations
    "\ufffe\uffff"  # no characters: XML and YAML have no way to write them
    "\ud800-\udfff"  # lone surrogates, which no encoding can write
    "\U000e0000-\U000e0fff"  # tags: a whole hidden alphabet
    "]"
)
_SPACE = re.compile(r"[ \t\r\n\v\f]+")


def inert_text(text: str, *, limit: int = 400) -> str:
    """``inert_text("\\x1b[31mred")`` is ``"\\\\x1b[31mred"``: what could act is spelled out, so that it is seen.

    White space becomes single spaces: the result is one line. Longer texts than ``limit`` characters end in ``…``.
    Neutral for terminals and plain text; markdown and HTML need their own escaping on top of it.
    """
    shown = spelled_out(_SPACE.sub(" ", text[: 4 * limit]).strip())
    return shown if len(shown) <= limit and len(text) <= 4 * limit else shown[: limit - 1] + "…"


def spelled_out(text: str) -> str:
    """The same for a text whose white space has a place where it goes, such as HTML."""
    return _ACTIVE.sub(_spelled, text)


def _spelled(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
