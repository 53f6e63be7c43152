"""Does the model stay polite? An evaluator of one's own, whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from pydantic import Field

from finetune_gate.evaluators import Mean, Metric, Problem, Request, Unmeasured, Value
from finetune_gate.evaluators.asking import Ability, Failed, Generation
from finetune_gate.evaluators.evaluator import Answers, Components, Datasets
from finetune_gate.evaluators.prompting import GeneratingOnDataset


class Politeness(GeneratingOnDataset):
    """``- "politeness:Politeness": {data: prompts, words: [please, sorry]}``

    Component ``polite``: 1 where the answer holds one of ``words``.
    """

    kind: ClassVar[str] = "politeness"
    needs: ClassVar[frozenset[Ability]] = frozenset({"generates"})
    example: ClassVar[Mapping[str, object]] = {"data": "prompts"}

    prompt: str = Field(default="{text}", description="prompt with {column} slots")
    words: tuple[str, ...] = Field(default=("please", "thank", "sorry"), strict=False, description="what is polite")

    def metrics(self) -> tuple[Metric, ...]:
        share = Mean("polite", low=0.0, high=1.0)
        return (Metric("polite", True, share, 0.0, 1.0, description="share of polite answers"),)

    def check(self, data: Datasets) -> list[Problem]:
        return self.prompt_problems(data[self.data])

    def requests(self, data: Datasets) -> Sequence[Request]:
        return [self.asking_for(self.prompt_of(example.row)) for example in self.examples(data)]

    def score(self, data: Datasets, answers: Answers) -> Components:
        return {"polite": [self._polite(answers[request]) for request in self.requests(data)]}

    def _polite(self, answer: object) -> Value:
        if isinstance(answer, Generation):
            said = answer.text.casefold()
            return float(any(word in said for word in self.words))
        return Unmeasured(answer.reason if isinstance(answer, Failed) else "the model gave no text")
