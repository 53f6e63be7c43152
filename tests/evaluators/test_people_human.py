"""Human evaluation: ratings become scores of the answers that were rated, and of no others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import pytest
from contract_cases import rate, tickets
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from finetune_gate.evaluators.absent import Unmeasured, Value
from finetune_gate.evaluators.asking import Failed, Generation, Request
from finetune_gate.evaluators.datasets import Dataset
from finetune_gate.evaluators.estimators import KrippendorffAlpha
from finetune_gate.evaluators.findings import Advice, Table
from finetune_gate.evaluators.measurement import measure
from finetune_gate.evaluators.people.human import NOBODY, Human
from finetune_gate.evaluators.people.ratings import Rating, rating_line, text_key
from finetune_gate.evaluators.people.sheet import make_sheet
from finetune_gate.evaluators.question_answering import QuestionAnswering
from finetune_gate.evaluators.scores import score_evaluator
from finetune_gate.evaluators.statistics import krippendorff_alpha
from finetune_gate.evaluators.testing import made_answer, made_dataset

QUESTIONS = made_dataset("questions", [{"id": f"q{at}", "question": f"What is {at}?"} for at in range(6)])
SHORT = Human(data="questions", prompt="{question}", ratings="ratings", criteria=("accuracy",), raters=3)
Said = Mapping[str, Mapping[str, Sequence[Value]]]


def data(ratings: Sequence[Rating], questions: Dataset = QUESTIONS) -> dict[str, Dataset]:
    return {"questions": questions, "ratings": made_dataset("ratings", [rating_line(one) for one in ratings])}


def answers(texts: Mapping[str, Sequence[str | None]], evaluator: Human = SHORT) -> dict[str, dict[Request, object]]:
    """By role, the text of each example; None failed."""
    requests = evaluator.requests(data([]))
    return {
        role: {
            one: Failed("timed out") if text is None else Generation(text, "stop", 1)
            for one, text in zip(requests, some, strict=True)
        }
        for role, some in texts.items()
    }


def scored(ratings: Sequence[Rating], texts: Mapping[str, Sequence[str | None]], evaluator: Human = SHORT) -> Said:
    return score_evaluator(evaluator, data(ratings), answers(texts, evaluator)).columns


OURS = [f"ours {at}" for at in range(6)]
THEIRS = [f"theirs {at}" for at in range(6)]
BOTH = {"candidate": OURS, "base": THEIRS}


def key(at: int, text: str) -> str:
    return text_key(f"What is {at}?", text)


def said(
    at: int, rater: str, choice: str | None, ours: int | None = None, theirs: int | None = None, turned: bool = False
) -> Rating:
    """``choice``: ours, theirs or tie. ``turned``: ours stood on the right."""
    sides = ("right", "left") if turned else ("left", "right")
    left, right = key(at, OURS[at]), key(at, THEIRS[at])
    scores = tuple({} if one is None else {"accuracy": one} for one in (ours, theirs))
    if turned:
        left, right, scores = right, left, scores[::-1]
    word = {"ours": sides[0], "theirs": sides[1], "tie": "tie", None: None}[choice]
    return Rating(f"q{at}", rater, left, right, word, *scores)


def test_the_same_is_asked_as_by_any_evaluator_with_this_prompt() -> None:
    same = QuestionAnswering(data="questions", prompt="{question}", max_new_tokens=SHORT.max_new_tokens)
    assert SHORT.requests(data([])) == same.requests(data([]))


def test_scores_are_means_over_raters_and_wins_stand_in_the_baseline_s_column() -> None:
    ratings = [said(0, "ana", "ours", 5, 2), said(0, "bob", "tie", 4, 3, turned=True), said(1, "ana", "theirs", 1)]
    found = scored(ratings, BOTH)
    assert found["candidate"]["accuracy"][:3] == (4.5, 1.0, NOBODY)
    assert found["base"]["accuracy"][:3] == (2.5, NOBODY, NOBODY)
    assert found["base"]["win"][:3] == (0.75, 0.0, NOBODY)
    assert all(value == Unmeasured("a model is not compared with itself") for value in found["candidate"]["win"])
    assert set(found["candidate"]["raters"]) == {2.0}
    assert found["candidate"]["chosen_by"] == (2.0, 1.0, 0.0, 0.0, 0.0, 0.0)


def test_each_rater_has_columns_of_their_own_in_alphabetical_order() -> None:
    ratings = [said(1, "bob", "theirs", 2, 4), said(0, "ana", "ours", 5, 1), said(0, "bob", "tie")]
    found = scored(ratings, BOTH)["candidate"]
    assert [found[f"choice_{slot}"][:2] for slot in (1, 2, 3)] == [(1.0, 0.0), (0.5, 0.0), (0.0, 0.0)]
    assert [found[f"choice_{slot}_rated"][:2] for slot in (1, 2, 3)] == [(1.0, 0.0), (1.0, 1.0), (0.0, 0.0)]
    assert found["accuracy_candidate_1"][:2] == (5.0, 0.0)
    assert found["accuracy_baseline_1_rated"][:2] == (1.0, 0.0)
    assert found["accuracy_baseline_2"][:2] == (0.0, 4.0)


RATINGS = st.lists(
    st.builds(
        said,
        st.integers(0, 5),
        st.sampled_from(["ana", "bob", "cyd"]),
        st.sampled_from(["ours", "theirs", "tie", None]),
        st.one_of(st.none(), st.integers(1, 5)),
        st.one_of(st.none(), st.integers(1, 5)),
    ),
    max_size=20,
)


@settings(max_examples=50, deadline=None)
@given(RATINGS, st.lists(st.booleans(), min_size=20, max_size=20))
def test_turning_sides_changes_nothing(ratings: list[Rating], turns: list[bool]) -> None:
    def turned(one: Rating) -> Rating:
        other = {"left": "right", "right": "left"}
        choice = other.get(one.choice or "", one.choice)
        return Rating(one.example, one.rater, one.right, one.left, choice, one.right_scores, one.left_scores)

    swapped = [turned(one) if turn else one for one, turn in zip(ratings, turns, strict=False)]
    assert scored(swapped, BOTH) == scored(ratings, BOTH)


@settings(max_examples=50, deadline=None)
@given(RATINGS)
def test_ratings_of_answers_that_nobody_gives_any_more_never_count(ratings: list[Rating]) -> None:
    new = {"candidate": [f"new {at}" for at in range(6)], "base": [f"also new {at}" for at in range(6)]}
    assert scored(ratings, new) == scored([], new)
    table = SHORT.findings(data(ratings), answers(new), {})[-1]
    assert ratings == [] or isinstance(table, Advice)


@settings(max_examples=50, deadline=None)
@given(RATINGS)
def test_swapping_the_models_swaps_their_scores(ratings: list[Rating]) -> None:
    straight, swapped = scored(ratings, BOTH), scored(ratings, {"candidate": THEIRS, "base": OURS})
    assert swapped["candidate"]["accuracy"] == straight["base"]["accuracy"]
    for one, other in zip(straight["base"]["win"], swapped["base"]["win"], strict=True):
        assert one == other == NOBODY or one + other == pytest.approx(1)


def test_a_text_keeps_its_scores_beside_another_text() -> None:
    """What was said of the base's answers beside an earlier candidate still holds of them; the choice does not."""
    ratings = [said(0, "ana", "ours", 5, 2)]
    found = scored(ratings, {"candidate": ["new", *OURS[1:]], "base": THEIRS, "champion": OURS})
    assert found["base"]["accuracy"][0] == 2.0
    assert found["champion"]["accuracy"][0] == 5.0
    assert found["candidate"]["accuracy"][0] == found["base"]["win"][0] == NOBODY
    assert "not beside the champion" in str(found["champion"]["win"][0])


