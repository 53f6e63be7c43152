"""The text of each token of a sequence, so that all of them joined are the text of the whole."""

from __future__ import annotations

from collections.abc import Sequence

from .foreign import Tokenizer

_CUT_CHARACTER = "\ufffd"
_WIDEST = 16
"""Tokens after which no character is still incomplete: one has at most four bytes, and a tokenizer may mark each."""


def text_pieces(tokenizer: Tokenizer, ids: Sequence[int]) -> tuple[str, ...]:
    """``text_pieces(tokenizer, ids)[3]`` is the text that token 3 adds.

    A token may hold a part of a character only: then its text is empty, and the token that completes the character has
    it. Special tokens are written out. What a token says can depend on those before it (decoders drop the very first
    space), so each is read together with the one before.
    """
    pieces: list[str] = []
    before, at = 0, 0  # text up to ``at`` is out; it is read from ``before`` on
    for end in range(1, len(ids) + 1):
        known = _text(tokenizer, ids[before:at])
        text = _text(tokenizer, ids[before:end])
        whole = not text.endswith(_CUT_CHARACTER) or end == len(ids) or end - at >= _WIDEST
        if not whole or not text.startswith(known):
            pieces.append("")
            continue
        pieces.append(text[len(known) :])
        before, at = at, end
    return tuple(pieces)


def _text(tokenizer: Tokenizer, ids: Sequence[int]) -> str:
    return tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False) if ids else ""
