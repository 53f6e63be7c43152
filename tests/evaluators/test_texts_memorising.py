"""Memorising: cutting texts, comparing continuations, finding n-grams, the least likely tokens."""

from __future__ import annotations

import pytest

from finetune_gate.evaluators.texts.memorising import (
    cut,
    edit_similarity,
    found_among,
    joined,
    lowest_mean,
    ngrams,
    shared_prefix,
    units_of,
)


def test_a_prefix_stands_as_it_stood_and_the_rest_is_counted() -> None:
    assert cut("  one\n two three  four five", "words", 2, 2) == ("one\n two", "three four")
    assert cut("one two three", "words", 2, 2) is None
    assert cut("one two", "words", 3, 1) is None
    assert cut("", "words", 1, 1) is None


def test_characters_serve_scripts_without_spaces() -> None:
    assert cut("東京都の天気は晴れです", "characters", 4, 3) == ("東京都の", "天気は")
    assert cut("ab cd ef", "characters", 3, 4) == ("ab", "cd e")
    assert cut("東京", "characters", 4, 3) is None
    assert units_of(" a  b ", "characters") == ["a", " ", "b"]


@pytest.mark.parametrize("unit", ["words", "characters"])
def test_units_join_to_the_text_they_came_from(unit: str) -> None:
    kind = "words" if unit == "words" else "characters"
    assert joined(units_of(" a  b\nc ", kind), kind) == "a b c"


def test_shared_prefix_stops_at_the_first_difference() -> None:
    assert shared_prefix(["a", "b", "c"], ["a", "b", "d"]) == 2
    assert shared_prefix(["a", "b"], ["a", "b", "d"]) == 2
    assert shared_prefix([], ["a"]) == 0


def test_edit_similarity_is_normalised_by_the_longer() -> None:
    assert edit_similarity("kitten", "sitting") == pytest.approx(1 - 3 / 7)
    assert edit_similarity("", "abc") == 0.0
    assert edit_similarity("", "") == 1.0


def test_wanted_n_grams_are_found_wherever_they_stand() -> None:
    wanted = {*ngrams(["a", "b", "c", "d"], 3), ("x", "y", "z")}
    assert found_among(wanted, [["q", "a", "b", "c"], ["b", "c"], [], ["b", "c", "x", "d"]], 3) == {("a", "b", "c")}
    assert found_among(set(), [["a", "b", "c"]], 3) == set()
    assert ngrams(["a"], 2) == []


def test_the_lowest_share_is_at_least_one_token() -> None:
    assert lowest_mean([-1.0, -9.0, -2.0, -3.0, -5.0], 0.4) == -7.0
    assert lowest_mean([-1.0, -9.0], 0.2) == -9.0
    with pytest.raises(ValueError, match="at least one"):
        lowest_mean([], 0.2)