def test_equal_answers_tie_without_a_rating_and_are_not_scored() -> None:
    texts = {"candidate": [*THEIRS[:3], *OURS[3:]], "base": THEIRS}
    ratings = [said(at, rater, "ours", 4, 3) for at, rater in product(range(3, 6), ("ana", "bob"))]
    scores = score_evaluator(SHORT, data(ratings), answers(texts))
    assert scores.columns["base"]["win"] == (0.5, 0.5, 0.5, 1.0, 1.0, 1.0)
    assert scores.columns["base"]["differing"] == (0.0, 0.0, 0.0, 1.0, 1.0, 1.0)
    found = {metric.name: measure(metric, scores, min_coverage=0.95) for metric in SHORT.metrics()}
    assert found["accuracy"].planned == 3
    assert found["accuracy"].candidate.value == 4.0
    assert found["accuracy"].comparisons["base"].difference.value == 1.0
    assert found["win_rate"].comparisons["base"].difference.value == 0.75
    assert found["raters"].candidate.value == found["raters_per_pair"].candidate.value == 2.0


def test_a_model_against_itself_ties_and_is_asked_of_nobody() -> None:
    same = {"candidate": OURS, "base": OURS}
    assert set(scored([], same)["base"]["win"]) == {0.5}
    assert make_sheet("t", SHORT.pairs(data([]), answers(same)), "ana").items == ()


