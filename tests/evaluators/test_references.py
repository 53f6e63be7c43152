"""References read from cells, and texts of answers."""

from __future__ import annotations

import pytest

from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.asking import Failed, Generation, TokenLogprobs
from finetune_gate.evaluators.references import MAX_CHARACTERS, NO_REFERENCE, compare_each, references_of, text_of


@pytest.mark.parametrize(
    ("cell", "references"),
    [
        ("a", ("a",)),
        (["a", "b"], ("a", "b")),
        (["a", "", None, 3], ("a",)),
        ("  ", ()),
        ([], ()),
        (None, ()),
        (7, ()),
        ({"text": "a"}, ()),
    ],
)
def test_a_cell_holds_a_text_or_a_list_of_texts(cell: object, references: tuple[str, ...]) -> None:
    assert references_of(cell) == references


def test_an_empty_text_is_an_answer_and_no_answer_is_none() -> None:
    assert text_of(Generation("", "stop", 0)) == ""
    assert text_of(Failed("timed out")) == Unmeasured("timed out")
    assert isinstance(text_of(TokenLogprobs(())), Unmeasured)
    assert isinstance(text_of(Generation("x" * (MAX_CHARACTERS + 1), "stop", 1)), Unmeasured)


def test_every_example_gets_every_component() -> None:
    answers = [Generation("a", "stop", 1), Failed("no"), Generation("b", "stop", 1)]
    found = compare_each(
        ("x", "y"), answers, ["a", "a", None], lambda text, references: (float(text in references), 2.0)
    )
    assert found == {"x": [1.0, Unmeasured("no"), NO_REFERENCE], "y": [2.0, Unmeasured("no"), NO_REFERENCE]}
