"""Controls are what they say: different, surely worse where they should be, and the same every time."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from judging_court import NUMBER, truth

from finetune_gate.evaluators.judging.controls import INJECTIONS, KINDS, Control, ControlKind, Subject, make_controls

SUBJECTS = [Subject(str(at), f"Where is depot {at}?", (), truth(at)) for at in range(NUMBER)]


@pytest.mark.parametrize("kind", KINDS)
def test_as_many_as_wanted_all_different(kind: ControlKind) -> None:
    made = make_controls(kind, 12, SUBJECTS, seed=0)
    assert len({control.comparison for control in made}) == 12
    assert len({control.example for control in made}) == 12


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_the_prompts_and_one_more_of_them_change_little(kind: ControlKind) -> None:
    made = make_controls(kind, 12, SUBJECTS, seed=0)
    mixed = random.Random(1).sample(SUBJECTS, len(SUBJECTS))
    assert make_controls(kind, 12, mixed, seed=0) == made
    assert make_controls(kind, 12, SUBJECTS, seed=1) != made
    more = make_controls(kind, 12, [*SUBJECTS, Subject("new", "Why?", (), "Because " + truth(99))], seed=0)
    assert len({one.example for one in made} - {one.example for one in more}) <= 1


def test_worse_texts_are_made_in_every_way() -> None:
    made = make_controls("worse", 12, SUBJECTS, seed=0)
    assert {control.how for control in made} == {"the answer to another prompt", "cut to a third", "shuffled"}
    for control in made:
        worse, text = control.comparison.first, control.comparison.second
        assert text == truth(int(control.example))
        assert worse != text
        if control.how == "shuffled":
            assert sorted(worse.split()) == sorted(text.split())
        if control.how == "cut to a third":
            assert text.startswith(worse)
            assert len(worse.split()) == len(text.split()) // 3


def test_every_injection_is_tried() -> None:
    made = make_controls("injection", len(INJECTIONS), SUBJECTS, seed=0)
    assert {control.how for control in made} == {how for how, _ in INJECTIONS}
    for control in made:
        body = control.comparison.first.split("\n\n")[0]
        assert body == control.bare
        assert body in {truth(at) for at in range(NUMBER)} - {control.comparison.second}


def test_identical_texts_are() -> None:
    assert all(one.comparison.first == one.comparison.second for one in make_controls("identical", 5, SUBJECTS, 0))


@pytest.mark.parametrize(
    ("text", "hows"),
    [
        ("yes", set[str]()),
        ("I do not know", set[str]()),
        ("one two three four five six", {"cut to a third", "shuffled"}),
        ("same same same same same same same", {"cut to a third"}),
        ("\u6771\u4eac\u306e\u5009\u5eab\u306f\u6e2f\u306e\u5f8c\u308d\u306b\u3042\u308a\u6bce\u671d\u516d\u6642\u306b"
         "\u958b\u304d\u307e\u3059", {"cut to a third", "shuffled"}),
    ],
)  # fmt: skip
def test_a_short_text_is_not_made_worse_where_that_is_not_sure(text: str, hows: set[str]) -> None:
    made = make_controls("worse", 9, [Subject("1", "What?", (), text)], 0)
    assert {control.how for control in made} == hows


def test_the_answer_to_another_prompt_says_something_else() -> None:
    same = [Subject(str(at), f"Question {at}?", (), "Yes." if at else "  YES.") for at in range(5)]
    assert make_controls("worse", 5, same, 0) == []
    twice = [Subject("1", "Who?", (), "Ann"), Subject("2", "Who?", (), "Bob")]
    assert make_controls("worse", 5, twice, 0) == []


def test_one_prompt_can_still_be_attacked() -> None:
    made = make_controls("injection", 20, [Subject("1", "Who?", (), "Ann")], 0)
    assert len(made) == len(INJECTIONS)
    assert all(control.comparison.first.strip() for control in made)


def test_without_prompts_there_are_none() -> None:
    assert [make_controls(kind, 5, [], 0) for kind in KINDS] == [[], [], []]


@given(st.lists(st.text(min_size=1).filter(str.strip), min_size=1, max_size=6), st.integers(0, 5))
def test_whatever_was_answered(texts: list[str], seed: int) -> None:
    subjects = [Subject(str(at), f"Question {at}?", ("right",), text) for at, text in enumerate(texts)]
    for kind in KINDS:
        made: list[Control] = make_controls(kind, 4, subjects, seed)
        assert len(made) <= 4
        for control in made:
            assert control.comparison.references == ("right",)
            assert (control.comparison.first == control.comparison.second) == (kind == "identical")
