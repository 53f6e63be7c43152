"""Summarization: ROUGE of what models write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from pydantic import ValidationError

from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.asking import Answer, Failed, Generation, Message, Request
from finetune_gate.evaluators.datasets import Dataset
from finetune_gate.evaluators.findings import Table
from finetune_gate.evaluators.summarization import Summarization
from finetune_gate.evaluators.testing import check_contract, made_dataset, measured_by

SUBJECTS = ("harbour", "library", "orchard", "tunnel", "museum", "bakery", "glacier", "theatre")
ROWS = [
    {
        "text": f"Long report {at} on the {SUBJECTS[at % 8]}.",
        "summary": f"{SUBJECTS[at % 8]} number{at} opens{at * 7} late{at * 3}",
    }
    for at in range(30)
]


def data(rows: Sequence[Mapping[str, object]] = ROWS) -> dict[str, Dataset]:
    return {"holdout": made_dataset("holdout", rows)}  # type: ignore[arg-type]


def answered(evaluator: Summarization, found: Mapping[str, Dataset], texts: Sequence[str]) -> dict[Request, Answer]:
    return {one: Generation(text, "stop", 1) for one, text in zip(evaluator.requests(found), texts, strict=True)}


def test_it_keeps_the_contract() -> None:
    check_contract(Summarization(data="holdout"), data())


def test_the_right_summary_scores_1_and_an_empty_one_0() -> None:
    evaluator, found = Summarization(data="holdout"), data(ROWS[:2])
    (request, _) = evaluator.requests(found)
    assert request.prompt == (Message("user", "Long report 0 on the harbour.\n\nSummary:"),)
    scored = evaluator.score(found, answered(evaluator, found, [ROWS[0]["summary"].upper(), ""]))
    assert {name: list(values) for name, values in scored.items()} == {
        name: [1.0, 0.0] for name in ("rouge1", "rouge2", "rougeL", "rougeLsum")
    }


def test_shuffled_references_are_a_control_that_fails() -> None:
    evaluator, found = Summarization(data="holdout"), data()
    right = [row["summary"] for row in ROWS]
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
        assert measurement.candidate.value < 0.2
        assert measurement.comparisons["base"].baseline.value == 1.0


def test_the_best_of_several_references_counts() -> None:
    evaluator = Summarization(data="holdout")
    found = data([{"text": "x", "summary": ["one two three", "four five six"]}])
    assert evaluator.check(found) == []
    assert evaluator.score(found, answered(evaluator, found, ["four five six"]))["rougeL"] == [1.0]


def test_which_tokenizer_ran_is_shown_and_is_one_for_all_examples() -> None:
    rows = [{"text": "x", "summary": "plain words"}, {"text": "y", "summary": "простые слова"}]
    evaluator, found = Summarization(data="holdout"), data(rows)
    answers = answered(evaluator, found, ["plain words naïve", "простые слова"])
    assert evaluator.score(found, answers)["rouge1"] == [pytest.approx(0.8), 1.0]
    (table,) = evaluator.findings(found, {"candidate": answers}, {})
    assert isinstance(table, Table)
    assert table.rows == (("unicode", "auto", "no"),)
    (table,) = Summarization(data="holdout", stemmer=True).findings(data(rows[:1]), {}, {})
    assert isinstance(table, Table)
    assert table.rows == (("ascii", "auto", "yes"),)


def test_failed_answers_and_missing_references_are_unmeasured() -> None:
    rows = [{"text": "x", "summary": "a b"}, {"text": "y", "summary": ""}, {"text": "z", "summary": None}]
    evaluator, found = Summarization(data="holdout"), data(rows)
    first, second, third = evaluator.requests(found)
    answers: dict[Request, Answer] = {
        first: Failed("timed out"),
        second: Generation("a", "stop", 1),
        third: Generation("a", "stop", 1),
    }
    scored = evaluator.score(found, answers)["rouge1"]
    assert scored[0] == Unmeasured("timed out")
    assert [isinstance(value, Unmeasured) for value in scored] == [True, True, True]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tokenizer": "words"}, "'auto', 'ascii' or 'unicode'"),
        ({"tokenizer": "unicode", "stemmer": True}, "needs the ascii tokenizer"),
        ({"references": "summary"}, "Extra inputs"),
        ({"max_new_tokens": 0}, "greater than or equal to 1"),
    ],
)
def test_settings_are_checked(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Summarization.model_validate({"data": "holdout", **settings})


@pytest.mark.parametrize(
    ("rows", "settings", "message"),
    [
        ([{"text": "x"}], {}, "no column 'summary'"),
        ([{"text": "x", "summary": "  "}], {}, "summary='  '"),
        ([{"text": "x", "summary": []}], {}, "summary=[]"),
        ([{"text": "x", "summary": ["a", ""]}], {}, "none of them empty"),
        ([{"text": "x", "summary": 3}], {}, "summary=3"),
        ([{"body": "x", "summary": "a"}], {}, "slot {text}"),
        ([{"text": "x", "summary": "ещё"}], {"tokenizer": "ascii"}, "tokenizer: unicode"),
        ([{"text": "x", "summary": "..."}], {}, "finds no word"),
    ],
)
def test_faults_of_the_data_are_named(rows: list[dict[str, object]], settings: dict[str, object], message: str) -> None:
    problems = Summarization.model_validate({"data": "holdout", **settings}).check(data(rows))
    assert message in "\n".join(map(str, problems))


def test_many_bad_rows_are_counted() -> None:
    problems = Summarization(data="holdout").check(data([{"text": "x", "summary": ""}] * 9))
    assert len(problems) == 6
    assert "4 more rows" in str(problems[-1])
