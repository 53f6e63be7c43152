"""How tests ask endpoint models."""

from __future__ import annotations

from collections.abc import Callable

from finetune_gate.evaluators.asking import Answer, GenerateRequest
from finetune_gate.gate.endpoints import EndpointModel

Open = Callable[..., EndpointModel]
"""The fixture ``opened``."""


def prompts(count: int, **settings) -> list[GenerateRequest]:
    return [GenerateRequest(f"question {number}", **settings) for number in range(count)]


def generated(model: EndpointModel, requests: list[GenerateRequest]) -> list[Answer]:
    """Answers in order; each request answered exactly once."""
    answers: dict[int, Answer] = {}

    def deliver(index: int, answer: Answer) -> None:
        assert index not in answers
        answers[index] = answer

    model.generate(requests, deliver)
    return [answers[at] for at in range(len(requests))]
