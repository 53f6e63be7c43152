"""Questions, and scripted models that answer them steadily, waveringly, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

from finetune_gate.evaluators.asking import Answer, Failed, GenerateRequest, Generation, Request
from finetune_gate.evaluators.consistency import Consistency
from finetune_gate.evaluators.datasets import Dataset, Row
from finetune_gate.evaluators.evaluator import Evaluator
from finetune_gate.evaluators.measurement import Measurement
from finetune_gate.evaluators.statistics import Estimate
from finetune_gate.evaluators.testing import Script, made_answer, made_dataset, measured_by

NUMBER = 30
ROWS: list[Row] = [
    {
        "id": str(at),
        "prompt": f"Where is depot {at}?",
        "rephrased": [f"Depot {at} is where?", f"Tell me the place of depot {at}."],
        "answer": f"City {at}",
        "fact": f"depot {at // 2}",
    }
    for at in range(NUMBER)
]
SUMS: list[Row] = [{"id": str(at), "prompt": f"{at} + {at}?", "answer": str(2 * at)} for at in range(NUMBER)]
QUESTIONS = made_dataset("questions", ROWS)
DATA: dict[str, Dataset] = {
    "questions": QUESTIONS,
    "sums": made_dataset("sums", SUMS),
    "train": made_dataset("train", [{"text": f"Depot {at} is in City {at}, says the ledger."} for at in range(5)]),
}


def asked(request: Request) -> str:
    assert isinstance(request, GenerateRequest)
    return request.prompt if isinstance(request.prompt, str) else request.prompt[-1].content


def says(text: Callable[[str, GenerateRequest], str]) -> Script:
    """A model that writes what ``text`` makes of the prompt."""

    def script(request: Request) -> Answer:
        assert isinstance(request, GenerateRequest)
        return Generation(text(asked(request), request), "stop", 1)

    return script


def number_in(prompt: str) -> str:
    return "".join(character for character in prompt if character.isdigit())


steady = says(lambda prompt, _: f"City {number_in(prompt)}.")
wavering = says(lambda prompt, request: f"City {len(prompt)}-{request.sample}")


def fails(request: Request) -> Answer:
    return Failed("timed out")


def measured(
    evaluator: Consistency, data: Mapping[str, Dataset], scripts: Mapping[str, Script], judge: Script = made_answer
) -> dict[str, Measurement]:
    return measured_by(cast("Evaluator", evaluator), data, scripts, judge)


def values(
    evaluator: Consistency, candidate: Script, base: Script = steady, judge: Script = made_answer
) -> dict[str, float]:
    found = measured(evaluator, DATA, {"candidate": candidate, "base": base}, judge)
    estimates = {name: one.candidate for name, one in found.items()}
    return {name: one.value for name, one in estimates.items() if isinstance(one, Estimate)}


def consistency(**settings: object) -> Consistency:
    return Consistency.model_validate({"data": "questions", **settings})


EVERYTHING: dict[str, object] = {
    "rephrasings": "rephrased", "samples": 4, "reference": "answer", "k": 2, "train": "train",
    "retention": "sums", "retention_reference": "answer",
}  # fmt: skip
