"""What crosses arrives as it was, of exactly its type; whatever else comes is refused."""

from __future__ import annotations

import json
import math
from collections import Counter, OrderedDict, deque, namedtuple
from enum import Enum, IntEnum
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from finetune_gate.gate.sandbox.trials.encoding import DEPTH, VALUES, Unplain, decode, encode, pack, unpack

NUMBERS = some.booleans() | some.integers() | some.floats() | some.complex_numbers()
HASHABLE = some.recursive(
    some.none() | NUMBERS | some.text() | some.binary(),
    lambda inner: some.lists(inner, max_size=3).map(tuple) | some.frozensets(inner, max_size=3),
    max_leaves=8,
)
PLAIN = some.recursive(
    HASHABLE,
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(HASHABLE, inner, max_size=4)
    | some.sets(HASHABLE, max_size=4) | some.lists(inner, max_size=3).map(tuple),
    max_leaves=20,
)  # fmt: skip


def _there_and_back(value: object) -> Any:
    return decode(unpack(pack(["value", encode(value)]))[1])


def _exactly(value: object) -> object:
    """The value with the types of everything in it, and NaN and -0.0 as something that compares."""
    kind = type(value).__name__
    if isinstance(value, float):
        return kind, value.hex(), math.copysign(1, value) if value == 0 else 0
    if isinstance(value, complex):
        return kind, _exactly(value.real), _exactly(value.imag)
    if isinstance(value, list | tuple):
        return kind, [_exactly(one) for one in value]
    if isinstance(value, set | frozenset):
        return kind, sorted(repr(_exactly(one)) for one in value)
    if isinstance(value, dict):
        return kind, [(_exactly(name), _exactly(one)) for name, one in value.items()]
    return kind, value


@settings(max_examples=100, deadline=None, derandomize=True)
@given(PLAIN)
def test_a_plain_value_arrives_as_it_was(value: object) -> None:
    assert _exactly(_there_and_back(value)) == _exactly(value)


Pair = namedtuple("Pair", "left right")


class Level(IntEnum):
    HIGH = 3


class Lying(int):
    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0

    def __index__(self) -> int:
        return 4

    def __int__(self) -> int:
        return 4


class LyingText(str):
    def __str__(self) -> str:
        return "passed"


class LyingFloat(float):
    def __float__(self) -> float:
        return 1.0

    def hex(self) -> str:
        return "0x1p0"


class LyingList(list[int]):
    def __iter__(self) -> Any:
        return iter([1, 2])


class LyingDict(dict[str, int]):
    def items(self) -> Any:
        return [("passed", 1)]


@pytest.mark.parametrize(
    ("value", "held"),
    [
        (Counter("aab"), {"a": 2, "b": 1}), (OrderedDict(b=1), {"b": 1}), (Pair(1, 2), (1, 2)), (Level.HIGH, 3),
        (Lying(7), 7), (LyingText("failed"), "failed"), (LyingFloat(0.5), 0.5), (LyingList([0]), [0]),
        (LyingDict(a=0), {"a": 0}), ({Lying(7): [Lying(8)]}, {7: [8]}),
    ],
)  # fmt: skip
def test_a_value_of_a_subclass_crosses_as_what_it_holds(value: object, held: object) -> None:
    assert _exactly(_there_and_back(value)) == _exactly(held)


def _nested(depth: int) -> object:
    value: object = 0
    for _ in range(depth):
        value = [value]
    return value


class Colour(Enum):
    RED = 1


ITSELF: list[object] = []
ITSELF.append(ITSELF)


@pytest.mark.parametrize(
    "value",
    [object(), int, len, Fraction(1, 2), deque([1]), bytearray(b"x"), range(3), (one for one in "a"), Colour.RED, ...,
     {1: {2: object()}}, ITSELF, _nested(DEPTH + 1), 1 << 300_000, [0] * (VALUES + 1)],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_nothing_else_crosses(value: object) -> None:
    with pytest.raises(Unplain):
        encode(value)


def test_the_deepest_value_crosses() -> None:
    assert _there_and_back(_nested(DEPTH)) == _nested(DEPTH)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(some.binary(max_size=200) | some.text('[]{}",:\\0123456789.eE-+ltsdzifcbnul ', max_size=80).map(str.encode))
def test_bytes_that_nobody_packed_are_refused_or_an_array(data: bytes) -> None:
    try:
        message = unpack(data)
    except Unplain:
        return
    assert isinstance(message, list)
    assert json.loads(data) == message


WORDS = some.sampled_from(["l", "t", "s", "z", "d", "i", "f", "c", "b", "o", "1", "nan", "0x1p-2"])
ANY_WIRE = some.recursive(
    some.none() | some.booleans() | some.integers() | WORDS, lambda inner: some.lists(inner, max_size=4), max_leaves=15
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(ANY_WIRE)
def test_what_nobody_encoded_is_refused_or_plain(wire: object) -> None:
    try:
        value = decode(wire)
    except Unplain:
        return
    assert _exactly(_there_and_back(value)) == _exactly(value)