def test_without_ratings_everything_says_what_to_do() -> None:
    scores = score_evaluator(SHORT, data([]), answers(BOTH))
    for metric in SHORT.metrics():
        found = measure(metric, scores, min_coverage=metric.min_coverage)
        value = found.comparisons["base"].difference if metric.subject == "pair" else found.candidate
        assert "finetune-gate rate GATE_FILE --version VERSION" in value.reason, metric.name
    assert SHORT.findings(data([]), answers(BOTH), {})[-1].text.startswith("Nobody has rated")


def test_a_failed_answer_is_unmeasured_and_no_pair() -> None:
    texts = {"candidate": [None, *OURS[1:]], "base": THEIRS}
    found = scored([said(0, "ana", "ours", 5, 2), said(1, "ana", "ours", 5, 2)], texts)
    assert found["candidate"]["accuracy"][:2] == (Unmeasured("timed out"), 5.0)
    assert found["base"]["win"][:2] == (Unmeasured("timed out"), 1.0)
    assert found["base"]["accuracy"][0] == 2.0
    assert found["base"]["differing"][0] == 1.0
    assert found["candidate"]["choice_1_rated"][:2] == (0.0, 1.0)
    assert [pair.example for pair in SHORT.pairs(data([]), answers(texts))] == ["q1", "q2", "q3", "q4", "q5"]


def test_beside_a_champion_that_there_is_not() -> None:
    evaluator = SHORT.model_copy(update={"against": "champion"})
    found = scored([said(0, "ana", "ours", 5, 2)], BOTH, evaluator)
    assert found["candidate"]["accuracy"][0] == 5.0
    assert isinstance(found["candidate"]["choice_1"][0], Unmeasured)
    assert all(isinstance(value, Unmeasured) for value in found["base"]["win"])
    assert evaluator.pairs(data([]), answers(BOTH)) == ()


def test_items_are_drawn_by_seed_and_id() -> None:
    found = {"holdout": tickets(count=30), "ratings": made_dataset("ratings", [])}
    some = Human(data="holdout", prompt="{text}", ratings="ratings", items=10)
    ids = [example.id for example in some.examples(found)]
    assert len(ids) == len(some.requests(found)) == 10
    assert ids == [example.id for example in found["holdout"].examples if example.id in ids]
    assert ids != [example.id for example in some.model_copy(update={"seed": 1}).examples(found)]
    assert len(some.model_copy(update={"items": 99}).examples(found)) == 30


def test_from_sheets_to_a_measurement() -> None:
    """Three raters who prefer longer answers, over the sheets that they would get."""
    evaluator = Human(data="holdout", prompt="{text}", ratings="ratings", reference="reference", max_new_tokens=64)
    found = {"holdout": tickets(), "ratings": made_dataset("ratings", [])}
    replies = {
        role: {one: made_answer(one, role) for one in evaluator.requests(found)} for role in ("candidate", "base")
    }
    found["ratings"] = rate(evaluator, found, replies, ("ana", "bob", "cyd"))
    assert evaluator.check(found) == []
    scores = score_evaluator(evaluator, found, replies)
    measured = {
        metric.name: measure(metric, scores, min_coverage=metric.min_coverage) for metric in evaluator.metrics()
    }
    assert not [name for name, one in measured.items() if name != "win_rate" and isinstance(one.candidate, Unmeasured)]
    assert 0.0 < measured["win_rate"].comparisons["base"].difference.value < 1.0
    assert measured["raters"].candidate.value == 3.0
    pairs = evaluator.pairs(found, replies)
    assert all(pair.reference for pair in pairs)


def test_alpha_of_a_criterion_takes_both_texts_as_items_and_the_example_as_one_cluster() -> None:
    import numpy as np

    given_by = {
        "ana": [(5, 2), (4, 4), (3, 1), (5, 5), (2, 1), (1, 1)],
        "bob": [(4, 2), (4, 3), (3, 2), (5, 4), (1, 1), (2, 1)],
    }
    ratings = [said(at, rater, None, *scores) for rater, every in given_by.items() for at, scores in enumerate(every)]
    scores = score_evaluator(SHORT, data(ratings), answers(BOTH))
    (metric,) = (one for one in SHORT.metrics() if one.name == "accuracy_alpha")
    found = measure(metric, scores).candidate
    table = [[scores[side] for side in (0, 1) for scores in every] for every in given_by.values()]
    assert found.value == krippendorff_alpha(table, "ordinal")
    assert (found.n, found.clusters) == (6, 6)
    turned = KrippendorffAlpha(("a2", "a1"), ("r", "r"))
    columns = {"a1": np.array(table[0], float), "a2": np.array(table[1], float), "r": np.ones(12)}
    assert turned.estimate(columns, None, 0.95, 0).value == pytest.approx(found.value)


