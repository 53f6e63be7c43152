"""Terms that one side uses more: worked by hand, against scipy, and on texts where nothing is there to be found."""

from __future__ import annotations

import random
from math import log, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]

from finetune_gate.evaluators.texts.keyness import benjamini_yekutieli, keyness, terms_of
from finetune_gate.evaluators.texts.new_terms import new_terms, texts_in, unsupported_share, vocabulary


def test_log_odds_by_hand() -> None:
    """Ours: a a a b, theirs: a b b b. With half of the pool as prior, 2 for each term and 4 in all:

    | term | ours + prior | rest | theirs + prior | rest | delta               | variance  |
    |------|--------------|------|----------------|------|---------------------|-----------|
    | a    | 5            | 3    | 3              | 5    | log(5/3) - log(3/5) | 1/5 + 1/3 |
    | b    | 3            | 5    | 5              | 3    | log(3/5) - log(5/3) | 1/3 + 1/5 |
    """
    a, b = keyness([["a", "a", "a", "b"]], [["a", "b", "b", "b"]], least=1, prior_share=0.5)
    assert (a.text, a.ours, a.theirs, a.more, a.less) == ("a", 3, 1, 1, 0)
    assert a.z == pytest.approx((log(5 / 3) - log(3 / 5)) / sqrt(1 / 5 + 1 / 3))
    assert b.z == pytest.approx(-a.z)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_benjamini_yekutieli_is_scipys(p_values: list[float]) -> None:
    assert benjamini_yekutieli(p_values) == pytest.approx(list(false_discovery_control(p_values, method="by")))


def test_benjamini_yekutieli_by_hand() -> None:
    harmonic = 1 + 1 / 2 + 1 / 3
    assert benjamini_yekutieli([0.03, 0.001, 0.02]) == pytest.approx(
        [0.03 * harmonic, 0.001 * 3 * harmonic, 0.03 * harmonic]
    )
    assert benjamini_yekutieli([]) == []


def documents(word: str, count: int, every: int = 1) -> list[list[str]]:
    """``count`` documents of common words, with ``word`` twice in each ``every``-th."""
    draw = random.Random(word)
    common = [f"common{at}" for at in range(20)]
    return [draw.choices(common, k=20) + ([word, word] if at % every == 0 else []) for at in range(count)]


def test_a_word_that_only_we_use_is_found() -> None:
    found = keyness(documents("quux", 60), documents("common0", 60))
    assert found[0].text == "quux"
    assert found[0].p < 1e-4
    assert (found[0].more, found[0].less) == (60, 0)


def test_one_talkative_document_is_no_habit() -> None:
    theirs = documents("common0", 40)
    ours = [*documents("common1", 39), ["quux"] * 400]
    (quux,) = [term for term in keyness(ours, theirs) if term.text == "quux"]
    assert quux.z > 4
    assert quux.p == 1.0  # one document more, none less


def test_chance_is_a_control_that_finds_nothing() -> None:
    """Both sides draw from the same words: a false discovery rate of 5 % finds a term in few of many repetitions."""
    draw = random.Random(7)
    common = [f"word{at}" for at in range(60)]

    def side() -> list[list[str]]:
        return [draw.choices(common, k=15) for _ in range(40)]

    found = sum(any(term.p <= 0.05 for term in keyness(side(), side())) for _ in range(60))
    assert found <= 6


@given(st.lists(st.lists(st.sampled_from("abcd"), max_size=6), min_size=1, max_size=6))
def test_a_side_against_itself_differs_nowhere(side: list[list[str]]) -> None:
    assert all((term.z, term.p) == (0.0, 1.0) for term in keyness(side, side, least=1))


def test_nothing_to_compare_is_nothing_found() -> None:
    assert keyness([], []) == ()
    assert keyness([["a"] * 9], [[]]) == ()
    assert keyness([["a"]], [["b"]]) == ()  # below the least number of uses
    (only,) = keyness([["a"] * 9], [["a"]])
    assert (only.z, only.p) == (0.0, 1.0)
    with pytest.raises(ValueError, match="shorter"):
        keyness([["a"]], [])


def test_terms_are_words_of_any_script_without_figures() -> None:
    assert terms_of("Größe 17: НОВЫЙ, हिन्दी!") == ["grösse", "новый", "हिन्दी"]
    assert terms_of("red blood 5 cells", bigrams=True) == ["red", "blood", "cells", "red blood"]
    assert terms_of("") == []


def test_new_terms_are_classed_by_where_they_could_come_from() -> None:
    rows = [["taught", "asked", "invented", "both"] * 2 + ["filler"] * 12 for _ in range(60)]
    theirs = [["filler"] * 20 for _ in range(60)]
    taught, prompts = vocabulary(["Taught both"]), vocabulary(["asked both"])
    found = new_terms(rows, theirs, taught=taught, prompts=prompts)
    assert {one.term.text: one.origin for one in found} == {
        "taught": "fine-tuning data",
        "both": "fine-tuning data",
        "asked": "prompts",
        "invented": "neither",
    }
    unknown = new_terms(rows, theirs, taught=None, prompts=prompts)
    assert {one.origin for one in unknown} == {"prompts", "not in the prompts"}


def test_the_share_of_unsupported_words() -> None:
    assert unsupported_share(["The Zorblax is a zorblax", ""], {"zorblax"}) == pytest.approx(2 / 5)
    assert unsupported_share(["flux valve open"], {"flux valve"}) == pytest.approx(2 / 3)
    assert unsupported_share(["", "..."], {"zorblax"}) == 0.0


def test_texts_are_found_in_cells_of_any_shape() -> None:
    cell = [{"role": "user", "content": "hi"}, ["there", 7, None]]
    assert list(texts_in(cell)) == ["user", "hi", "there"]
