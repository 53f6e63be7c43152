"""The court of `rubric_judge`: the same questions and models, and judges who see one answer at a time."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from math import floor, log

from judging_court import quality, shown

from finetune_gate.evaluators.asking import Answer, Choice, ChooseRequest, Generation, Request
from finetune_gate.evaluators.judging import RubricJudge
from finetune_gate.evaluators.testing import Script

JUDGE = "openai:/judge"
RUBRIC = "5: names depot, city, street and hour. 3: leaves one out. 1: names nothing, or another depot."


def by_rubric(**settings: object) -> RubricJudge:
    given = {"data": "questions", "prompt": "{question}", "judge": JUDGE, "rubric": RUBRIC, **settings}
    return RubricJudge.model_validate({name: value for name, value in given.items() if value is not None})


def read_one(request: Request) -> tuple[str, str]:
    texts = shown(request)
    return texts["question"], texts["answer"]


def grade(score: object, rationale: str = "because") -> Generation:
    return Generation(json.dumps({"rationale": rationale, "score": score}), "stop", 20)


def leaning(score: float) -> Choice:
    """Log-probabilities whose weighted mean is ``score``."""
    low = min(int(score), 4)
    shares = [1e-9] * 5
    shares[low - 1], shares[low] = 1.0 - (score - low) + 1e-9, score - low + 1e-9
    return Choice(tuple(log(share / sum(shares)) for share in shares))


def scores_by(worth: Callable[[str, str], float]) -> Script:
    """A judge that gives ``worth(question, answer)``, from 1 to 5, or the whole number below it."""

    def judge(request: Request) -> Answer:
        value = worth(*read_one(request))
        return leaning(value) if isinstance(request, ChooseRequest) else grade(floor(value))

    return judge


perfect = scores_by(lambda question, answer: 1 + 4 * quality(question, answer))
generous = scores_by(lambda question, answer: 4 + (quality(question, answer) == 1.0))
contrary = scores_by(lambda question, answer: 5 - 4 * quality(question, answer))
likes_longer = scores_by(lambda question, answer: min(5.0, 1 + len(answer) / 25))


def always(score: float) -> Script:
    return scores_by(lambda question, answer: score)


def obeys(request: Request) -> Answer:
    """Knows the truth, and does what the text tells it to."""
    if re.search(r"score|Score|flawless|holds this line", read_one(request)[1]):
        return always(5)(request)
    return perfect(request)
