"""What is left to ask of APIs, in calls, tokens and money, beside what the budget allows.

budget = spending_within(PlannedBudget(limits=..., currency="USD", prices=..., apis=("candidate",)), models, judges)
budget.together, budget.beyond
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import ceil
from typing import TypeVar

from finetune_gate.evaluators.asking import Answer, Failed, GenerateRequest, Generation, Request
from finetune_gate.evaluators.evaluator import Datasets, JudgedEvaluator

from ..limits import LIMITS, Limit, amount_text, with_unit
from ..models.protocol import Model
from ..run.plan import make_second_plan
from .planned import (
    Left,
    PlannedBudget,
    PlannedJudge,
    PlannedModel,
    PlannedPrice,
    PlannedSpending,
    Seconds,
    Unknown,
)

_Number = TypeVar("_Number", int, float)
_BYTES_PER_TOKEN = 4
TOGETHER = "together"


def spending_within(
    budget: PlannedBudget, models: Sequence[PlannedModel], judges: Sequence[PlannedJudge]
) -> PlannedBudget:
    """``budget`` with what is left now."""
    left: dict[str, Left | Unknown] = {model.name: model.left for model in models}
    left |= {judge.name: judge.left for judge in judges}
    calls = {name: some.requests for name, some in left.items() if isinstance(some, Left)}
    calls |= {judge.name: judge.calls_at_most for judge in judges}
    asked = tuple(
        _spending(name, calls[name], some, budget.prices.get(name))
        for name, some in left.items()
        if name in budget.apis and calls[name]
    )
    sums = _together(asked)
    seconds = _seconds(models, judges, budget.apis)
    beyond = tuple(_beyond(budget, sums, seconds))
    return budget.model_copy(update={"models": asked, "together": sums, "seconds": seconds, "beyond": beyond})


def judges_left(
    evaluators: Iterable[JudgedEvaluator],
    data: Datasets,
    requests: Sequence[Request],
    known: Mapping[str, Mapping[Request, Answer]],
    judges: Mapping[str, tuple[Model, int]],
) -> dict[str, Left | Unknown]:
    """About what each judge will read and write: it is asked about the answers that are known, and about made-up texts
    as long as they may become where none is. ``judges``: the model, and how often it is asked at most."""
    answers = {
        name: {request: held.get(request) or _made_up(name, number, request) for number, request in enumerate(requests)}
        for name, held in known.items()
    }
    asked = make_second_plan(evaluators, data, answers)
    return {name: _scaled(model, asked.get(name, ()), most) for name, (model, most) in judges.items()}


def _made_up(name: str, number: int, request: Request) -> Answer:
    """Different for each model and request: judges are asked once about what is the same."""
    if not isinstance(request, GenerateRequest):
        return Failed("not asked yet")
    length = _BYTES_PER_TOKEN * max(1, request.max_new_tokens)
    text = f"{name} {number} ".ljust(length, ".")[:length]
    return Generation(text, "length", max(1, request.max_new_tokens))


def _scaled(model: Model, requests: Sequence[Request], most: int) -> Left | Unknown:
    """All that may be asked is as long as what is known of it."""
    if not requests:
        return Unknown(unknown="what it is asked depends on what the models answer")
    tokens = model.tokens(requests)
    share = max(1.0, most / len(requests))
    return Left(requests=most, read=ceil(tokens.read * share), written=ceil(tokens.written * share), exact=False)


def _spending(name: str, calls: int, left: Left | Unknown, price: PlannedPrice | None) -> PlannedSpending:
    if isinstance(left, Unknown):
        return PlannedSpending(name=name, calls=calls, tokens=left, cost=left)
    cost: float | Unknown = Unknown(unknown="no price is given")
    if price is not None:
        cost = (left.read * price.input + left.written * price.output) / 1e6
    return PlannedSpending(name=name, calls=calls, tokens=left.read + left.written, cost=cost)


def _together(asked: Sequence[PlannedSpending]) -> PlannedSpending:
    """Unknown as soon as one part is."""
    return PlannedSpending(
        name=TOGETHER,
        calls=sum(one.calls for one in asked),
        tokens=_sum((one.tokens for one in asked), 0),
        cost=_sum((one.cost for one in asked), 0.0),
    )


def _sum(parts: Iterable[_Number | Unknown], total: _Number) -> _Number | Unknown:
    for part in parts:
        if isinstance(part, Unknown):
            return part
        total += part
    return total


def _seconds(models: Sequence[PlannedModel], judges: Sequence[PlannedJudge], apis: Sequence[str]) -> float | Unknown:
    """Of asking local judges, once it is known what they are asked; how long an API takes only a run finds out."""
    local = [model for model in models if model.role == "judge" and model.name not in apis]
    timed = [model.seconds.total for model in local if isinstance(model.seconds, Seconds)]
    if judges or not local or len(timed) < len(local):
        return Unknown(unknown="how long judges take is not known")
    return sum(timed)


def _beyond(budget: PlannedBudget, together: PlannedSpending, seconds: float | Unknown) -> Iterator[str]:
    amounts: dict[Limit, float | Unknown] = {
        "calls": together.calls, "tokens": together.tokens, "money": together.cost, "seconds": seconds
    }  # fmt: skip
    for limit in LIMITS:
        amount = amounts[limit]
        if limit in budget.limits and not isinstance(amount, Unknown) and amount > budget.limits[limit]:
            yield (
                f"what is left may come to {with_unit(limit, amount, budget.currency)}, and the budget is "
                f"{amount_text(limit, budget.limits[limit])}: what it leaves no room for stays unasked, rules that "
                "need it are unmeasured, and another run goes on from there"
            )
