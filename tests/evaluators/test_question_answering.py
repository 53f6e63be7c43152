"""Question answering: short answers against references."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from pydantic import ValidationError

from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.asking import Answer, Failed, Generation, Request, TokenLogprobs
from finetune_gate.evaluators.datasets import Dataset
from finetune_gate.evaluators.question_answering import QuestionAnswering
from finetune_gate.evaluators.testing import check_contract, made_dataset, measured_by

CITIES = ("Paris", "Rome", "Oslo", "Cairo", "Lima", "Quito", "Tunis", "Accra", "Minsk", "Sofia")
ROWS = [{"question": f"Capital number {at}?", "answer": f"{CITIES[at % 10]} {at}"} for at in range(30)]


def data(rows: Sequence[Mapping[str, object]] = ROWS) -> dict[str, Dataset]:
    return {"holdout": made_dataset("holdout", rows)}  # type: ignore[arg-type]


def answered(found: Mapping[str, Dataset], texts: Sequence[str]) -> dict[Request, Answer]:
    requests = QuestionAnswering(data="holdout").requests(found)
    return {one: Generation(text, "stop", 1) for one, text in zip(requests, texts, strict=True)}


def test_it_keeps_the_contract() -> None:
    check_contract(QuestionAnswering(data="holdout"), data())


def test_answers_are_compared_in_normal_form_with_the_best_reference() -> None:
    rows = [
        {"question": "a", "answer": "Eiffel Tower"},
        {"question": "b", "answer": ["Paris", "City of Paris"]},
        {"question": "c", "answer": ["Paris"]},
        {"question": "d", "answer": "Paris"},
    ]
    found = data(rows)
    evaluator = QuestionAnswering(data="holdout")
    assert evaluator.check(found) == []
    texts = ["The Eiffel tower.", "the city of Paris", "Paris Paris Paris", ""]
    scored = evaluator.score(found, answered(found, texts))
    assert scored["exact_match"] == [1.0, 1.0, 0.0, 0.0]
    assert scored["f1"] == [1.0, 1.0, 0.5, 0.0]


def test_shuffled_references_are_a_control_that_fails() -> None:
    evaluator, found = QuestionAnswering(data="holdout"), data()
    right = [row["answer"] for row in ROWS]
    texts = dict(zip(evaluator.requests(found), right, strict=True))
    shuffled = dict(zip(evaluator.requests(found), right[1:] + right[:1], strict=True))
    measured = measured_by(
        evaluator,
        found,
        {
            "candidate": lambda asked: Generation(shuffled[asked], "stop", 1),
            "base": lambda asked: Generation(texts[asked], "stop", 1),
        },
    )
    for measurement in measured.values():
        assert measurement.candidate.value == 0.0
        assert measurement.comparisons["base"].baseline.value == 1.0


def test_what_is_no_answer_is_unmeasured() -> None:
    found = data([*ROWS[:2], {"question": "c", "answer": []}])
    evaluator = QuestionAnswering(data="holdout")
    first, second, third = evaluator.requests(found)
    answers: dict[Request, Answer] = {
        first: Failed("timed out"),
        second: TokenLogprobs((-1.0,)),
        third: Generation("x", "stop", 1),
    }
    scored = evaluator.score(found, answers)
    assert scored["f1"][0] == Unmeasured("timed out")
    assert all(isinstance(value, Unmeasured) for values in scored.values() for value in values)


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"answers": "a"}, "Extra inputs"), ({"reference": 3}, "valid string"), ({"prompt": ""}, "at least 1 character")],
)
def test_settings_are_checked(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        QuestionAnswering.model_validate({"data": "holdout", **settings})


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"question": "x"}], "no column 'answer'"),
        ([{"question": "x", "answer": None}], "answer=None"),
        ([{"question": "x", "answer": {"text": ["a"]}}], "a text, or a list of texts"),
        ([{"ask": "x", "answer": "a"}], "slot {question}"),
    ],
)
def test_faults_of_the_data_are_named(rows: list[dict[str, object]], message: str) -> None:
    assert message in "\n".join(map(str, QuestionAnswering(data="holdout").check(data(rows))))
