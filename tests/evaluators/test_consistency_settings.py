"""Settings that cannot work and data that cannot be used are named before anything is asked."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from consistent_models import DATA, ROWS, consistency
from pydantic import ValidationError

from finetune_gate.evaluators.datasets import Row
from finetune_gate.evaluators.testing import made_dataset


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "says nothing about consistency"),
        ({"samples": 1}, "one sample agrees with itself"),
        ({"rephrasings": "rephrased", "fact": "fact"}, "expected one of them"),
        ({"samples": 2, "similarity": "nli"}, "expected its address in `model`"),
        ({"samples": 2, "model": "models:/nli/1"}, "model has no effect"),
        ({"samples": 2, "threshold": 0.5}, "threshold has no effect"),
        ({"samples": 2, "similarity": "judge", "model": "openai:/j", "threshold": 0.5}, "threshold has no effect"),
        ({"samples": 2, "verdict": "loglikelihood"}, "verdict has no effect"),
        ({"rephrasings": "rephrased", "temperature": 0.5}, "temperature has no effect"),
        ({"samples": 2, "slot": "prompt"}, "slot has no effect"),
        ({"samples": 2, "k": 2}, "k has no effect"),
        ({"samples": 2, "reference": "answer", "k": 3}, "expected at most so many"),
        ({"samples": 2, "retention_reference": "answer"}, "retention_reference has no effect"),
        ({"samples": 2, "retention": "questions"}, "must be different datasets"),
        ({"rephrasings": "rephrased", "prompt": "{id} {prompt}"}, "expected `slot`"),
        ({"rephrasings": "rephrased", "slot": "question"}, "has no slot {question}"),
        ({"samples": 2, "temperature": 0.0}, "greater than 0"),
    ],
)
def test_settings_that_cannot_work_are_errors(settings: Mapping[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        consistency(**settings)


@pytest.mark.parametrize(
    ("changed", "settings", "message"),
    [
        ({"rephrased": "one text"}, {"rephrasings": "rephrased"}, "a list of texts"),
        ({"rephrased": []}, {"rephrasings": "rephrased"}, "a list of texts"),
        ({"rephrased": ["ok", " "]}, {"rephrasings": "rephrased"}, "a list of texts"),
        ({"rephrased": ["Where?"], "prompt": "Where?"}, {"rephrasings": "rephrased"}, "one wording only"),
        ({"fact": None}, {"fact": "fact"}, "a text or whole number"),
        ({"fact": "alone"}, {"fact": "fact"}, "one wording only"),
        ({"answer": 7}, {"samples": 2, "reference": "answer"}, "a text or a list of texts"),
        ({}, {"samples": 2, "reference": "solution"}, "no column 'solution'"),
        ({}, {"samples": 2, "prompt": "{question}"}, "slot {question}"),
        ({}, {"samples": 2, "retention": "sums", "retention_reference": "solution"}, "no column 'solution'"),
        ({}, {"rephrasings": "others"}, "no column 'others'"),
    ],
)
def test_data_that_cannot_be_used_is_named(changed: Row, settings: Mapping[str, object], message: str) -> None:
    data = {**DATA, "questions": made_dataset("questions", [{**ROWS[0], **changed}, *ROWS[1:]])}
    text = "\n".join(map(str, consistency(**settings).check(data)))
    assert message in text


def test_training_data_without_a_text_is_named() -> None:
    data = {**DATA, "train": made_dataset("train", [{"input_ids": [1, 2]}])}
    (problem,) = consistency(samples=2, train="train").check(data)
    assert "no text in any column" in str(problem)
