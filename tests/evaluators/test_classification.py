"""Classification: from answers to scores, in both ways of asking."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from pydantic import ValidationError

from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.asking import (
    Answer,
    Failed,
    GenerateRequest,
    Generation,
    Message,
    Request,
    ScoreRequest,
    TokenLogprobs,
)
from finetune_gate.evaluators.classification import Classification
from finetune_gate.evaluators.datasets import Dataset, Example

LABELS = ("billing", "bug")


def dataset(*rows: tuple[str, str]) -> dict[str, Dataset]:
    examples = tuple(
        Example(str(i), {"id": str(i), "text": text, "label": label}) for i, (text, label) in enumerate(rows)
    )
    return {"holdout": Dataset("holdout", Path("holdout.jsonl"), "0" * 64, ("id", "text", "label"), examples)}


def test_log_likelihood_takes_the_likeliest_label_and_the_likeliest_per_byte() -> None:
    data = dataset(("invoice wrong", "billing"))
    evaluator = Classification(data="holdout", labels=LABELS, prompt="{text} ->", chat="never")
    billing, bug = evaluator.requests(data)
    assert billing == ScoreRequest("invoice wrong ->", "billing", " ")
    answers: dict[Request, Answer] = {billing: TokenLogprobs((-2.0, -1.0)), bug: TokenLogprobs((-2.5,))}
    scored = evaluator.score(data, answers)
    assert scored["prediction"] == [1.0]
    assert scored["correct"] == [0.0]
    assert scored["correct_norm"] == [1.0]  # -3/7 per byte beats -2.5/3
    assert scored["label_nll"] == [3.0]


def test_messages_are_used_unless_the_gate_file_says_never() -> None:
    data = dataset(("a {text} b", "bug"))
    (request, _) = Classification(data="holdout", labels=LABELS, prompt="{text}", system="Be brief.").requests(data)
    assert request.prompt == (Message("system", "Be brief."), Message("user", "a {text} b"))


def test_a_generated_text_without_a_label_is_invalid_and_wrong() -> None:
    data = dataset(("x", "bug"), ("y", "bug"))
    evaluator = Classification(data="holdout", labels=LABELS, method="generate")
    first, second = evaluator.requests(data)
    assert isinstance(first, GenerateRequest)
    answers: dict[Request, Answer] = {first: Generation("Bug!", "stop", 2), second: Generation("who knows", "stop", 2)}
    scored = evaluator.score(data, answers)
    assert scored["correct"] == [1.0, 0.0]
    assert scored["invalid"] == [0.0, 1.0]
    assert scored["prediction"] == [1.0, 2.0]


def test_a_failed_answer_is_unmeasured_and_keeps_its_reason() -> None:
    data = dataset(("x", "bug"))
    evaluator = Classification(data="holdout", labels=LABELS)
    first, second = evaluator.requests(data)
    scored = evaluator.score(data, {first: TokenLogprobs((-1.0,)), second: Failed("timed out")})
    assert scored["correct"] == [Unmeasured("timed out")]
    assert scored["label"] == [1.0]


def test_options_are_lettered_and_read_back() -> None:
    data = dataset(("x", "bug"))
    evaluator = Classification(data="holdout", labels=LABELS, method="generate", prompt="{text}\n{options}")
    (request,) = evaluator.requests(data)
    assert request.prompt == (Message("user", "x\nA) billing\nB) bug"),)
    assert evaluator.score(data, {request: Generation("(B)", "stop", 1)})["correct"] == [1.0]


def test_chance_is_a_control_that_fails() -> None:
    """Labels that have nothing to do with the answers must not look like success."""
    rows = [(f"text {i}", LABELS[i % 2]) for i in range(400)]
    data = dataset(*rows)
    evaluator = Classification(data="holdout", labels=LABELS)
    answers: dict[Request, Answer] = {
        request: TokenLogprobs((-math.fmod(hash_of(request) * 0.61803, 1.0),)) for request in evaluator.requests(data)
    }
    correct = evaluator.score(data, answers)["correct"]
    assert 0.4 < sum(value for value in correct if isinstance(value, float)) / 400 < 0.6


def hash_of(request: Request) -> int:
    assert isinstance(request, ScoreRequest)
    return sum(ord(c) * (i + 1) for i, c in enumerate(str(request.prompt) + request.continuation))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"labels": ("a",)}, "at least 2 items"),
        ({"labels": ("a", "A ")}, "differ only by case"),
        ({"labels": ("a", " ")}, "an empty label"),
        ({"labels": ("a", "b"), "method": "guess"}, "'loglikelihood' or 'generate'"),
        ({"labels": ("a", "b"), "unknown": 1}, "Extra inputs"),
    ],
)
def test_settings_are_checked(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Classification.model_validate({"data": "holdout", **settings})


def test_rows_with_an_unknown_label_and_slots_without_a_column_are_named() -> None:
    data = dataset(("x", "praise"))
    problems = Classification(data="holdout", labels=LABELS, prompt="{body}").check(data)
    text = "\n".join(map(str, problems))
    assert "slot {body}" in text
    assert "example '0': label='praise'" in text
