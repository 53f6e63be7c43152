"""Two datasets, and scripted models that know one of them or do not: what overfitting is tested on."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from typing import Any

from finetune_gate.evaluators.asking import Answer, GenerateRequest, Generation, Request, ScoreRequest, TokenLogprobs
from finetune_gate.evaluators.datasets import Dataset
from finetune_gate.evaluators.measurement import Measurement
from finetune_gate.evaluators.overfitting import Overfitting
from finetune_gate.evaluators.statistics import Estimate
from finetune_gate.evaluators.testing import Script, made_dataset

WORDS = ("the", "printer", "on", "floor", "two", "hums", "stops", "again", "today", "without", "cause", "since", "noon")
GENERATING: dict[str, Any] = {
    "memorisation": {"prefix": 4, "continuation": 4, "ngram": 3},
    "diversity": {"prefix": 3, "max_new_tokens": 12},
}
LIKELIHOODS = {"loss_gap", "train_loss", "validation_loss", "membership_auc", "min_k_auc"}


def texts(start: int, count: int, words: int = 14) -> list[str]:
    drawn = random.Random(start)
    return [f"{start + at} " + " ".join(drawn.choices(WORDS, k=words)) for at in range(count)]


def documents(train: list[str], validation: list[str]) -> dict[str, Dataset]:
    return {
        name: made_dataset(name, [{"id": f"{name}{at}", "text": text} for at, text in enumerate(some)])
        for name, some in (("train", train), ("validation", validation))
    }


DATA = documents(texts(0, 40), texts(100, 50))


def evaluator(**settings: Any) -> Overfitting:
    return Overfitting.model_validate({"train": "train", "validation": "validation", **settings})


def noise(*parts: object) -> float:
    """The same number between 0 and 1 for the same parts."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:6], "big") / 2**48


def model(
    gain: float = 0.0, by_heart: Callable[[str], bool] = lambda text: False, seed: str = "", says: str | None = None
) -> Script:
    """Tokens of every text cost about 2 nats; those of texts known ``by_heart`` cost ``gain`` less, and these texts are
    continued as they stand."""
    known = [str(row.row["text"]) for name in DATA for row in DATA[name].examples]

    def answer(request: Request) -> Answer:
        if isinstance(request, ScoreRequest):
            text = request.continuation
            hard = 2 + 0.5 * noise(text) - (gain if by_heart(text) else 0.0)
            return TokenLogprobs(tuple(-hard - 0.2 * noise(seed, text, at) for at in range(len(text.split()))))
        assert isinstance(request, GenerateRequest)
        prompt = str(request.prompt)
        match = next((text for text in known if text.startswith(prompt) and by_heart(text)), None)
        if match:
            return Generation(match[len(prompt) :], "stop", 10)
        drawn = random.Random(f"{seed} {prompt}")
        return Generation(says or " " + " ".join(drawn.choices(WORDS, k=9)), "stop", 9)

    return answer


def in_train(text: str) -> bool:
    return int(text.split()[0]) < 100


def value(found: Measurement) -> Estimate:
    assert isinstance(found.candidate, Estimate), found.candidate
    return found.candidate


def change(found: Measurement) -> Estimate:
    difference = found.comparisons["base"].difference
    assert isinstance(difference, Estimate), difference
    return difference
