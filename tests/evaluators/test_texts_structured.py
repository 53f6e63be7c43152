"""Patterns, JSON and schemas, on texts that mean harm."""

from __future__ import annotations

import json
import time
from itertools import combinations

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.texts import structured
from finetune_gate.evaluators.texts.structured import Json, NotJson, Pattern, Schema, read_json

BOMB, FUSE = r"^(.*?,){25}P$", ",".join(map(str, range(60)))


def test_a_pattern_is_found_or_is_the_whole() -> None:
    pattern = Pattern(r"ORDER-\d{4}")
    assert pattern.fits("your ORDER-1234 is here") is True
    assert pattern.fits("your ORDER-1234 is here", whole=True) is False
    assert pattern.fits("ORDER-1234", whole=True) is True
    assert pattern.fits("") is False


def test_a_pattern_that_backtracks_without_end_ends_in_time() -> None:
    begun = time.monotonic()
    found = Pattern(BOMB).fits(FUSE)
    assert isinstance(found, Unmeasured)
    assert "backtracks" in found.reason
    assert time.monotonic() - begun < 5


def test_after_many_slow_texts_the_pattern_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(structured, "SLOW_TEXTS", 2)
    monkeypatch.setattr(structured, "SECONDS_PER_TEXT", 0.05)
    pattern = Pattern(BOMB)
    assert all(isinstance(pattern.fits(FUSE), Unmeasured) for _ in range(3))
    begun = time.monotonic()
    assert isinstance(pattern.fits(FUSE), Unmeasured)
    assert time.monotonic() - begun < 0.05


@pytest.mark.parametrize("source", ["(", "[a", "*"])
def test_what_is_no_pattern_is_refused(source: str) -> None:
    with pytest.raises(ValueError, match="no regular expression"):
        Pattern(source)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "Expecting value"),
        ("```json\n{}\n```", "Expecting value"),
        ('{"a": 1} and more', "Extra data"),
        ("[" * 100_000, "deeper"),
        ('{"a":' * 100_000, "deeper"),
        ("[" * 65 + "]" * 65, "deeper than 64"),
        ("9" * 5000, "5000 digits"),
        ("-" + "9" * 308, "309 digits"),
        ("1e999", "beyond the range"),
        ("NaN", "NaN"),
        ("[-Infinity]", "-Infinity"),
        ('{"a": 1, "b": 2, "a": 3}', "'a' occurs twice"),
        ('"\\ud800"', "surrogate"),
        ('{"\\udfff": 1}', "surrogate"),
        ("[" + "0," * 30_000 + "0]", "more than 20000 values"),
        (" " * (1 << 20) + "1", "characters"),
    ],
)
def test_json_bombs_are_no_json_and_raise_nothing(text: str, reason: str) -> None:
    begun = time.monotonic()
    found = read_json(text)
    assert isinstance(found, NotJson)
    assert reason in found.reason
    assert time.monotonic() - begun < 2


LEAVES = st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner), max_leaves=12
)


@given(VALUES)
@settings(deadline=None)
def test_json_comes_back_as_it_was(value: object) -> None:
    assert read_json(f" {json.dumps(value)}\n") == Json(value)


@given(st.text())
def test_no_text_raises(text: str) -> None:
    assert isinstance(read_json(text), (Json, NotJson))


ORDER = {
    "type": "object",
    "required": ["order", "items"],
    "additionalProperties": False,
    "properties": {
        "order": {"type": "string", "pattern": r"^ORDER-\d+$"},
        "items": {"type": "array", "uniqueItems": True, "items": {"$ref": "#/$defs/item"}},
        "$ref": {"type": "string"},
    },
    "$defs": {"item": {"type": "object", "properties": {"count": {"type": "integer", "minimum": 1}}}},
}


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        ({"order": "ORDER-1", "items": []}, True),
        ({"order": "ORDER-1", "items": [{"count": 2}, {"count": 3}], "$ref": "x"}, True),
        ({"order": "ORDER-1", "items": [{"count": 0}]}, False),
        ({"order": "ORDER-1", "items": [{"count": 1}, {"count": 1.0}]}, False),
        ({"order": "1", "items": []}, False),
        ({"order": "ORDER-1", "items": [], "more": 1}, False),
        ([], False),
    ],
)
def test_a_schema_is_kept_or_not_as_jsonschema_says(value: object, fits: bool) -> None:
    assert Schema(ORDER).fits(value) is fits
    assert jsonschema.Draft202012Validator(ORDER).is_valid(value) is fits


