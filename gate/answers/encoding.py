"""Answers as bytes, and back, bit for bit.

    content = encode(TokenLogprobs((-0.1, -2.5)))
    decode(content) == TokenLogprobs((-0.1, -2.5))

``L``, dropped context, then one little-endian double per token; or ``G``, finish, tokens, then the text in UTF-8 (lone
surrogates included). Packs and the store hold the same bytes.
"""

from __future__ import annotations

import hashlib
import struct
from math import isfinite
from typing import Final, Literal

from finetune_gate.evaluators.asking import Generation, TokenLogprobs

Kept = TokenLogprobs | Generation
"""What can be kept. A ``Failed`` is asked again."""

_LOGPROBS: Final = struct.Struct("<cQ")
_GENERATION: Final = struct.Struct("<cBQ")
_FINISHES: Final[tuple[Literal["stop", "length"], ...]] = ("stop", "length")


def encode(answer: Kept) -> bytes:
    """Raises ValueError for a log-probability that is not finite: it is no measurement."""
    if isinstance(answer, TokenLogprobs):
        if not all(isfinite(value) for value in answer.logprobs):
            raise ValueError("a log-probability that is not finite cannot be kept")
        values = struct.pack(f"<{len(answer.logprobs)}d", *answer.logprobs)
        return _LOGPROBS.pack(b"L", answer.dropped_context) + values
    head = _GENERATION.pack(b"G", _FINISHES.index(answer.finish), answer.tokens)
    return head + answer.text.encode("utf-8", "surrogatepass")


def decode(content: bytes) -> Kept:
    """Raises ValueError for anything that `encode` does not write."""
    try:
        if content[:1] == b"L":
            dropped: int = _LOGPROBS.unpack_from(content)[1]
            values: tuple[float, ...] = struct.unpack_from(
                f"<{(len(content) - _LOGPROBS.size) // 8}d", content, _LOGPROBS.size
            )
            if (len(content) - _LOGPROBS.size) % 8 or not all(isfinite(value) for value in values):
                raise ValueError("not a list of finite numbers")
            return TokenLogprobs(values, dropped)
        if content[:1] == b"G":
            finish: int
            tokens: int
            _, finish, tokens = _GENERATION.unpack_from(content)
            return Generation(content[_GENERATION.size :].decode("utf-8", "surrogatepass"), _FINISHES[finish], tokens)
    except (struct.error, IndexError) as error:
        raise ValueError("not an answer") from error
    raise ValueError("not an answer")


def checksum(address: str, model: int, content: bytes) -> bytes:
    """What an entry must match to be believed. Finds damage; whoever can write to the file can also make it match."""
    return hashlib.sha256(b"%s\0%d\0%s" % (address.encode(), model, content)).digest()


def model_number(digest: str) -> int:
    """A model's short name within the store: 63 bits of a hash, the same on every machine."""
    return int.from_bytes(hashlib.sha256(digest.encode()).digest()[:8], "big") >> 1
