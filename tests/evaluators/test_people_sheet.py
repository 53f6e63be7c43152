"""Sheets: blind, the same for the same rater, and whole."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune_gate.evaluators.errors import ConfigurationError
from finetune_gate.evaluators.people.ratings import rating_line, text_key
from finetune_gate.evaluators.people.sheet import Pair, Sheet, make_sheet, rating_of

PAIRS = tuple(Pair(f"q{at}", f"What is {at}?", f"ours {at}", f"theirs {at}", f"it is {at}") for at in range(200))
TEXTS = st.text(max_size=8)


def sheet(pairs: tuple[Pair, ...] = PAIRS, rater: str = "ana", seed: int = 0) -> Sheet:
    return make_sheet("support-bot", pairs, rater, ("accuracy",), "Read both.", seed)


def turned(pair: Pair) -> Pair:
    return replace(pair, first=pair.second, second=pair.first)


def test_a_sheet_shows_every_pair_once() -> None:
    found = sheet()
    assert {item.example for item in found.items} == {pair.example for pair in PAIRS}
    assert len({item.id for item in found.items}) == len(PAIRS)
    by_example = {pair.example: pair for pair in PAIRS}
    for item in found.items:
        pair = by_example[item.example]
        assert {item.left, item.right} == {pair.first, pair.second}
        assert (item.prompt, item.reference) == (pair.prompt, pair.reference)


@given(st.lists(st.builds(Pair, st.uuids().map(str), TEXTS, TEXTS, TEXTS), max_size=6), st.integers(0, 9))
def test_a_sheet_would_be_the_same_if_the_models_were_swapped(pairs: list[Pair], seed: int) -> None:
    """So neither order, nor sides, nor ids can tell who is who, to anyone who knows everything but that."""
    assert sheet(tuple(pairs), seed=seed) == sheet(tuple(map(turned, pairs)), seed=seed)


def test_sides_are_even_and_of_the_rater_s_own() -> None:
    ours = {item.example: item.left.startswith("ours") for item in sheet().items}
    assert 70 < sum(ours.values()) < 130
    for other in (sheet(rater="bob"), sheet(seed=1)):
        same = sum(item.left.startswith("ours") == ours[item.example] for item in other.items)
        assert 70 < same < 130
        assert [item.example for item in other.items] != [item.example for item in sheet().items]
        assert not {item.id for item in other.items} & {item.id for item in sheet().items}


def test_the_same_rater_sees_the_same_sheet_and_more_pairs_move_no_side() -> None:
    assert sheet() == sheet()
    sides = {item.example: (item.id, item.left) for item in sheet().items}
    fewer = sheet(PAIRS[:50])
    assert all(sides[item.example] == (item.id, item.left) for item in fewer.items)
    assert [item.example for item in sheet().items if item in fewer.items] == [one.example for one in fewer.items]


def test_equal_answers_are_left_out_blank_ones_are_not_and_no_pair_is_asked_twice() -> None:
    pairs = (
        Pair("1", "Where?", "here", "here"),
        Pair("2", "Where?", "", "here"),
        Pair("3", "Where?", "here", "here "),
        Pair("4", "Where?", "here", ""),
    )
    assert {item.example for item in sheet(pairs).items} == {"2", "3"}
    assert sheet(()).items == ()


def test_a_rating_names_texts_and_no_sides() -> None:
    item = sheet().items[0]
    rating = rating_of(item, "ana", "left", {"accuracy": 4}, {"accuracy": 1}, "n" * 9_000 + "\ud800")
    assert rating.left == text_key(item.prompt, item.left)
    assert rating.right == text_key(item.prompt, item.right)
    assert len(rating.notes) == 4_000
    said = json.dumps([asdict(sheet()), rating_line(rating)])
    assert not [word for word in ("candidate", "base", "champion", "first", "second") if word in said]
    assert json.dumps(rating_line(rating_of(item, "ana", None, notes="\ud800"))).isascii()


@pytest.mark.parametrize(
    ("choice", "scores", "rater"),
    [
        ("first", {}, "ana"),
        ("left", {"accuracy": 6}, "ana"),
        ("left", {"accuracy": True}, "ana"),
        ("left", {"accuracy": 2.0}, "ana"),
        ("left", {}, ""),
    ],
)
def test_what_could_not_be_read_back_is_no_rating(choice: str, scores: dict[str, int], rater: str) -> None:
    with pytest.raises(ValueError, match=r"choice|score|name"):
        rating_of(sheet().items[0], rater, choice, scores, {})


def test_a_rater_has_a_name() -> None:
    with pytest.raises(ConfigurationError, match="1 to 64 letters"):
        sheet(rater="<script>")
