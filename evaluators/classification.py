"""Classification: does the model give the right label?

Two ways to ask. ``loglikelihood`` scores every label as a continuation of the prompt and takes the likeliest: nothing
to parse, every example has a prediction. ``generate`` lets the model write and extracts the label; a text without one
is the class ``[invalid]``, which is wrong for every reference and counted by ``invalid_rate``. The two can differ
greatly on the same model, so the way of asking is part of the record.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from .absent import Unmeasured, Value
from .asking import Ability, Failed, Generation, Prompt, Request, ScoreRequest, TokenLogprobs
from .datasets import Example, Row
from .errors import Problem
from .estimators import Confusion, Mean
from .evaluator import Answers, Components, Datasets
from .label_extraction import extract_label
from .metrics import Metric
from .prompting import GeneratingOnDataset
from .showing import Said, Shown
from .shown_answers import chosen, prompt_text, said

_OWN_SLOTS = {"labels", "options"}
NO_LABEL = "no label was found in it"
DEFAULT_PROMPT = "{text}\n\nAnswer with one of these labels: {labels}.\nLabel:"


class Classification(GeneratingOnDataset):
    """``- classification: {data: holdout, labels: [billing, bug, praise], prompt: "Ticket: {text}\\nQueue:"}``

    ``prompt`` has slots for the columns of a row, ``{labels}`` (comma-separated) and ``{options}`` (one lettered
    label a line). With ``chat: auto`` the prompt is a user message where the tokenizer has a chat template.

    Components per example: ``label`` and ``prediction`` (positions in ``labels``; ``len(labels)`` is ``[invalid]``),
    ``correct``, ``invalid``, and for log-likelihoods ``correct_norm`` (likelihood per byte of the label, the
    ``acc_bytes`` of EleutherAI/lm-evaluation-harness) and ``label_nll`` (nats, of the right label).
    """

    kind: ClassVar[str] = "classification"
    row_by_row: ClassVar[bool] = True
    example: ClassVar[Mapping[str, object]] = {"data": "holdout", "labels": ["billing", "bug", "praise"]}

    labels: tuple[str, ...] = Field(min_length=2, strict=False, description="every label, spelled as in the data")
    method: Literal["loglikelihood", "generate"] = Field(
        default="loglikelihood", description="take the likeliest label, or read the label from what the model writes"
    )
    prompt: str = Field(default=DEFAULT_PROMPT, min_length=1, description="prompt with {column} slots")
    label: str = Field(default="label", description="column of the right label")
    delimiter: str = Field(default=" ", description="between plain prompt and label, for log-likelihoods")

    @model_validator(mode="after")
    def _labels_differ(self) -> Classification:
        folded = [label.strip().casefold() for label in self.labels]
        if "" in folded:
            raise ValueError("an empty label")
        if len(set(folded)) < len(folded):
            raise ValueError("two labels differ only by case or surrounding space")
        if "{options}" in self.prompt and len(self.labels) > len(ascii_uppercase):
            raise ValueError("{options} letters at most 26 labels")
        return self

    @property
    def needs(self) -> frozenset[Ability]:  # pyright: ignore[reportIncompatibleVariableOverride] - depends on method
        return frozenset({"scores_tokens" if self.method == "loglikelihood" else "generates"})

    def metrics(self) -> tuple[Metric, ...]:
        return _metrics(self.labels, self.method)

    def check(self, data: Datasets) -> list[Problem]:
        dataset = data[self.data]
        where = f"{self.title}: dataset {self.data!r} ({dataset.path})"
        problems = self.prompt_problems(dataset, _OWN_SLOTS)
        if self.label not in dataset.columns:
            return [*problems, Problem(where, f"no column {self.label!r}", f"one of {', '.join(dataset.columns)}")]
        wrong = [example for example in dataset.examples if example.row.get(self.label) not in self.labels]
        problems += [
            Problem(
                f"{where} example {example.id!r}",
                f"{self.label}={example.row.get(self.label)!r}",
                f"one of {', '.join(self.labels)}",
                "add the label to `labels`, or correct the row",
            )
            for example in wrong[:5]
        ]
        if len(wrong) > 5:
            problems.append(Problem(where, f"{len(wrong) - 5} more rows with an unknown label"))
        return problems

    def requests(self, data: Datasets) -> Sequence[Request]:
        return [request for example in self.examples(data) for request in self._asked(example)]

    def score(self, data: Datasets, answers: Answers) -> Components:
        rows = [self._score_one(example, answers) for example in self.examples(data)]
        return {name: [row[name] for row in rows] for name in self._components()}

    def shown(self, data: Datasets, answers: Mapping[str, Answers], verdicts: Mapping[str, Answers]) -> Sequence[Shown]:
        return [
            Shown(
                example.id,
                prompt_text(self._prompt(example.row)),
                str(example.row[self.label]),
                {role: self._said(example, given) for role, given in answers.items()},
            )
            for example in self.examples(data)
        ]

    def _said(self, example: Example, answers: Answers) -> Said:
        replies = [answers[request] for request in self._asked(example)]
        if self.method == "loglikelihood":
            return chosen(self.labels, replies, [len(label.encode()) for label in self.labels], "byte")
        one = said(replies[0])
        return Said(one.text, NO_LABEL) if one.fault is None and self._found(one.text) is None else one

    def _components(self) -> tuple[str, ...]:
        common = ("label", "prediction", "correct", "invalid")
        return (*common, "correct_norm", "label_nll") if self.method == "loglikelihood" else common

    def _prompt(self, row: Row) -> Prompt:
        options = "\n".join(f"{letter}) {label}" for letter, label in zip(ascii_uppercase, self.labels, strict=False))
        return self.prompt_of(row, labels=", ".join(self.labels), options=options)

    def _asked(self, example: Example) -> list[Request]:
        prompt = self._prompt(example.row)
        if self.method == "generate":
            return [self.asking_for(prompt)]
        return [ScoreRequest(prompt, label, self.delimiter) for label in self.labels]

    def _found(self, text: str) -> int | None:
        return extract_label(text, self.labels, lettered="{options}" in self.prompt)

    def _score_one(self, example: Example, answers: Answers) -> Mapping[str, Value]:
        truth = self.labels.index(str(example.row[self.label]))
        replies = [answers[request] for request in self._asked(example)]
        failed = next((reply for reply in replies if isinstance(reply, Failed)), None)
        if failed is not None:
            missing: dict[str, Value] = dict.fromkeys(self._components(), Unmeasured(failed.reason))
            return {**missing, "label": float(truth)}
        if self.method == "generate":
            reply = replies[0]
            text = reply.text if isinstance(reply, Generation) else ""
            found = self._found(text)
            return _scored(truth, len(self.labels) if found is None else found, len(self.labels))
        sums = [math.fsum(reply.logprobs) for reply in replies if isinstance(reply, TokenLogprobs)]
        per_byte = [total / len(label.encode()) for total, label in zip(sums, self.labels, strict=True)]
        scored = _scored(truth, sums.index(max(sums)), len(self.labels))
        norm = float(per_byte.index(max(per_byte)) == truth)
        return {**scored, "correct_norm": norm, "label_nll": -sums[truth]}


def _scored(truth: int, prediction: int, invalid: int) -> dict[str, Value]:
    return {
        "label": float(truth),
        "prediction": float(prediction),
        "correct": float(prediction == truth),
        "invalid": float(prediction == invalid),
    }


def _metrics(labels: tuple[str, ...], method: str) -> tuple[Metric, ...]:
    def rate(name: str, component: str, description: str, higher_is_better: bool = True) -> Metric:
        estimator = Mean(component, low=0.0, high=1.0, higher_is_better=higher_is_better)
        return Metric(name, higher_is_better, estimator, 0.0, 1.0, description=description)

    metrics = [rate("accuracy", "correct", "share of examples with the right label")]
    if method == "loglikelihood":
        metrics.append(rate("accuracy_norm", "correct_norm", "accuracy by likelihood per byte of the label"))
        nll = Mean("label_nll", higher_is_better=False)
        metrics.append(
            Metric("label_nll", False, nll, 0.0, unit="nats", description="mean surprise at the right label")
        )
    else:
        metrics.append(rate("invalid_rate", "invalid", "share of answers in which no label was found", False))
    for statistic, description, low in (
        ("balanced_accuracy", "recall averaged over the labels that occur", 0.0),
        ("precision_macro", "precision averaged over the labels that occur", 0.0),
        ("recall_macro", "recall averaged over the labels that occur", 0.0),
        ("f1_macro", "F1 averaged over the labels that occur", 0.0),
        ("f1_weighted", "F1 weighted by how often each label occurs", 0.0),
        ("matthews_corrcoef", "correlation of prediction and label, -1 to 1", -1.0),
    ):
        metrics.append(Metric(statistic, True, Confusion(statistic, len(labels)), low, 1.0, description=description))
    return tuple(metrics)
