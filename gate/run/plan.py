"""The plan: one set of requests for every model, each asked once, however many evaluators want it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from finetune_gate.evaluators.asking import Request
from finetune_gate.evaluators.evaluator import Answers, Datasets, Evaluator, JudgedEvaluator


@dataclass(frozen=True, slots=True)
class Plan:
    """Unique requests, in the order in which evaluators first made them; every model under comparison is asked all of
    them. ``wanted`` counts them before uniting. ``judge_calls``: at most so many requests to each judge will follow."""

    requests: tuple[Request, ...]
    wanted: int
    judge_calls: Mapping[str, int]


def make_plan(evaluators: Iterable[Evaluator], data: Datasets) -> Plan:
    """Unite what all evaluators ask. The same evaluators and data give the same plan."""
    evaluators = tuple(evaluators)
    wanted = [request for evaluator in evaluators for request in evaluator.requests(data)]
    calls: dict[str, int] = {}
    for evaluator in evaluators:
        if isinstance(evaluator, JudgedEvaluator):
            for judge, most in evaluator.judge_calls(data).items():
                calls[judge] = calls.get(judge, 0) + most
    return Plan(tuple(dict.fromkeys(wanted)), len(wanted), calls)


def make_second_plan(
    evaluators: Iterable[JudgedEvaluator], data: Datasets, answers: Mapping[str, Answers]
) -> dict[str, tuple[Request, ...]]:
    """What each judge is asked, once, now that the models have answered."""
    wanted: dict[str, dict[Request, None]] = {}
    for evaluator in evaluators:
        for judge, requests in evaluator.second_requests(data, answers).items():
            wanted.setdefault(judge, {}).update(dict.fromkeys(requests))
    return {judge: tuple(requests) for judge, requests in wanted.items()}