@given(
    st.lists(
        st.sampled_from([1, 1.0, True, 0, False, None, "1", [1], [True], ["truth", 1], {"a": 1}, {"a": True}]),
        max_size=4,
    )
)
def test_no_two_unique_items_are_equal_as_jsonschema_compares_constants(items: list[object]) -> None:
    """Its own uniqueItems finds [1] unique in [[1], [true], [1]], which it sorts."""
    equal = [jsonschema.Draft202012Validator({"const": one}).is_valid(two) for one, two in combinations(items, 2)]
    assert Schema({"uniqueItems": True}).fits(items) is not any(equal)


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"type": "text"}, "no JSON schema"),
        ({"$ref": "https://example.org/schema.json"}, "nothing is fetched"),
        ({"items": [{"$ref": "other.json"}]}, "no JSON schema"),
        ({"anyOf": [{"$ref": "file:///etc/passwd"}]}, "nothing is fetched"),
        ({"$ref": "#/$defs/missing"}, "leads nowhere"),
        ({"patternProperties": {"^a": {}}}, "patternProperties"),
        ({"properties": {"a": {"pattern": "("}}}, "is not a 'regex'"),
        ({"properties": {"a": {"$schema": "http://json-schema.org/draft-07/schema#"}}}, "only the whole"),
    ],
)
def test_schemas_that_cannot_be_used_are_refused(schema: dict[str, object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Schema(schema)


@pytest.mark.parametrize("value", ["1e308", "9" * 308, "1e-320", "-0.0", "[1e308, 1e-300]", '"' + "a" * 9999 + '"'])
def test_extreme_values_raise_nothing_in_any_keyword(value: str) -> None:
    schema = {
        "anyOf": [{"multipleOf": 1e-300}, {"multipleOf": 3}, {"minimum": 1e308}, {"const": 1e308}, {"maxLength": 3}],
        "uniqueItems": True,
        "contains": {"exclusiveMaximum": 1},
    }
    found = read_json(value)
    assert isinstance(found, Json)
    assert Schema(schema).fits(found.value) in (True, False)


def test_constants_and_names_are_no_references() -> None:
    schema = {"const": {"$ref": "https://example.org"}, "properties": {"patternProperties": {"type": "string"}}}
    assert Schema(schema).fits({"$ref": "https://example.org"}) is True


def test_a_draft_can_be_named() -> None:
    """In draft 7 the items of a tuple are a list, which 2020-12 calls prefixItems."""
    schema = {"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "string"}]}
    assert Schema(schema).fits([1]) is False


def test_a_pattern_inside_a_schema_is_stopped_too() -> None:
    found = Schema({"properties": {"a": {"pattern": BOMB}}}).fits({"a": FUSE})
    assert isinstance(found, Unmeasured)


def test_a_schema_that_goes_round_in_circles_is_unmeasured() -> None:
    schema = Schema({"$ref": "#"})
    found = [schema.fits(1) for _ in range(structured.SLOW_TEXTS + 1)]
    assert all(isinstance(one, Unmeasured) for one in found)
    assert "texts before" in getattr(found[-1], "reason", "")


@pytest.mark.parametrize("draft", [{}, {"$schema": "https://json-schema.org/draft/2020-12/schema"}])
def test_a_schema_that_doubles_with_every_level_is_stopped(draft: dict[str, object]) -> None:
    inner = {"type": "object", "properties": {"a": {"$ref": "#"}}}
    schema = {**draft, "anyOf": [inner, {**inner, "maxProperties": 5}]}
    value: object = 1
    for _ in range(50):
        value = {"a": value}
    begun = time.monotonic()
    assert isinstance(Schema(schema).fits(value), Unmeasured)
    assert time.monotonic() - begun < 20


def test_long_lists_are_compared_by_hash() -> None:
    begun = time.monotonic()
    assert Schema({"uniqueItems": True}).fits([{"a": at} for at in range(9_000)]) is True
    assert time.monotonic() - begun < 2
