"""Every kind of answer as bytes and back, and bytes that are none."""

from __future__ import annotations

import math

import pytest

from finetune_gate.evaluators.asking import (
    Attribution,
    Choice,
    Embedding,
    Entailment,
    Execution,
    Generation,
    TokenLogprobs,
)
from finetune_gate.gate.answers.encoding import Kept, decode, encode

ATTRIBUTION = Attribution(
    ("a", "\ud800", "é"), (0.1, -1e-300, 1 / 3), (0.5, -1.0, 1.0), -2.5, -7.25, 1.5, 0.25, 0.1, 3.0
)


@pytest.mark.parametrize(
    "answer",
    [
        TokenLogprobs((-0.1, -1 / 3), 4),
        TokenLogprobs(()),
        Generation("half a pair \ud800", "length", 7),
        Choice((-0.25, -1 / 3, -9999.0)),
        Choice(()),
        Embedding((0.6, -0.8)),
        Entailment(0.7, 0.2, 0.1),
        Execution("passed"),
        Execution("out_of_memory", "call 2: \ud800 \0 é"),
        ATTRIBUTION,
    ],
    ids=lambda answer: type(answer).__name__,
)
def test_an_answer_comes_back_bit_for_bit(answer: Kept) -> None:
    assert decode(encode(answer)) == answer
    assert encode(decode(encode(answer))) == encode(answer)


@pytest.mark.parametrize(
    "answer",
    [TokenLogprobs((math.nan,)), Choice((-math.inf,)), Embedding((math.inf,)), Entailment(math.nan, 0.0, 0.0)],
    ids=lambda answer: type(answer).__name__,
)
def test_numbers_that_are_not_finite_are_not_kept(answer: Kept) -> None:
    with pytest.raises(ValueError, match="finite"):
        encode(answer)


@pytest.mark.parametrize(
    "content",
    [b"", b"?", b"E123", b"C123", b"N" + b"\0" * 16, b"A{}", b"A[", encode(ATTRIBUTION)[:-4]]
    + [b"X", b"X\4", b"X\0\xff"],
)
def test_other_bytes_are_refused(content: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 -- the reason differs, and the store says which entry it was
        decode(content)


HALF = b"\0" * 6 + b"\xe0\xbf"


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        (b"L" + b"\2" + b"\0" * 7 + HALF, TokenLogprobs((-0.5,), 2)),
        (b"G\1\3" + b"\0" * 7 + "Grüße".encode(), Generation("Grüße", "length", 3)),
        (b"C" + HALF + HALF, Choice((-0.5, -0.5))),
        (b"E" + HALF, Embedding((-0.5,))),
        (b"X\0", Execution("passed")),
        (b"X\1AssertionError: 3", Execution("failed", "AssertionError: 3")),
        (b"X\2", Execution("timeout")),
        (b"X\3", Execution("out_of_memory")),
    ],
    ids=lambda found: type(found).__name__,
)
def test_the_bytes_of_a_kind_never_change_so_that_old_stores_stay_readable(content: bytes, answer: Kept) -> None:
    assert decode(content) == answer
    assert encode(answer) == content
