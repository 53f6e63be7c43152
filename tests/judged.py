"""An evaluator with a second round, for tests of everything between evaluators and judges."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import ClassVar

from finetune_gate.evaluators import catalog
from finetune_gate.evaluators.absent import Unmeasured, Value
from finetune_gate.evaluators.asking import Ability, Failed, GenerateRequest, Generation, Request
from finetune_gate.evaluators.errors import Problem
from finetune_gate.evaluators.estimators import Mean
from finetune_gate.evaluators.evaluator import Answers, Components, Datasets, OneDataset
from finetune_gate.evaluators.metrics import Metric


def list_liked() -> None:
    """Make ``- liked: {...}`` known to gate files of this process."""
    sys.modules["finetune_gate.evaluators.liked"] = sys.modules[__name__]
    catalog.BUILT_IN["liked"] = "liked:Liked"


class Liked(OneDataset):
    """Asks each model for a text and the judge whether it is liked."""

    kind: ClassVar[str] = "liked"
    needs: ClassVar[frozenset[Ability]] = frozenset({"generates"})
    judge: str = "openai:/judge"
    max_new_tokens: int = 32

    def metrics(self) -> tuple[Metric, ...]:
        return (Metric("share", True, Mean("liked", low=0.0, high=1.0), 0.0, 1.0),)

    def check(self, data: Datasets) -> list[Problem]:
        return []

    def requests(self, data: Datasets) -> Sequence[Request]:
        return [GenerateRequest(str(example.row["text"]), self.max_new_tokens) for example in self.examples(data)]

    def score(self, data: Datasets, answers: Answers) -> Components:
        return {"length": [float(len(text)) for text in self._texts(data, answers)]}

    def judges(self) -> tuple[str, ...]:
        return (self.judge,)

    def judge_calls(self, data: Datasets) -> Mapping[str, int]:
        return {self.judge: 3 * len(self.examples(data))}

    def second_requests(self, data: Datasets, answers: Mapping[str, Answers]) -> Mapping[str, Sequence[Request]]:
        asked = [self._asked(text) for of_role in answers.values() for text in self._texts(data, of_role)]
        return {self.judge: asked}

    def score_judged(
        self, data: Datasets, answers: Mapping[str, Answers], verdicts: Mapping[str, Answers]
    ) -> Mapping[str, Components]:
        given = verdicts[self.judge]

        def liked(text: str) -> Value:
            verdict = given[self._asked(text)]
            if isinstance(verdict, Generation):
                return float(verdict.text == "yes")
            return Unmeasured(verdict.reason if isinstance(verdict, Failed) else "no verdict")

        return {role: {"liked": [liked(text) for text in self._texts(data, found)]} for role, found in answers.items()}

    def _asked(self, text: str) -> Request:
        return GenerateRequest(f"Liked? {text}", 8)

    def _texts(self, data: Datasets, answers: Answers) -> list[str]:
        found = [answers[request] for request in self.requests(data)]
        return [answer.text if isinstance(answer, Generation) else "" for answer in found]
