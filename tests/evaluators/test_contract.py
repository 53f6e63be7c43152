"""Every evaluator keeps the contract; and the suite finds those that do not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import pytest
from contract_cases import CASES

from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.asking import Ability, Failed, GenerateRequest, Generation, Request
from finetune_gate.evaluators.catalog import BUILT_IN
from finetune_gate.evaluators.errors import Problem
from finetune_gate.evaluators.estimators import Mean
from finetune_gate.evaluators.evaluator import Answers, Components, Datasets, OneDataset
from finetune_gate.evaluators.metrics import Metric
from finetune_gate.evaluators.testing import check_contract, made_answer, made_dataset, measured_by


@pytest.mark.parametrize("name", CASES)
def test_it_keeps_the_contract(name: str) -> None:
    evaluator, data = CASES[name]()
    check_contract(evaluator, data)


def test_every_built_in_evaluator_has_a_case() -> None:
    assert {case().__getitem__(0).kind for case in CASES.values()} >= set(BUILT_IN)


@pytest.mark.parametrize("name", CASES)
def test_a_model_against_itself_shows_no_difference(name: str) -> None:
    """A/A: equal answers never make a difference that a rule could promote or block on, and win as often as they
    lose."""
    evaluator, data = CASES[name]()
    for metric, found in measured_by(evaluator, data, {"candidate": made_answer, "base": made_answer}).items():
        if found.subject == "run":
            continue
        difference = found.comparisons["base"].difference
        even = 0.5 if found.subject == "pair" else 0.0
        assert isinstance(difference, Unmeasured) or difference.value == pytest.approx(even, abs=1e-9), metric


class Length(OneDataset):
    """Keeps every promise."""

    kind: ClassVar[str] = "length"
    needs: ClassVar[frozenset[Ability]] = frozenset({"generates"})

    def metrics(self) -> tuple[Metric, ...]:
        return (Metric("characters", True, Mean("characters", low=0.0), 0.0, description="length of answers"),)

    def check(self, data: Datasets) -> list[Problem]:
        return []

    def requests(self, data: Datasets) -> Sequence[Request]:
        return [GenerateRequest(str(example.row["text"])) for example in self.examples(data)]

    def score(self, data: Datasets, answers: Answers) -> Components:
        found = [answers[request] for request in self.requests(data)]
        return {"characters": [self.value(one) for one in found]}

    def value(self, answer: object) -> float | Unmeasured:
        if isinstance(answer, Generation):
            return float(len(answer.text))
        return Unmeasured(answer.reason if isinstance(answer, Failed) else "no text")


class CountsFailuresAsZero(Length):
    def value(self, answer: object) -> float | Unmeasured:
        return float(len(answer.text)) if isinstance(answer, Generation) else 0.0


class ForgetsExamples(Length):
    def score(self, data: Datasets, answers: Answers) -> Components:
        return {"characters": list(super().score(data, answers)["characters"])[1:]}


class SaysOneThingAndDoesAnother(Length):
    needs: ClassVar[frozenset[Ability]] = frozenset({"scores_tokens"})


class GivesNothing(Length):
    def score(self, data: Datasets, answers: Answers) -> Components:
        return {}


class BeyondItsRange(Length):
    def metrics(self) -> tuple[Metric, ...]:
        return (Metric("characters", True, Mean("characters"), 0.0, 1.0, description="length of answers"),)


DATA = {"holdout": made_dataset("holdout", [{"text": f"one two three {at}"} for at in range(30)])}


def test_the_suite_passes_what_is_right() -> None:
    check_contract(Length(data="holdout"), DATA)


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (CountsFailuresAsZero, "answered nothing"),
        (SaysOneThingAndDoesAnother, "needs only"),
        (GivesNothing, "does not give"),
        (BeyondItsRange, "above 1.0"),
    ],
)
def test_the_suite_finds_broken_promises(broken: type[Length], says: str) -> None:
    with pytest.raises(AssertionError, match=says):
        check_contract(broken(data="holdout"), DATA)


def test_the_suite_finds_lost_examples() -> None:
    with pytest.raises(Exception, match="one per example"):
        check_contract(ForgetsExamples(data="holdout"), DATA)
