"""Multiple choice: the likeliest option, and how rows say which is right."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import pytest
from pydantic import ValidationError

from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.asking import Answer, Failed, Message, Request, ScoreRequest, TokenLogprobs
from finetune_gate.evaluators.datasets import Dataset
from finetune_gate.evaluators.multiple_choice import MultipleChoice
from finetune_gate.evaluators.testing import check_contract, made_dataset, measured_by

COLOURS = ["red", "green", "ultramarine", "blue"]
ROWS = [{"question": f"Colour {at}?", "choices": COLOURS, "answer": at % 4} for at in range(32)]
ROW = ROWS[0]


def data(rows: Sequence[Mapping[str, object]] = ROWS) -> dict[str, Dataset]:
    return {"exam": made_dataset("exam", rows)}  # type: ignore[arg-type]


def made(**settings: object) -> MultipleChoice:
    return MultipleChoice.model_validate({"data": "exam", **settings})


def test_it_keeps_the_contract() -> None:
    check_contract(made(), data())


def test_acc_takes_the_likeliest_and_acc_norm_the_likeliest_per_character() -> None:
    found = data([{"question": "Sky?", "choices": ["blue", "ultramarine"], "answer": 1}])
    blue, ultramarine = made(chat="never").requests(found)
    assert (blue, ultramarine) == (
        ScoreRequest("Sky?\nAnswer:", "blue", " "),
        ScoreRequest("Sky?\nAnswer:", "ultramarine", " "),
    )
    answers: dict[Request, Answer] = {blue: TokenLogprobs((-2.0,)), ultramarine: TokenLogprobs((-2.0, -1.0))}
    scored = made(chat="never").score(found, answers)
    assert scored == {"correct": [0.0], "correct_norm": [1.0]}  # -2 > -3, and -2/4 < -3/11


def test_length_is_counted_in_characters_as_the_harness_does() -> None:
    """Per byte the Russian option, of two bytes a letter, would win."""
    found = data([{"question": "?", "choices": ["abcd", "ёжик"], "answer": 0}])
    first, second = made().requests(found)
    answers: dict[Request, Answer] = {first: TokenLogprobs((-4.0,)), second: TokenLogprobs((-5.0,))}
    assert made().score(found, answers)["correct_norm"] == [1.0]


def test_the_first_of_equals_wins_as_in_the_harness() -> None:
    found = data([{"question": "?", "choices": ["aa", "bb"], "answer": 1}])
    answers: dict[Request, Answer] = {request: TokenLogprobs((-1.0,)) for request in made().requests(found)}
    assert made().score(found, answers)["correct"] == [0.0]


@pytest.mark.parametrize(
    ("settings", "row"),
    [
        ({}, {"answer": 2}),
        ({}, {"answer": "2"}),
        ({"first_index": 1}, {"answer": 3}),
        ({}, {"answer": "C"}),
        ({}, {"answer": "c"}),
        ({}, {"answer": " ultramarine"}),
        ({"answer": "key"}, {"key": "ultramarine"}),
    ],
)
def test_the_answer_is_an_index_a_letter_or_a_text(settings: dict[str, object], row: dict[str, object]) -> None:
    evaluator, found = made(**settings), data([{"question": "?", "choices": COLOURS, **row}])
    assert evaluator.check(found) == []
    answers: dict[Request, Answer] = {
        request: TokenLogprobs((0.0 if request.continuation == "ultramarine" else -9.0,))
        for request in evaluator.requests(found)
        if isinstance(request, ScoreRequest)
    }
    assert evaluator.score(found, answers)["correct"] == [1.0]


def test_options_may_have_a_column_each() -> None:
    evaluator = made(choice_columns=["a", "b"], prompt="{question}", chat="never")
    found = data([{"question": "?", "a": "yes", "b": "no", "answer": "B"}])
    assert evaluator.check(found) == []
    assert [request.continuation for request in evaluator.requests(found)] == ["yes", "no"]  # type: ignore[union-attr]


def test_letters_can_be_scored_instead() -> None:
    evaluator = made(prompt="{question}\n{options}\nAnswer:", scored="letter")
    first, second = evaluator.requests(data([{"question": "?", "choices": ["yes", "no"], "answer": 0}]))
    assert first == ScoreRequest((Message("user", "?\nA) yes\nB) no\nAnswer:"),), "A", " ")
    assert isinstance(second, ScoreRequest)
    assert second.continuation == "B"


def test_shuffled_answers_are_a_control_that_fails() -> None:
    draw = random.Random(5)
    rows = [{"question": f"Colour {at}?", "choices": COLOURS, "answer": draw.randrange(4)} for at in range(400)]
    keys = {f"Colour {at}?": row["answer"] for at, row in enumerate(rows)}
    wrong = dict(zip(keys, random.Random(6).sample(list(keys.values()), len(keys)), strict=True))

    def knows(key: Mapping[str, object]) -> object:
        def script(asked: Request) -> Answer:
            assert isinstance(asked, ScoreRequest)
            question = str(asked.prompt[-1].content).partition("\n")[0]  # type: ignore[union-attr]
            return TokenLogprobs((0.0 if COLOURS.index(asked.continuation) == key[question] else -5.0,))

        return script

    measured = measured_by(made(), data(rows), {"candidate": knows(wrong), "base": knows(keys)})  # type: ignore[dict-item]
    for measurement in measured.values():
        assert measurement.comparisons["base"].baseline.value == 1.0
        assert 0.15 < measurement.candidate.value < 0.35


def test_failed_options_and_rows_without_options_are_unmeasured() -> None:
    found = data([ROW, {"question": "?", "choices": [], "answer": 0}, {"question": "!", "choices": None, "answer": 0}])
    first, *others = made().requests(found)
    answers: dict[Request, Answer] = {first: Failed("timed out"), **dict.fromkeys(others, TokenLogprobs((-1.0,)))}
    scored = made().score(found, answers)["correct"]
    assert scored[0] == Unmeasured("timed out")
    assert all(isinstance(value, Unmeasured) for value in scored)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"choices": "c", "choice_columns": ["a", "b"]}, "not both"),
        ({"choice_columns": ["a"]}, "at least two columns"),
        ({"choice_columns": ["a", "a"]}, "at least two columns"),
        ({"scored": "letter"}, "needs {options}"),
        ({"first_index": 2}, "0 or 1"),
        ({"answer_as": "guess"}, "'auto', 'index', 'letter' or 'text'"),
    ],
)
def test_settings_are_checked(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        made(**settings)


@pytest.mark.parametrize(
    ("row", "settings", "message"),
    [
        ({"choices": "red, green"}, {}, "options 'red, green'"),
        ({"choices": ["red"]}, {}, "at least two texts"),
        ({"choices": ["red", "red "]}, {}, "no two alike"),
        ({"choices": ["red", 3]}, {}, "options ['red', 3]"),
        ({"answer": 4}, {}, "index from 0, letter or text"),
        ({"answer": None}, {}, "None"),
        ({"answer": True}, {}, "True"),
        ({"answer": "9" * 5000}, {}, "rows with '999"),
        ({"answer": "red"}, {"answer_as": "letter"}, "the letter of one of its options"),
        ({}, {"choices": "options"}, "no column 'options'"),
        ({}, {"answer": "key"}, "no column 'key'"),
        ({"choices": ["1", "2", "3"], "answer": "2"}, {}, "as index or as text"),
        ({"choices": [str(at) for at in range(27)], "answer": 3}, {"prompt": "{question} {options}"}, "26 letters"),
    ],
)
def test_faults_of_the_data_are_named(row: dict[str, object], settings: dict[str, object], message: str) -> None:
    assert message in "\n".join(map(str, made(**settings).check(data([{**ROW, **row}]))))


def test_numbers_as_options_are_read_as_one_says() -> None:
    found = data([{"question": "?", "choices": ["1", "2", "3"], "answer": "2"}])
    assert made(answer_as="text").check(found) == []
