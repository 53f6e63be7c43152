"""Run a plan: ask every model what is not in the answer store yet, and keep each finished shard."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite

from finetune_gate.evaluators.asking import Answer, Failed, GenerateRequest, Request, ScoreRequest, TokenLogprobs

from .answer_store import AnswerStore
from .models.protocol import Model
from .pins import Role
from .plan import Plan
from .progress import Progress

SHARD_ANSWERS = 256
SHARD_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Answered:
    """Answers by role, and how many were asked of the model or found in the store."""

    answers: Mapping[Role, Mapping[Request, Answer]]
    asked: Mapping[Role, int]
    stored: Mapping[Role, int]


@dataclass(slots=True)
class _Shard:
    """Answers on their way to the store; written when there are enough of them, or time has passed."""

    store: AnswerStore
    progress: Progress
    pending: dict[str, Answer] = field(default_factory=dict[str, Answer])
    since: float = field(default_factory=time.monotonic)

    def add(self, address: str, answer: Answer) -> None:
        self.pending[address] = answer
        self.progress.advance()
        if len(self.pending) >= SHARD_ANSWERS or time.monotonic() - self.since > SHARD_SECONDS:
            self.flush()

    def flush(self) -> None:
        self.store.put(self.pending)
        self.pending.clear()
        self.since = time.monotonic()


def answer_plan(models: Mapping[Role, Model], plan: Plan, store: AnswerStore, progress: Progress) -> Answered:
    """Answers for every role. What a model is not able to do is ``Failed`` with that reason, for these requests."""
    answers: dict[Role, Mapping[Request, Answer]] = {}
    asked: dict[Role, int] = {}
    stored: dict[Role, int] = {}
    for role, model in models.items():
        addresses = model.addresses(plan.requests)
        known = store.get(addresses)
        missing = [index for index, address in enumerate(addresses) if address not in known]
        fresh = _ask(role, model, [(plan.requests[i], addresses[i]) for i in missing], store, progress)
        answers[role] = {
            request: known[address] if address in known else fresh[address]
            for request, address in zip(plan.requests, addresses, strict=True)
        }
        asked[role] = len(missing)
        stored[role] = len(addresses) - len(missing)
    return Answered(answers, asked, stored)


def _ask(
    role: Role, model: Model, wanted: Sequence[tuple[Request, str]], store: AnswerStore, progress: Progress
) -> dict[str, Answer]:
    if not wanted:
        return {}
    fresh: dict[str, Answer] = {}
    scores = [(request, address) for request, address in wanted if isinstance(request, ScoreRequest)]
    generations = [(request, address) for request, address in wanted if isinstance(request, GenerateRequest)]
    progress.begin(f"{role} answers", len(wanted))
    shard = _Shard(store, progress)

    def deliver_to(pairs: Sequence[tuple[Request, str]], index: int, answer: Answer) -> None:
        address = pairs[index][1]
        answer = _finite(answer)
        fresh[address] = answer
        shard.add(address, answer)

    try:
        if scores and "scores_tokens" in model.abilities:
            model.score([request for request, _ in scores], lambda i, answer: deliver_to(scores, i, answer))
        if generations and "generates" in model.abilities:
            model.generate(
                [request for request, _ in generations], lambda i, answer: deliver_to(generations, i, answer)
            )
    finally:
        shard.flush()
    for request, address in wanted:
        if address not in fresh:
            lacking = request.needs not in model.abilities
            reason = f"the {role} lacks the ability {request.needs!r}" if lacking else "the model gave no answer"
            fresh[address] = Failed(reason)
    return fresh


def _finite(answer: Answer) -> Answer:
    """A broken model's NaN or infinite log-probability is no measurement."""
    if isinstance(answer, TokenLogprobs) and not all(isfinite(value) for value in answer.logprobs):
        return Failed("the model gave a log-probability that is not finite")
    return answer
