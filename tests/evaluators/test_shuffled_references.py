"""Negative controls: where right answers are handed to the wrong questions, nothing may look like success."""

from __future__ import annotations

from dataclasses import replace

from contract_cases import LABELS, tickets

from finetune_gate.evaluators.asking import Answer, Request, ScoreRequest, TokenLogprobs
from finetune_gate.evaluators.datasets import Dataset, Example
from finetune_gate.evaluators.holdout import Holdout
from finetune_gate.evaluators.perplexity import Perplexity
from finetune_gate.evaluators.statistics import Estimate
from finetune_gate.evaluators.testing import made_answer, measured_by

TRAIN, UNSEEN = tickets("train", 60), tickets("validation", 60, start=100)


def shuffled(dataset: Dataset, column: str) -> Dataset:
    """The same texts and the same answers, each with another's."""
    values = [one.row[column] for one in dataset.examples]
    turned = [*values[1:], values[0]]
    rows = zip(dataset.examples, turned, strict=True)
    examples: list[Example] = [replace(one, row={**one.row, column: value}) for one, value in rows]
    return replace(dataset, examples=tuple(examples))


def knows(request: Request) -> Answer:
    """A model that has every ticket's own label and reference by heart."""
    assert isinstance(request, ScoreRequest)
    prompt = request.prompt if isinstance(request.prompt, str) else request.prompt[-1].content
    right = next(one for one in (*TRAIN.examples, *UNSEEN.examples) if str(one.row["text"]) in prompt)
    known = request.continuation in (right.row["label"], right.row["reference"])
    return TokenLogprobs((-0.01,) if known else (-8.0,))


def value(found: object) -> float:
    assert isinstance(found, Estimate), found
    return found.value


def test_perplexity_of_answers_that_belong_to_other_prompts_is_high() -> None:
    evaluator = Perplexity(data="validation", prompt="{text}", answer="reference")
    right = measured_by(evaluator, {"validation": UNSEEN}, {"candidate": knows, "base": made_answer})
    wrong = measured_by(
        evaluator, {"validation": shuffled(UNSEEN, "reference")}, {"candidate": knows, "base": made_answer}
    )
    assert value(right["perplexity"].candidate) < 1.1
    assert value(wrong["perplexity"].candidate) > 100


def test_holdout_of_labels_that_belong_to_other_tickets_is_no_success() -> None:
    settings = {"seen": "train", "unseen": "validation", "scored_by": "accuracy", "labels": LABELS}
    evaluator = Holdout.model_validate(settings)
    right = measured_by(evaluator, {"train": TRAIN, "validation": UNSEEN}, {"candidate": knows, "base": made_answer})
    wrong = measured_by(
        evaluator,
        {"train": TRAIN, "validation": shuffled(UNSEEN, "label")},
        {"candidate": knows, "base": made_answer},
    )
    assert value(right["unseen"].candidate) == 1.0
    assert value(wrong["unseen"].candidate) == 0.0
    assert value(right["gap"].candidate) == 0.0
    assert value(wrong["gap"].candidate) == 1.0, "known where it was seen, unknown where it was not"
