"""What counts as the label in a generated text: a table that people can read."""

from __future__ import annotations

import pytest

from finetune_gate.evaluators.label_extraction import extract_label

LABELS = ["billing", "bug", "bug report", "Überweisung", "n/a"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("billing", "billing"),
        ("Billing.", "billing"),
        ("not billing but bug", "bug"),
        ("a bug report", "bug report"),
        ("debugging", None),
        ("Answer: bug\nI first thought of billing", "bug"),
        ("Answer: billing\n...\nFinal answer: bug", "bug"),
        ("**Label:** bug", "bug"),
        ("Answer: I cannot say. billing", "billing"),
        ("Answer: none of them\nbilling", None),
        ("überweisung", "Überweisung"),
        ("it is n/a here", "n/a"),
        ("", None),
        ("(B)", None),
    ],
)
def test_extraction(text: str, expected: str | None) -> None:
    found = extract_label(text, LABELS)
    assert (None if found is None else LABELS[found]) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("(B)", 1), ("B", 1), ("b", None), ("Answer: C.", 2), ("A) billing? No: bug", 1), ("I'd say A", 0), ("E", None)],
)
def test_letters_only_where_options_were_lettered(text: str, expected: int | None) -> None:
    assert extract_label(text, ["billing", "bug", "praise"], lettered=True) == expected
