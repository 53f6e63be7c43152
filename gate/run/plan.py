"""The plan: one set of requests for every model, each asked once, however many evaluators want it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from finetune_gate.evaluators.asking import Request
from finetune_gate.evaluators.evaluator import Datasets, Evaluator


@dataclass(frozen=True, slots=True)
class Plan:
    """Unique requests, in the order in which evaluators first made them. ``wanted`` counts them before uniting."""

    requests: tuple[Request, ...]
    wanted: int


def make_plan(evaluators: Iterable[Evaluator], data: Datasets) -> Plan:
    """Unite what all evaluators ask. The same evaluators and data give the same plan."""
    wanted = [request for evaluator in evaluators for request in evaluator.requests(data)]
    return Plan(tuple(dict.fromkeys(wanted)), len(wanted))
