"""ROUGE against rouge_score itself, and in scripts that rouge_score does not see."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from finetune_gate.evaluators.texts.normalizing import ascii_words, words
from finetune_gate.evaluators.texts.rouge import Rouge, choose_tokenizer, rouge, tokenizer_named

KINDS = ("rouge1", "rouge2", "rougeL", "rougeLsum")
PLAIN = RougeScorer(list(KINDS))
STEMMING = RougeScorer(list(KINDS), use_stemmer=True)

WORD = st.sampled_from(["the", "a", "cat", "Dogs", "running", "x9", "it's", "naïve", "snow-white", "...", "generally"])
TEXT = st.lists(st.tuples(WORD, st.sampled_from([" ", " ", " ", "\n", ". ", "\n\n"])), max_size=24).map(
    lambda pairs: "".join(word + gap for word, gap in pairs)
)


def measures(found: Rouge) -> list[float]:
    return [found.rouge1, found.rouge2, found.rougeL, found.rougeLsum]


@given(TEXT, TEXT)
@settings(max_examples=300, deadline=None)
def test_every_float_is_that_of_rouge_score(reference: str, answer: str) -> None:
    expected = PLAIN.score(reference, answer)
    assert measures(rouge([reference], answer, ascii_words)) == [expected[kind].fmeasure for kind in KINDS]


@given(TEXT, TEXT)
@settings(max_examples=150, deadline=None)
def test_with_the_stemmer_too(reference: str, answer: str) -> None:
    expected = STEMMING.score(reference, answer)
    stemmed = tokenizer_named("ascii", stemmer=True)
    assert measures(rouge([reference], answer, stemmed)) == [expected[kind].fmeasure for kind in KINDS]


@given(st.lists(TEXT, min_size=1, max_size=3), TEXT)
@settings(max_examples=100, deadline=None)
def test_the_best_of_several_references_counts_for_each_kind_by_itself(references: list[str], answer: str) -> None:
    expected = PLAIN.score_multi(references, answer)
    assert measures(rouge(references, answer, ascii_words)) == [expected[kind].fmeasure for kind in KINDS]


@given(st.text(max_size=60), st.text(max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_text_at_all_scores_as_in_rouge_score(reference: str, answer: str) -> None:
    expected = PLAIN.score(reference, answer)
    assert measures(rouge([reference], answer, ascii_words)) == [expected[kind].fmeasure for kind in KINDS]


def test_long_texts_of_many_lines_choose_the_same_subsequences() -> None:
    """With few words there are many longest common subsequences, and which one is taken changes rougeLsum."""
    draw = random.Random(7)
    for _ in range(60):
        reference, answer = (
            "\n".join(" ".join(draw.choice("abcde") for _ in range(draw.randrange(80))) for _ in range(4))
            for _ in range(2)
        )
        expected = PLAIN.score(reference, answer)
        assert measures(rouge([reference], answer, ascii_words)) == [expected[kind].fmeasure for kind in KINDS]


def test_the_published_example() -> None:
    """The one in rouge_score's own documentation."""
    found = rouge(["The quick brown fox jumps over the lazy dog"], "The quick brown dog jumps on the log.", ascii_words)
    assert found.rouge1 == pytest.approx(2 * (6 / 8) * (6 / 9) / (6 / 8 + 6 / 9))
    assert found.rougeL == pytest.approx(2 * (5 / 8) * (5 / 9) / (5 / 8 + 5 / 9))


def test_the_worked_example_of_the_paper() -> None:
    """Lin 2004, section 3.2: w1..w5 against "w1 w2 w6 w7 w8" and "w1 w3 w8 w9 w5": the union has 4 of 5 words."""
    found = rouge(["w1 w2 w3 w4 w5"], "w1 w2 w6 w7 w8\nw1 w3 w8 w9 w5", ascii_words)
    assert found.rougeLsum == pytest.approx(2 * (4 / 10) * (4 / 5) / (4 / 10 + 4 / 5))


def test_identical_russian_texts_score_1_and_0_in_rouge_score() -> None:
    text = "Кошка сидит на окне и смотрит на улицу."
    assert PLAIN.score(text, text)["rougeL"].fmeasure == 0
    assert measures(rouge([text], text, words)) == [1.0, 1.0, 1.0, 1.0]


@pytest.mark.parametrize("text", ["मैं घर जा रहा हूँ", "我今天去北京", "γειά σου Κόσμε", "สวัสดีครับทุกคน", "שלום לכם"])
def test_identical_texts_score_1_in_any_script(text: str) -> None:
    assert measures(rouge([text], text, words)) == [1.0, 1.0, 1.0, 1.0]


def test_words_of_other_scripts() -> None:
    assert words("Straße 12, ИЛИ нет?") == ["strasse", "12", "или", "нет"]
    assert words("हिन्दी भाषा") == ["हिन्दी", "भाषा"]
    assert words("我去Tokyo塔") == ["我", "去", "tokyo", "塔"]
    assert words("Cafe\u0301") == words("Café")


@given(st.text(st.characters(max_codepoint=127), max_size=80))
def test_both_tokenizers_agree_on_ascii(text: str) -> None:
    assert words(text) == ascii_words(text) == PLAIN._tokenizer.tokenize(text)


def test_the_tokenizer_is_chosen_for_the_dataset() -> None:
    assert choose_tokenizer("auto", ["plain", "text — with “signs” and 5 €"]) == "ascii"
    assert choose_tokenizer("auto", ["plain", "ещё"]) == "unicode"
    assert choose_tokenizer("ascii", ["ещё"]) == "ascii"
    assert choose_tokenizer("unicode", ["plain"]) == "unicode"


def test_nothing_scores_nothing() -> None:
    assert measures(rouge(["word"], "", ascii_words)) == [0.0] * 4
    assert measures(rouge([""], "", ascii_words)) == [0.0] * 4
    assert rouge(["word"], "word", ascii_words).rouge2 == 0.0
    with pytest.raises(ValueError, match="no reference"):
        rouge([], "word", ascii_words)
    with pytest.raises(ValueError, match="needs the ascii tokenizer"):
        tokenizer_named("unicode", stemmer=True)
