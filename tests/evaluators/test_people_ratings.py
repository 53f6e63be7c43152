"""Ratings: lines that say nothing about models, read back as they were written, faults named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune_gate.evaluators.asking import Message
from finetune_gate.evaluators.datasets import DatasetSource, Row, load_dataset
from finetune_gate.evaluators.people.by_rater import choices_by_rater, mean_opinion, scores_by_rater
from finetune_gate.evaluators.people.ratings import (
    Rating,
    rater_problem,
    rating_line,
    rating_problems,
    read_ratings,
    seen_prompt,
    text_key,
)
from finetune_gate.evaluators.testing import made_dataset

A, B, C = (text_key("Where?", answer) for answer in ("at home", "abroad", "here"))
GOOD: Row = {"example": "17", "rater": "ana", "left": A, "right": B, "choice": "left", "left_scores": {"accuracy": 4}}


def problems(row: Row, *criteria: str) -> str:
    return "\n".join(map(str, rating_problems("human.ratings", made_dataset("ratings", [row]), criteria)))


def test_a_text_is_known_by_prompt_and_answer() -> None:
    assert len({text_key("a", "bc"), text_key("ab", "c"), text_key("a", "b"), A, B}) == 5
    assert text_key("Where?", "at home") == A
    assert seen_prompt("plain") == "plain"
    assert seen_prompt((Message("system", "be kind"), Message("user", "Where?"))) == "Where?"


def test_a_line_holds_a_rating_and_nothing_about_models(tmp_path: Path) -> None:
    rating = Rating("17", "ana", A, B, "left", {"accuracy": 4}, {"accuracy": 2}, 'says "no"\nand more')
    line = rating_line(rating)
    assert list(line) == [
        *("id", "example", "rater", "left", "right", "choice", "left_scores", "right_scores", "notes")
    ]
    (tmp_path / "r.jsonl").write_text(json.dumps(line) + "\n")
    dataset = load_dataset("ratings", DatasetSource(path="r.jsonl", optional=True), tmp_path)
    assert rating_problems("ratings", dataset, ("accuracy",)) == []
    assert read_ratings(dataset) == (rating,)


def test_a_rating_given_again_has_the_same_id_whichever_side_the_texts_were_on() -> None:
    first = rating_line(Rating("17", "ana", A, B, "left"))["id"]
    assert rating_line(Rating("17", "ana", B, A, "tie", notes="changed my mind"))["id"] == first
    others = [Rating("18", "ana", A, B), Rating("17", "bob", A, B), Rating("17", "ana", A, C)]
    assert len({first, *(rating_line(one)["id"] for one in others)}) == 4


def test_of_two_ratings_of_one_pair_by_one_rater_the_later_counts_alone() -> None:
    rows: list[Row] = [GOOD, {**GOOD, "rater": "bob"}, {**GOOD, "left": B, "right": A, "left_scores": {}}]
    found = read_ratings(made_dataset("ratings", rows))
    assert [(one.rater, one.left, one.left_scores) for one in found] == [("bob", A, {"accuracy": 4}), ("ana", B, {})]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"example": None}, "example=None"),
        ({"example": True}, "example=True"),
        ({"rater": ""}, "rater=''"),
        ({"rater": "a\nb"}, "1 to 64 letters"),
        ({"left": "at home"}, "left='at home'"),
        ({"right": None}, "right=None"),
        ({"right": A}, "two different texts"),
        ({"choice": "candidate"}, "left, right, tie, or null"),
        ({"choice": ["left"]}, "left, right, tie, or null"),
        ({"left_scores": [4]}, "left_scores=[4]"),
        ({"notes": 3}, "notes=3"),
    ],
)
def test_a_row_that_is_no_rating_is_named_and_does_not_count(change: Row, message: str) -> None:
    row = {**GOOD, **change}
    assert message in problems(row)
    assert read_ratings(made_dataset("ratings", [row])) == ()


@pytest.mark.parametrize("score", [0, 6, -1, True, 4.0, "4", [4]])
def test_a_score_off_the_scale_is_named_and_does_not_count(score: object) -> None:
    row: Row = {**GOOD, "right_scores": {"accuracy": score, "fluency": 5}}
    assert "right_scores.accuracy" in problems(row, "accuracy")
    assert problems(row, "fluency") == "", "what nobody counts is nobody's business"
    assert read_ratings(made_dataset("ratings", [row]))[0].right_scores == {"fluency": 5}


def test_a_partial_rating_is_a_rating() -> None:
    row: Row = {"example": 17, "rater": "ana", "left": A, "right": B}
    assert problems(row, "accuracy") == ""
    (found,) = read_ratings(made_dataset("ratings", [row]))
    assert found == Rating("17", "ana", A, B)
    assert found.empty
    assert problems({**row, "choice": None, "left_scores": None, "right_scores": {"accuracy": None}}, "accuracy") == ""


def test_many_faults_are_counted() -> None:
    rows: list[Row] = [{**GOOD, "choice": str(at)} for at in range(9)]
    found = rating_problems("human.ratings", made_dataset("ratings", rows), ())
    assert len(found) == 6
    assert "4 more" in str(found[-1])


@pytest.mark.parametrize("name", ["ana", "Ána Ü.", "a", "x" * 64, "rater_7@example.org", "李雷"])
def test_names_of_raters(name: str) -> None:
    assert rater_problem(name) is None


@pytest.mark.parametrize("name", ["", " ", " ana", "ana ", "x" * 65, "a\tb", "a/b", "<b>", "a\n", "=1+1"])
def test_what_is_no_name(name: str) -> None:
    assert rater_problem(name)


SIDES = st.lists(st.tuples(st.sampled_from(["ana", "bob", "cyd"]), st.sampled_from("lrt"), st.booleans()), max_size=12)


@given(SIDES)
def test_ratings_count_the_same_whichever_side_the_answers_were_on(said: list[tuple[str, str, bool]]) -> None:
    """``l``: the candidate's answer was chosen. ``swapped``: it stood on the right."""
    straight, swapped = [], []
    for rater, choice, turned in said:
        word = {"l": "left", "r": "right", "t": "tie"}[choice]
        other = {"left": "right", "right": "left", "tie": "tie"}[word]
        one = Rating("1", rater, A, B, word, {"accuracy": 5}, {"accuracy": 2})
        two = Rating("1", rater, B, A, other, {"accuracy": 2}, {"accuracy": 5})
        straight.append(one)
        swapped.append(two if turned else one)
    sides = (["Where?"], ["at home"], ["abroad"])
    assert choices_by_rater(straight, *sides) == choices_by_rater(swapped, *sides)
    for text, score in (("at home", 5.0), ("abroad", 2.0)):
        found = scores_by_rater(swapped, "accuracy", ["Where?"], [text])
        assert found == scores_by_rater(straight, "accuracy", ["Where?"], [text])
        assert all(values == [score] for values in found.values())


