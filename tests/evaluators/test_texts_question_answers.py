"""SQuAD's normal form, exact match, and F1 over multisets."""

from __future__ import annotations

import re
import string
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune_gate.evaluators.texts.normalizing import answer_words, normalized_answer
from finetune_gate.evaluators.texts.question_answers import exact_match, token_f1


def squad_normal(text: str) -> str:
    """What the evaluation script of SQuAD does, step by step."""
    lowered = "".join(character for character in text.lower() if character not in set(string.punctuation))
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", lowered).split())


@given(st.text(st.characters(max_codepoint=127), max_size=60))
def test_the_normal_form_is_squads_on_ascii(text: str) -> None:
    assert normalized_answer(text) == squad_normal(text)


@given(*[st.lists(st.sampled_from(["a", "the", "Paris", "paris,", "rome", "of"]), max_size=6).map(" ".join)] * 2)
def test_f1_is_squads(answer: str, reference: str) -> None:
    ours, theirs = squad_normal(answer).split(), squad_normal(reference).split()
    shared = sum((Counter(ours) & Counter(theirs)).values())
    if theirs:
        expected = 2 * shared / (len(ours) + len(theirs))
        assert token_f1(answer, [reference]) == pytest.approx(expected)


def test_repeating_the_answer_is_not_answering_it() -> None:
    assert token_f1("Paris Paris Paris", ["Paris"]) == 0.5
    assert exact_match("Paris Paris Paris", ["Paris"]) == 0.0


def test_the_best_of_several_references_counts() -> None:
    references = ["Denver Broncos", "The Broncos", "the Denver Broncos team"]
    assert exact_match("Broncos.", references) == 1.0
    assert token_f1("Broncos", references) == 1.0
    assert token_f1("Broncos of Denver", references) == pytest.approx(0.8)
    assert token_f1("anything", []) == 0.0


@pytest.mark.parametrize(
    ("answer", "reference"),
    [("«Париж»", "париж"), ("GROSSE STRASSE", "große Straße"), ("２０２４年", "2024年"), ("“Rome”", "rome")],
)
def test_case_width_and_punctuation_of_other_scripts(answer: str, reference: str) -> None:
    assert exact_match(answer, [reference]) == 1.0


def test_scripts_without_spaces_share_characters() -> None:
    assert answer_words("北京大学") == ["北", "京", "大", "学"]
    assert token_f1("北京", ["北京大学"]) == pytest.approx(2 * 2 / 6)


def test_a_reference_of_signs_only_is_compared_as_written() -> None:
    assert exact_match("", ["+"]) == 0.0
    assert token_f1("", ["the"]) == 0.0
    assert exact_match(" + ", ["+"]) == 1.0
    assert exact_match("-", ["+"]) == 0.0


def test_an_empty_answer_is_wrong() -> None:
    assert exact_match("", ["Paris"]) == 0.0
    assert token_f1("", ["Paris"]) == 0.0
