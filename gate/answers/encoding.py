"""Answers as bytes, and back, bit for bit.

    content = encode(TokenLogprobs((-0.1, -2.5)))
    decode(content) == TokenLogprobs((-0.1, -2.5))

A letter first, then what it stands for: ``L``, dropped context and one little-endian double per token; ``G``, finish,
tokens, and the text in UTF-8 (lone surrogates included); ``C`` one double per option of a choice; ``E`` those of an
embedding; ``N`` of an entailment; ``A`` an attribution as JSON; ``X``, outcome of an execution and its detail in UTF-8.
Packs and the store hold the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Sequence
from dataclasses import asdict
from math import isfinite
from typing import Any, Final, Literal, cast

from finetune_gate.evaluators.asking import (
    Attribution,
    Choice,
    Embedding,
    Entailment,
    Execution,
    Generation,
    Outcome,
    TokenLogprobs,
)

Kept = TokenLogprobs | Generation | Choice | Attribution | Embedding | Entailment | Execution
"""What can be kept. A ``Failed`` is asked again."""

_LOGPROBS: Final = struct.Struct("<cQ")
_GENERATION: Final = struct.Struct("<cBQ")
_FINISHES: Final[tuple[Literal["stop", "length"], ...]] = ("stop", "length")
_OUTCOMES: Final[tuple[Outcome, ...]] = ("passed", "failed", "timeout", "out_of_memory")


def encode(answer: Kept) -> bytes:
    """Raises ValueError for a number that is not finite: it is no measurement."""
    match answer:
        case TokenLogprobs():
            return _LOGPROBS.pack(b"L", answer.dropped_context) + _doubles(answer.logprobs)
        case Choice():
            return b"C" + _doubles(answer.logprobs)
        case Embedding():
            return b"E" + _doubles(answer.vector)
        case Entailment():
            return b"N" + _doubles((answer.entailment, answer.neutral, answer.contradiction))
        case Attribution():
            return b"A" + json.dumps(asdict(answer), allow_nan=False, separators=(",", ":")).encode("ascii")
        case Generation():
            return _generation(answer)
        case Execution():
            return b"X" + bytes([_OUTCOMES.index(answer.outcome)]) + answer.detail.encode("utf-8", "surrogatepass")


def _generation(answer: Generation) -> bytes:
    head = _GENERATION.pack(b"G", _FINISHES.index(answer.finish), answer.tokens)
    return head + answer.text.encode("utf-8", "surrogatepass")


def decode(content: bytes) -> Kept:
    """Raises ValueError for anything that `encode` does not write."""
    try:
        if content[:1] == b"L":
            dropped: int = _LOGPROBS.unpack_from(content)[1]
            return TokenLogprobs(_numbers(content[_LOGPROBS.size :]), dropped)
        if content[:1] == b"G":
            finish: int
            tokens: int
            _, finish, tokens = _GENERATION.unpack_from(content)
            return Generation(content[_GENERATION.size :].decode("utf-8", "surrogatepass"), _FINISHES[finish], tokens)
        if content[:1] == b"C":
            return Choice(_numbers(content[1:]))
        if content[:1] == b"E":
            return Embedding(_numbers(content[1:]))
        if content[:1] == b"N":
            entailment, neutral, contradiction = _numbers(content[1:])
            return Entailment(entailment, neutral, contradiction)
        if content[:1] == b"A":
            return _attribution(content[1:])
        if content[:1] == b"X":
            return Execution(_OUTCOMES[content[1]], content[2:].decode("utf-8", "surrogatepass"))
    except (struct.error, IndexError) as error:
        raise ValueError("not an answer") from error
    raise ValueError("not an answer")


def _attribution(content: bytes) -> Attribution:
    found = cast("dict[str, Any]", json.loads(content))
    try:
        texts = {"tokens": tuple(map(str, found.pop("tokens")))}
        lists = {name: tuple(map(float, found.pop(name))) for name in ("weights", "similarity")}
        numbers = {name: float(value) for name, value in found.items()}
        read = Attribution(**cast("dict[str, Any]", texts | lists | numbers))
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError("not an attribution") from error
    finite = all(map(isfinite, (*read.weights, *read.similarity, *numbers.values())))
    if not finite or len(read.weights) != len(read.tokens) or len(read.similarity) != len(read.tokens):
        raise ValueError("not an attribution")
    return read


def _doubles(values: Sequence[float]) -> bytes:
    if not all(isfinite(value) for value in values):
        raise ValueError("a number that is not finite cannot be kept")
    return struct.pack(f"<{len(values)}d", *values)


def _numbers(content: bytes) -> tuple[float, ...]:
    values: tuple[float, ...] = struct.unpack(f"<{len(content) // 8}d", content)
    if not all(isfinite(value) for value in values):
        raise ValueError("not a list of finite numbers")
    return values


def checksum(address: str, model: int, content: bytes) -> bytes:
    """What an entry must match to be believed. Finds damage; whoever can write to the file can also make it match."""
    return hashlib.sha256(b"%s\0%d\0%s" % (address.encode(), model, content)).digest()


def model_number(digest: str) -> int:
    """A model's short name within the store: 63 bits of a hash, the same on every machine."""
    return int.from_bytes(hashlib.sha256(digest.encode()).digest()[:8], "big") >> 1