@given(st.text(), st.text(), st.text())
def test_ratings_of_other_texts_never_count(prompt: str, first: str, second: str) -> None:
    rating = Rating("1", "ana", text_key("p", "x"), text_key("p", "y"), "left", {"accuracy": 1}, {"accuracy": 1})
    known = {("p", "x"), ("p", "y")} & {(prompt, first), (prompt, second)}
    found = choices_by_rater([rating], [prompt], [first], [second])
    assert bool(found) == (len(known) == 2)
    assert bool(scores_by_rater([rating], "accuracy", [prompt], [first])) == ((prompt, first) in known)


def test_opinions_are_in_the_order_of_examples_and_raters() -> None:
    prompts, ours, theirs = ["Where?", "Where?", "Who?"], ["at home", "here", None], ["abroad", "here", "I"]
    said = [
        Rating("1", "cyd", B, A, "right", {"accuracy": 1}, {"accuracy": 4}),
        Rating("1", "ana", A, B, "tie"),
        Rating("2", "bob", C, B, None, {"accuracy": 2}, {"accuracy": 3}),
    ]
    assert choices_by_rater(said, prompts, ours, theirs) == {"ana": [0.5, None, None], "cyd": [1.0, None, None]}
    assert list(choices_by_rater(said, prompts, ours, theirs)) == ["ana", "cyd"]
    assert scores_by_rater(said, "accuracy", prompts, ours) == {"bob": [None, 2.0, None], "cyd": [4.0, None, None]}
    assert scores_by_rater(said, "fluency", prompts, ours) == {}
    scores = scores_by_rater(said, "accuracy", prompts, theirs)
    assert scores == {"bob": [3.0, 2.0, None], "cyd": [1.0, None, None]}
    assert [mean_opinion(scores, at) for at in range(3)] == [2.0, 2.0, None]
