"""Text match: overlap, patterns, JSON and schemas, each where it is asked for."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import pytest
from pydantic import ValidationError
from sacrebleu.metrics import BLEU, CHRF

from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.asking import Answer, Failed, Generation, Request
from finetune_gate.evaluators.datasets import Dataset
from finetune_gate.evaluators.testing import check_contract, made_dataset, measured_by
from finetune_gate.evaluators.text_match import TextMatch

SUBJECTS = ("harbour", "library", "orchard", "tunnel", "museum", "bakery", "glacier")
ROWS = [
    {
        "text": f"Satz {at}",
        "reference": f"the {SUBJECTS[at % 7]} {at * 13} was {SUBJECTS[at * 3 % 7]} until day {at * 7}",
    }
    for at in range(30)
]
EVERYTHING = TextMatch.model_validate(
    {
        "data": "holdout",
        "reference": "reference",
        "pattern": r"\d",
        "json": True,
        "json_schema": {"type": "object", "required": ["id"]},
    }
)


def data(rows: Sequence[Mapping[str, object]] = ROWS) -> dict[str, Dataset]:
    return {"holdout": made_dataset("holdout", rows)}  # type: ignore[arg-type]


def answered(evaluator: TextMatch, found: Mapping[str, Dataset], texts: Sequence[str]) -> dict[Request, Answer]:
    return {one: Generation(text, "stop", 1) for one, text in zip(evaluator.requests(found), texts, strict=True)}


def test_it_keeps_the_contract() -> None:
    check_contract(EVERYTHING, data())


def test_only_what_is_asked_for_is_measured() -> None:
    def names(**settings: object) -> list[str]:
        return [metric.name for metric in TextMatch.model_validate({"data": "holdout", **settings}).metrics()]

    assert names(reference="reference") == ["bleu", "chrf"]
    assert names(json=True) == ["json_valid"]
    assert names(pattern="a", json_schema={}) == ["pattern_match", "json_schema_valid"]
    assert [metric.name for metric in EVERYTHING.metrics()] == [
        "bleu", "chrf", "pattern_match", "json_valid", "json_schema_valid",
    ]  # fmt: skip


def test_the_setting_is_called_json_wherever_people_meet_it() -> None:
    assert EVERYTHING.settings()["json"] is True
    assert "json" in TextMatch.model_json_schema()["properties"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert TextMatch(data="holdout", json=True).json_valid


def test_bleu_and_chrf_are_sacrebleus_in_the_whole_run() -> None:
    evaluator, found = TextMatch(data="holdout", reference="reference"), data()
    texts = [row["reference"].replace("until", "till") for row in ROWS]
    answers = dict(zip(evaluator.requests(found), texts, strict=True))
    measured = measured_by(evaluator, found, {"candidate": lambda asked: Generation(answers[asked], "stop", 1)})
    references = [[row["reference"] for row in ROWS]]
    assert measured["bleu"].candidate.value == pytest.approx(BLEU().corpus_score(texts, references).score, abs=1e-9)
    assert measured["chrf"].candidate.value == pytest.approx(CHRF().corpus_score(texts, references).score, abs=1e-9)


def test_shuffled_references_are_a_control_that_fails() -> None:
    evaluator, found = TextMatch(data="holdout", reference="reference"), data()
    right = [row["reference"] for row in ROWS]
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
        assert measurement.comparisons["base"].baseline.value == pytest.approx(100)
        assert measurement.candidate.value < 60
        assert measurement.comparisons["base"].difference.interval.high < -20


def test_shares_of_form() -> None:
    rows = [{"text": str(at), "reference": "x"} for at in range(5)]
    evaluator, found = EVERYTHING, data(rows)
    texts = ['{"id": 1}', "[1]", "no 7", "", '{"id": NaN}']
    scored = evaluator.score(found, answered(evaluator, found, texts))
    assert scored["pattern_match"] == [1.0, 1.0, 1.0, 0.0, 0.0]
    assert scored["json_valid"] == [1.0, 1.0, 0.0, 0.0, 0.0]
    assert scored["json_schema_valid"] == [1.0, 0.0, 0.0, 0.0, 0.0]
    whole = TextMatch(data="holdout", pattern=r"no \d", match="whole")
    assert whole.score(found, answered(whole, found, texts))["pattern_match"] == [0.0, 0.0, 1.0, 0.0, 0.0]


def test_form_needs_no_reference() -> None:
    evaluator, found = TextMatch(data="holdout", json=True), data([{"text": "x"}])
    assert evaluator.check(found) == []
    assert evaluator.score(found, answered(evaluator, found, ["1"])) == {"json_valid": [1.0]}


def test_hostile_answers_raise_nothing_and_a_slow_pattern_is_unmeasured() -> None:
    evaluator = TextMatch.model_validate(
        {"data": "holdout", "pattern": "^(.*?,){25}P$", "json": True, "json_schema": {"type": "array"}}
    )
    found = data([{"text": str(at)} for at in range(3)])
    texts = [",".join(map(str, range(60))), "[" * 50_000, "9" * 5_000]
    scored = evaluator.score(found, answered(evaluator, found, texts))
    assert isinstance(scored["pattern_match"][0], Unmeasured)
    assert scored["json_valid"] == [0.0, 0.0, 0.0]
    assert scored["json_schema_valid"] == [0.0, 0.0, 0.0]


def test_failed_answers_and_missing_references_are_unmeasured() -> None:
    rows = [{"text": "x", "reference": "a b"}, {"text": "y", "reference": None}, {"text": "z", "reference": ["c d"]}]
    found = data(rows)
    first, second, third = EVERYTHING.requests(found)
    answers: dict[Request, Answer] = {
        first: Failed("timed out"),
        second: Generation("1", "stop", 1),
        third: Generation("c d", "stop", 1),
    }
    scored = EVERYTHING.score(found, answers)
    assert all(values[0] == Unmeasured("timed out") for values in scored.values())
    assert isinstance(scored["bleu_match_1"][1], Unmeasured)
    assert scored["bleu_match_1"][2] == 2.0
    assert scored["json_valid"][1:] == [1.0, 0.0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "nothing to measure"),
        ({"json": False}, "nothing to measure"),
        ({"pattern": "("}, "no regular expression"),
        ({"json_schema": {"type": "text"}}, "no JSON schema"),
        ({"json_schema": {"$ref": "https://example.org/x.json"}}, "nothing is fetched"),
        ({"json": True, "match": "whole"}, "no use without `pattern`"),
        ({"json": True, "bleu_tokenizer": "zh"}, "no use without `reference`"),
        ({"reference": "r", "bleu_tokenizer": "flores200"}, "'13a', 'intl', 'zh', 'char' or 'none'"),
        ({"json": 1}, "valid boolean"),
    ],
)
def test_settings_are_checked(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TextMatch.model_validate({"data": "holdout", **settings})


def test_faults_of_the_data_are_named() -> None:
    problems = EVERYTHING.check(data([{"body": "x", "reference": ""}]))
    text = "\n".join(map(str, problems))
    assert "slot {text}" in text
    assert "reference=''" in text
