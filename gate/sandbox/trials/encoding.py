"""Plain values as bytes and back, for the channel between the gate and a program that it does not trust.

    data = pack(["returned", nonce, encode((1, "a"))])
    kind, nonce, wire = unpack(data)
    value = decode(wire)

What crosses is None, bool, int, float, complex, str, bytes, list, tuple, set, frozenset and dict of those, and nothing
else, each of exactly that type. A value of a subclass (Counter, a namedtuple, an IntEnum) crosses as the plain value it
holds: its own ``__eq__`` or ``__hash__`` stays where it is. So whatever arrives is compared by Python's own equality.

The bytes are JSON of arrays, strings, whole numbers, true, false and null, in ASCII. A container is an array that
begins with its tag; a float is written in hexadecimal, so that it arrives with every bit, and NaN, the infinities and
-0.0 are what they were. ``unpack`` and ``decode`` believe nothing: they raise `Unplain` for what ``pack`` and
``encode`` do not write.

This file also runs inside the sandbox, as text, on any Python from 3.8 on. It imports the standard library only.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from itertools import chain

TYPE_CHECKING = False  # as ``typing`` has it, without the time that its import takes in every sandbox
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, NoReturn, TypeGuard

DEPTH = 64
"""How deep a value may be nested."""
DIGITS = 1 << 16
"""How many hexadecimal digits an int may have: 262 144 bits."""
VALUES = 1 << 19
"""How many values one may hold, containers and what is in them included."""
_PIECES = 4 * VALUES
"""How many arrays and texts a message may hold."""
ALIKE = 64
"""How many members of a set, or keys of a dict, may have the same hash."""
_SMALL = 1 << 53
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[\]{}]', re.DOTALL)
"""A whole string (or what is left of one, so that no place is looked at twice), or a bracket outside of strings."""
_PLAIN = (bool, int, float, complex, str, bytes, list, tuple, set, frozenset, dict)
_TAGS = {list: "l", tuple: "t", set: "s", frozenset: "z", dict: "d"}
_MAKERS: dict[str, Callable[[list[Any]], Any]] = {"l": list, "t": tuple, "s": set, "z": frozenset}


class Unplain(ValueError):
    """A value that cannot cross, or bytes that are no message. The text says why, and holds nothing of either."""


def encode(value: object) -> Any:
    """What ``pack`` writes for ``value``. Raises Unplain: an object of another type, too deep, too much."""
    return _encode(value, DEPTH, _Budget())


def decode(wire: object) -> Any:
    """The value that ``encode`` was given. Raises Unplain."""
    return _decode(wire, DEPTH)


def pack(message: list[Any]) -> bytes:
    return json.dumps(message, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode("ascii")


def unpack(data: bytes) -> list[Any]:
    """The array that ``pack`` was given. Raises Unplain."""
    try:
        text = data.decode("ascii")
    except UnicodeDecodeError:
        raise Unplain("a message that is not ASCII") from None
    depth = pieces = 0
    for found in _BRACKETS.finditer(text):  # before anything recurses into it
        kind = found.group()[0]
        depth += (kind == "[") - (kind == "]")
        pieces += kind != "]"
        if kind in "{}" or depth > 2 * DEPTH or pieces > _PIECES:
            raise Unplain("a message that is too deep, too long, or no array")
    try:
        message = json.loads(text, parse_int=_whole, parse_float=_no_number, parse_constant=_no_number)
    except Unplain:
        raise
    except ValueError:
        raise Unplain("a message that is not JSON") from None
    if not _is_array(message):
        raise Unplain("a message that is no array")
    return message


def _is_array(value: object) -> TypeGuard[list[Any]]:
    return type(value) is list


class _Budget:
    """Counts values, so that a list which holds itself twice, twenty levels deep, ends soon."""

    def __init__(self) -> None:
        self.left = VALUES

    def spend(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Unplain(f"more than {VALUES} values")


def _encode(value: Any, depth: int, budget: _Budget) -> Any:
    budget.spend()
    if value is None or value is True or value is False:
        return value
    kind = _plain_type(value)
    if kind is str:
        return str.__str__(value)
    if kind is int:
        whole = int.__index__(value)
        if -_SMALL <= whole <= _SMALL:
            return whole
        if whole.bit_length() > 4 * DIGITS:
            raise Unplain(f"an int of more than {4 * DIGITS} bits")
        return ["i", format(whole, "x")]
    if kind is float:
        return ["f", float.hex(value)]
    if kind is complex:
        held = complex.__add__(value, 0j) if type(value) is not complex else value
        return ["c", float.hex(held.real), float.hex(held.imag)]
    if kind is bytes:
        return ["b", bytes.hex(value)]
    if depth == 0:
        raise Unplain(f"nested more than {DEPTH} deep")
    items: Iterable[Any] = _items(kind, value)
    return [_TAGS[kind], *[_encode(item, depth - 1, budget) for item in items]]


def _items(kind: Any, value: Any) -> Iterable[Any]:
    """What ``value`` holds as a plain ``kind``, whatever its own type says when it is asked."""
    return chain.from_iterable(kind.items(value)) if _TAGS[kind] == "d" else kind.__iter__(value)


def _plain_type(value: object) -> Any:
    """The plain type that ``value`` is of, or a subclass of."""
    kind = type(value)
    if kind in _PLAIN:
        return kind
    for plain in _PLAIN:
        if issubclass(kind, plain):
            return plain
    raise Unplain(f"an object of type {kind.__name__[:60]!r}, which is no plain value")


def _decode(wire: Any, depth: int) -> Any:
    if wire is None or type(wire) in (bool, int, str):
        return wire
    if not _is_array(wire) or not wire:
        raise Unplain("a value of no known form")
    tag, *rest = wire
    if tag in ("i", "f", "c", "b"):
        return _decode_scalar(tag, rest)
    if depth == 0:
        raise Unplain(f"nested more than {DEPTH} deep")
    items = [_decode(item, depth - 1) for item in rest]
    try:
        if tag == "d":
            if len(items) % 2:
                raise Unplain("a dict with a key and no value")
            _refuse_collisions(items[::2])
            return dict(zip(items[::2], items[1::2]))  # noqa: B905 (strict= came with 3.10; the lengths are equal)
        if tag in ("s", "z"):
            _refuse_collisions(items)
        maker = _MAKERS.get(tag) if type(tag) is str else None
        if maker is not None:
            return maker(items)
    except TypeError:
        raise Unplain("a set or a dict of what cannot be hashed") from None
    raise Unplain("a value of no known form")


def _decode_scalar(tag: str, rest: list[Any]) -> Any:
    if len(rest) != (2 if tag == "c" else 1) or not all(type(part) is str for part in rest):
        raise Unplain("a number of no known form")
    try:
        if tag == "i":
            if len(rest[0]) > DIGITS + 1:
                raise Unplain(f"an int of more than {4 * DIGITS} bits")
            return int(rest[0], 16)
        if tag == "f":
            return float.fromhex(rest[0])
        if tag == "c":
            return complex(float.fromhex(rest[0]), float.fromhex(rest[1]))
        return bytes.fromhex(rest[0])
    except Unplain:
        raise
    except (ValueError, OverflowError):
        raise Unplain("a number of no known form") from None


def _refuse_collisions(items: list[Any]) -> None:
    """Whoever can choose numbers can choose such as all hash alike, and then a set of them takes minutes to make."""
    alike = Counter(map(hash, items))
    if alike and max(alike.values()) > ALIKE:
        raise Unplain("a set or a dict of too many values that hash alike")


def _whole(digits: str) -> int:
    if len(digits) > 17:
        raise Unplain("a number of no known form")
    return int(digits)


def _no_number(_text: str) -> NoReturn:
    raise Unplain("a number of no known form")
