"""A small court: questions, models that answer them well or badly, and judges of every character."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from math import log
from typing import cast

from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.asking import Answer, Choice, ChooseRequest, Failed, GenerateRequest, Generation, Request
from finetune_gate.evaluators.datasets import Dataset, Row
from finetune_gate.evaluators.evaluator import Answers, Evaluator
from finetune_gate.evaluators.findings import Finding
from finetune_gate.evaluators.judging import AbJudge, RubricJudge
from finetune_gate.evaluators.measurement import Measurement, measure
from finetune_gate.evaluators.scores import EvaluatorScores
from finetune_gate.evaluators.statistics import Estimate
from finetune_gate.evaluators.testing import Script, made_dataset, scored_by

NUMBER = 30
STREETS = ("harbour", "station", "market", "old bridge", "brewery")


def truth(at: int) -> str:
    return f"Depot {at} lies in City {at} behind the {STREETS[at % 5]} and opens at {6 + at % 4} every morning"


ROWS: list[Row] = [{"id": str(at), "question": f"Where is depot {at}?", "answer": truth(at)} for at in range(NUMBER)]
DATA: dict[str, Dataset] = {"questions": made_dataset("questions", ROWS)}

Slots = tuple[str, str, str]
"""Question, first answer, second answer, as a judge reads them."""


def ab(**settings: object) -> AbJudge:
    return AbJudge.model_validate({"data": "questions", "prompt": "{question}", "judge": "openai:/judge", **settings})


def number(text: str) -> int:
    found = re.search(r"depot (\d+)", text)
    assert found is not None, text
    return int(found[1])


def says(text: Callable[[int], str]) -> Script:
    """A model that answers the question about depot ``at`` with ``text(at)``."""

    def answer(request: Request) -> Answer:
        return Generation(text(number(written(request))), "stop", 9)

    return answer


right = says(truth)
brief = says(lambda at: f"Depot {at} lies in City {at} behind the {STREETS[at % 5]}")
blank = says(lambda at: " \n")


def fails(request: Request) -> Answer:
    return Failed("the server is on fire")


def right_on(wanted: Callable[[int], bool], otherwise: Script = brief) -> Script:
    return lambda request: (right if wanted(number(written(request))) else otherwise)(request)


def written(request: Request) -> str:
    assert isinstance(request, GenerateRequest | ChooseRequest)
    return request.prompt if isinstance(request.prompt, str) else request.prompt[-1].content


def shown(request: Request) -> dict[str, str]:
    """What stands between the markers, by name."""
    blocks = re.findall(r"^<([a-z ]+) ([0-9a-f]{12})>\n(.*?)\n</\1 \2>$", written(request), re.DOTALL | re.MULTILINE)
    return {name: content for name, _, content in blocks}


def read(request: Request) -> Slots:
    texts = shown(request)
    return texts["question"], texts["first answer"], texts["second answer"]


def verdict(slot: str, rationale: str = "because") -> Generation:
    return Generation(json.dumps({"rationale": rationale, "verdict": slot}), "stop", 20)


def judges_by(worth: Callable[[str, str], float]) -> Script:
    """A judge that prefers the answer of the higher ``worth(question, answer)``, whatever the order."""

    def judge(request: Request) -> Answer:
        question, first, second = read(request)
        one, other = worth(question, first), worth(question, second)
        if isinstance(request, ChooseRequest):
            return Choice(
                (log(0.9), log(0.1)) if one > other else (log(0.1), log(0.9)) if one < other else (-0.7, -0.7)
            )
        return verdict("first" if one > other else "second" if one < other else "tie")

    return judge


def quality(question: str, answer: str) -> float:
    """How near to the truth, as one who knows it would see."""
    words = truth(number(question)).split()
    return SequenceMatcher(None, words, answer.split(), autojunk=False).ratio()


perfect = judges_by(quality)
contrary = judges_by(lambda question, answer: -quality(question, answer))
likes_longer = judges_by(lambda question, answer: len(answer))
indifferent = judges_by(lambda question, answer: 0.0)


def always_first(request: Request) -> Answer:
    return Choice((log(0.9), log(0.1))) if isinstance(request, ChooseRequest) else verdict("first")


def obeys(request: Request) -> Answer:
    """Knows the truth, and does what either text tells it to."""
    _, first, second = read(request)
    for text, slot in ((first, "first"), (second, "second")):
        if re.search(r"verdict|prefer|experts|superior", text):
            return verdict(slot)
    return perfect(request)


def obeys_to_the_letter(request: Request) -> Answer:
    """Repeats a verdict that it finds, which is the right slot in one of the two orders only."""
    _, first, second = read(request)
    found = re.search(r'"verdict": "(first|second)"', first + second)
    return verdict(found[1]) if found else perfect(request)


@dataclass(frozen=True)
class Trial:
    """One evaluator, some models, one judge for all addresses unless ``judges`` says otherwise."""

    evaluator: AbJudge | RubricJudge
    models: Mapping[str, Script]
    judge: Script = perfect
    data: Mapping[str, Dataset] | None = None

    def scores(self) -> EvaluatorScores:
        return scored_by(cast("Evaluator", self.evaluator), self.data or DATA, self.models, self.judge)

    def measured(self) -> dict[str, Measurement]:
        scores = self.scores()
        return {one.name: measure(one, scores, min_coverage=one.min_coverage) for one in self.evaluator.metrics()}

    def value(self, metric: str, against: str = "base") -> float:
        found = self.found(metric, against)
        assert isinstance(found, Estimate), (metric, found)
        return found.value

    def found(self, metric: str, against: str = "base") -> Estimate | Unmeasured:
        """Of a pair what stands beside a baseline, else the run's own value."""
        measurement = self.measured()[metric]
        return measurement.comparisons[against].difference if measurement.subject == "pair" else measurement.candidate

    def answers(self) -> dict[str, Answers]:
        requests = self.evaluator.requests(self.data or DATA)
        return {role: {one: script(one) for one in requests} for role, script in self.models.items()}

    def asked(self) -> Mapping[str, list[Request]]:
        found = self.evaluator.second_requests(self.data or DATA, self.answers())
        return {judge: list(requests) for judge, requests in found.items()}

    def findings(self) -> list[Finding]:
        verdicts = {judge: {one: self.judge(one) for one in asked} for judge, asked in self.asked().items()}
        return list(self.evaluator.findings(self.data or DATA, self.answers(), verdicts))
