"""Is a text what a program needs: does it match a pattern, is it JSON, does the JSON keep to a schema?

The texts are hostile. Every question ends: patterns by the clock, JSON by its length, depth and number of values,
schemas by the number of references that are followed. Nothing is fetched, and no text makes anything raise.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, cast

from ..absent import Unmeasured

SECONDS_PER_TEXT = 0.25
SLOW_TEXTS = 100
"""Texts that had to be stopped, after which a pattern or a schema is no longer tried."""

MAX_CHARACTERS = 1 << 20
MAX_DEPTH = 64
MAX_VALUES = 20_000  # keys of objects included
MAX_STEPS = 5_000
"""References in a schema that are followed for one text; a few levels of a careless recursive schema take millions."""

_DIGITS = 308  # of the largest float64: what is longer fits no number that a program computes with


class Pattern:
    """``Pattern(r"^ORDER-\\d{6}$").fits(text)``. Raises ValueError for what is no regular expression.

    A pattern that backtracks without end is stopped after SECONDS_PER_TEXT, and no longer tried once that happened
    SLOW_TEXTS times: those texts are unmeasured, and may be others on another machine. Rewrite such a pattern.
    """

    def __init__(self, source: str) -> None:
        import regex  # pyright: ignore[reportMissingTypeStubs] - it has none

        try:
            self._compiled = cast("_Compiled", regex.compile(source))
        except (regex.error, OverflowError, RecursionError) as error:
            raise ValueError(f"{source!r} is no regular expression: {error}") from None
        self._slow = 0

    def fits(self, text: str, *, whole: bool = False) -> bool | Unmeasured:
        """Whether the pattern is found in ``text``, or is all of it."""
        if self._slow >= SLOW_TEXTS:
            return Unmeasured(f"the pattern had to be stopped for {SLOW_TEXTS} texts before")
        try:
            tried = self._compiled.fullmatch if whole else self._compiled.search
            return tried(text, timeout=SECONDS_PER_TEXT) is not None
        except (TimeoutError, MemoryError):
            self._slow += 1
            return Unmeasured(f"the pattern backtracks without end: stopped after {SECONDS_PER_TEXT:g} s")


class _Compiled(Protocol):
    def search(self, string: str, *, timeout: float) -> object | None: ...
    def fullmatch(self, string: str, *, timeout: float) -> object | None: ...


@dataclass(frozen=True, slots=True)
class Json:
    """A value that was read from JSON."""

    value: object


@dataclass(frozen=True, slots=True)
class NotJson:
    """Why a text is no JSON."""

    reason: str


def read_json(text: str) -> Json | NotJson:
    """The whole of ``text`` as one JSON value (RFC 8259), white space around it allowed, a code fence not.

    No JSON either, because programs read them differently or not at all: NaN and Infinity, a key twice in one object,
    numbers beyond float64, half a surrogate pair, and what exceeds MAX_CHARACTERS, MAX_DEPTH or MAX_VALUES.
    """
    if len(text) > MAX_CHARACTERS:
        return NotJson(f"more than {MAX_CHARACTERS} characters")
    try:
        value: object = json.loads(
            text,
            parse_constant=_refused_constant,
            parse_int=_whole_number,
            parse_float=_fraction,
            object_pairs_hook=_unique,
        )
    except RecursionError:
        return NotJson(f"deeper than {MAX_DEPTH} levels")
    except ValueError as error:
        return NotJson(str(error)[:200])
    fault = _fault(value)
    return NotJson(fault) if fault else Json(value)


class Schema:
    """``Schema({"type": "object", "required": ["order"]}).fits(value)``: JSON Schema, draft 2020-12 unless ``$schema``
    names another. ``format`` is a note and no demand, as the standard has it.

    Raises ValueError for what is no schema, for references to elsewhere (nothing is fetched) or to nowhere, and for
    ``patternProperties``, whose patterns could not be stopped; ``pattern`` is stopped like a `Pattern`.
    """

    def __init__(self, schema: Mapping[str, object]) -> None:
        self._check = _validator(schema)
        self._slow = 0

    def fits(self, value: object) -> bool | Unmeasured:
        """Whether a value of ``read_json`` keeps to the schema."""
        if self._slow >= SLOW_TEXTS:
            return Unmeasured(f"the schema could not be followed to its end for {SLOW_TEXTS} texts before")
        try:
            return self._check(value)
        except (_GaveUp, RecursionError) as error:
            self._slow += 1
            reason = str(error) if isinstance(error, _GaveUp) else "the schema refers to itself without end"
            return Unmeasured(reason)


class _GaveUp(Exception):
    """Following a schema was stopped; the message says why."""


def _refused_constant(constant: str) -> object:
    raise ValueError(f"{constant} is no JSON value")


def _whole_number(digits: str) -> int:
    if len(digits) > _DIGITS:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


def _fraction(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"{digits[:40]} is beyond the range of numbers")
    return value


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        key, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f"key {key[:40]!r} occurs twice in one object")
    return found


def _fault(value: object) -> str:
    """What limit ``value`` exceeds, level by level and so without recursion; empty for none."""
    level, count = [value], 0
    for _ in range(MAX_DEPTH):
        count += len(level)
        if count > MAX_VALUES:
            return f"more than {MAX_VALUES} values"
        if any(isinstance(one, str) and _half_pair(one) for one in level):
            return "half a surrogate pair"
        level = [inner for one in level for inner in _inside(one)]
        if not level:
            return ""
    return f"deeper than {MAX_DEPTH} levels"


def _inside(value: object) -> Iterator[object]:
    if isinstance(value, dict):
        members = cast("dict[str, object]", value)
        yield from members
        yield from members.values()
    elif isinstance(value, list):
        yield from cast("list[object]", value)


def _half_pair(text: str) -> bool:
    return not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text)


_NAMES_BELOW = frozenset({"properties", "$defs", "definitions", "dependentSchemas", "dependencies"})
_VALUES_BELOW = frozenset({"const", "enum", "default", "examples"})
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")


def _demands(schema: object) -> Iterator[tuple[str, object]]:
    """Every keyword in ``schema`` with its value, at any depth; names of properties and constants are no keywords."""
    if isinstance(schema, list):
        for inner in cast("list[object]", schema):
            yield from _demands(inner)
    elif isinstance(schema, dict):
        for keyword, value in cast("dict[str, object]", schema).items():
            yield keyword, value
            if keyword in _NAMES_BELOW and isinstance(value, dict):
                for inner in cast("dict[str, object]", value).values():
                    yield from _demands(inner)
            elif keyword not in _VALUES_BELOW:
                yield from _demands(value)


def _refuse_what_cannot_be_stopped(schema: Mapping[str, object], resolves: Callable[[str], bool]) -> None:
    for keyword, value in _demands(schema):
        if keyword == "patternProperties":
            raise ValueError("patternProperties is not supported: its patterns could not be stopped")
        if keyword == "pattern" and isinstance(value, str):
            Pattern(value)
        if keyword in _REFERENCES and isinstance(value, str):
            if not value.startswith("#"):
                raise ValueError(f"{keyword} {value!r} leads out of the schema, and nothing is fetched")
            if not resolves(value):
                raise ValueError(f"{keyword} {value!r} leads nowhere")


class _Validator(Protocol):
    """What is used of a validator of jsonschema, which has no types of its own."""

    VALIDATORS: Mapping[str, _Keyword]

    def __call__(self, schema: object, *, registry: object) -> _Validator: ...
    def check_schema(self, schema: object) -> None: ...
    def is_type(self, instance: object, type: str) -> bool: ...
    def is_valid(self, instance: object) -> bool: ...


_Keyword = Callable[[_Validator, object, object, Mapping[str, object]], Iterator[Exception]]


class _Validators(Protocol):
    def validator_for(self, schema: object, default: object) -> _Validator: ...
    def extend(self, validator: _Validator, validators: Mapping[str, _Keyword]) -> _Validator: ...


def _validator(schema: Mapping[str, object]) -> Callable[[object], bool]:
    """``schema`` as a test of values that can be stopped."""
    import jsonschema  # pyright: ignore[reportMissingTypeStubs] - it has none
    from jsonschema import validators  # pyright: ignore[reportMissingTypeStubs] - it has none
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import DRAFT202012, EMPTY_REGISTRY, SchemaResource, specification_with

    library = cast("_Validators", validators)
    # without $schema, which would make jsonschema go back to its own keywords wherever the root is referred to
    plain = {keyword: value for keyword, value in schema.items() if keyword != "$schema"}
    draft = library.validator_for(schema, default=jsonschema.Draft202012Validator)
    try:
        draft.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise ValueError(f"no JSON schema: {str(cast('object', error.message))[:200]}") from None
    if any(keyword == "$schema" for keyword, _ in _demands(plain)):
        raise ValueError("$schema inside the schema: only the whole of it can name a draft")
    specification = specification_with(str(schema.get("$schema", "")), default=DRAFT202012)
    resolver = EMPTY_REGISTRY.resolver_with_root(cast("SchemaResource", specification.create_resource(plain)))

    def resolves(reference: str) -> bool:
        try:
            resolver.lookup(reference)
        except Unresolvable:
            return False
        return True

    _refuse_what_cannot_be_stopped(plain, resolves)
    steps = _Steps()
    keywords: dict[str, _Keyword] = {"pattern": _bounded_pattern(), "uniqueItems": _unique_items}
    keywords |= {name: steps.counted(draft.VALIDATORS[name]) for name in _REFERENCES if name in draft.VALIDATORS}
    validator = library.extend(draft, keywords)(plain, registry=EMPTY_REGISTRY)

    def check(value: object) -> bool:
        steps.taken = 0
        try:
            return validator.is_valid(value)
        except Unresolvable as error:
            raise _GaveUp(f"a reference in the schema leads nowhere: {error}") from None

    return check


class _Steps:
    """How many references were followed for one value."""

    def __init__(self) -> None:
        self.taken = 0

    def counted(self, keyword: _Keyword) -> _Keyword:
        def follow(
            validator: _Validator, demanded: object, instance: object, schema: Mapping[str, object]
        ) -> Iterator[Exception]:
            self.taken += 1
            if self.taken > MAX_STEPS:
                raise _GaveUp(f"the schema refers to itself more than {MAX_STEPS} times for one value")
            yield from keyword(validator, demanded, instance, schema) or ()

        return follow


def _bounded_pattern() -> _Keyword:
    from jsonschema import ValidationError  # pyright: ignore[reportMissingTypeStubs] - it has none

    compiled: dict[str, Pattern] = {}

    def pattern(
        validator: _Validator, demanded: object, instance: object, schema: Mapping[str, object]
    ) -> Iterator[Exception]:
        if not isinstance(instance, str):
            return
        source = str(demanded)
        if source not in compiled:
            compiled[source] = Pattern(source)
        fits = compiled[source].fits(instance)
        if isinstance(fits, Unmeasured):
            raise _GaveUp(fits.reason)
        if not fits:
            yield ValidationError(f"no match for {source!r}")

    return pattern


def _unique_items(
    validator: _Validator, demanded: object, instance: object, schema: Mapping[str, object]
) -> Iterator[Exception]:
    """By hash: jsonschema compares every two of them, minutes for the longest lists that are let in."""
    from jsonschema import ValidationError  # pyright: ignore[reportMissingTypeStubs] - it has none

    if demanded is True and isinstance(instance, list):
        items = cast("list[object]", instance)
        if len({_identity(item) for item in items}) < len(items):
            yield ValidationError("two items are equal")


def _identity(value: object) -> object:
    """Equal for JSON values that are equal: 1 and 1.0 are, 1 and true are not."""
    if isinstance(value, bool):
        return ("truth", value)
    if isinstance(value, list):
        return ("list", *(_identity(item) for item in cast("list[object]", value)))
    if isinstance(value, dict):
        return frozenset((key, _identity(item)) for key, item in cast("dict[str, object]", value).items())
    return value