def test_findings_say_how_far_it_has_come_and_where_raters_disagree() -> None:
    ratings = [said(at, rater, "ours", 4, 3) for at, rater in product(range(4), ("ana", "bob", "cyd"))]
    ratings += [said(4, "ana", "ours"), said(4, "bob", "theirs")]
    ratings += [Rating("old", "ana", key(0, "an old answer"), key(0, "another"), "left")]
    progress, raters, divided = SHORT.findings(data(ratings), answers(BOTH), {})
    assert isinstance(progress, Table)
    assert progress.note.startswith("4 of 6 pairs have 3 ratings or more.")
    assert progress.rows == ((0, 1), (2, 1), (3, 4))
    assert isinstance(raters, Table)
    assert raters.rows[0] == ("ana", 5, 0, 1, 0, 1.0, 3.5)
    assert isinstance(divided, Table)
    assert [row[0] for row in divided.rows] == ["q4"]
    assert divided.rows[0][5] == "ana: candidate, bob: base"


def test_a_rater_who_always_takes_one_side_is_spoken_of() -> None:
    questions = made_dataset("questions", [{"id": f"q{at}", "question": f"What is {at}?"} for at in range(20)])
    ours, theirs = [f"ours {at}" for at in range(20)], [f"theirs {at}" for at in range(20)]
    ratings = [
        Rating(f"q{at}", rater, key(at, ours[at]), key(at, theirs[at]), "left" if rater == "ana" or at % 2 else "right")
        for at in range(20)
        for rater in ("ana", "bob", "cyd")
    ]
    found = data(ratings, questions)
    replies = {
        role: {one: Generation(text, "stop", 1) for one, text in zip(SHORT.requests(found), some, strict=True)}
        for role, some in (("candidate", ours), ("base", theirs))
    }
    advice = [one.text for one in SHORT.findings(found, replies, {}) if isinstance(one, Advice)]
    assert len(advice) == 1
    assert advice[0].startswith("ana chose the answer on the left 20 of 20 times")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"criteria": ["accuracy", "accuracy"]}, "'accuracy' is taken"),
        ({"criteria": ["raters"]}, "'raters' is taken"),
        ({"criteria": ["win"]}, "'win' is taken"),
        ({"criteria": ["choice"]}, "'choice_alpha' is taken"),
        ({"criteria": ["tone", "tone_alpha"]}, "'tone_alpha' is taken"),
        ({"criteria": ["to be kind"]}, "letters, digits and _"),
        ({"criteria": [""]}, "letters, digits and _"),
        ({"ratings": "questions"}, "a dataset of their own"),
        ({"against": "best"}, "'base' or 'champion'"),
        ({"raters": 0}, "greater than or equal to 1"),
        ({"items": 0}, "greater than or equal to 1"),
    ],
)
def test_settings_are_checked(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Human.model_validate({"data": "questions", "prompt": "{question}", "ratings": "ratings", **settings})


def test_without_criteria_people_only_choose() -> None:
    evaluator = SHORT.model_copy(update={"criteria": ()})
    names = [metric.name for metric in evaluator.metrics()]
    assert names == ["win_rate", "choice_alpha", "rater_kappa", "raters", "raters_per_pair"]
    assert scored([said(0, "ana", "ours")], BOTH, evaluator)["base"]["win"][0] == 1.0


def test_faults_of_the_data_are_named() -> None:
    evaluator = Human(data="questions", prompt="{text}", ratings="ratings", reference="answer", raters=1)
    ratings = [said(0, "ana", "ours"), said(0, "bob", "ours", 9)]
    found = "\n".join(map(str, evaluator.check(data(ratings))))
    for message in ("slot {text}", "no column 'answer'", "left_scores.accuracy=9", "2 raters", "`raters: 2`"):
        assert message in found
    assert SHORT.check(data([])) == []


def test_more_raters_than_there_can_be_do_no_harm() -> None:
    found = scored([said(0, rater, "ours") for rater in ("ana", "bob", "cyd", "dan")], BOTH)
    assert found["base"]["win"][0] == 1.0
    assert set(found["candidate"]["raters"]) == {4.0}
