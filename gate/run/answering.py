"""Run a plan: ask every model what is not in the answer store yet, shard by shard.

Shards are cut from the whole plan, before looking at the store, and kept whole or not at all. So a run that was killed
asks the same shards again in the same batches as one that was not, and ends with the same bits: the last digits of a
log-probability depend on what it was computed together with.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

from finetune_gate.evaluators.asking import (
    Answer,
    Failed,
    GenerateRequest,
    Prompt,
    Request,
    ScoreRequest,
    TokenLogprobs,
)

from ..models.protocol import Model
from ..pins import Role
from ..progress import Progress
from .answer_store import AnswerStore
from .plan import Plan

SHARD_SCORES = 256
SHARD_GENERATIONS = 64


@dataclass(frozen=True, slots=True)
class Answered:
    """Answers by role, and how many were asked of the model or found in the store."""

    answers: Mapping[Role, Mapping[Request, Answer]]
    asked: Mapping[Role, int]
    stored: Mapping[Role, int]


def answer_plan(models: Mapping[Role, Model], plan: Plan, store: AnswerStore, progress: Progress) -> Answered:
    """Answers for every role. What a model is not able to do is ``Failed`` with that reason, for these requests."""
    answers: dict[Role, Mapping[Request, Answer]] = {}
    asked: dict[Role, int] = {}
    stored: dict[Role, int] = {}
    shards = list(cut_shards(plan.requests))
    remaining = list(models.values())
    for role, model in models.items():
        addresses = dict(zip(plan.requests, model.addresses(plan.requests), strict=True))
        known = store.get(list(addresses.values()))
        found: dict[Request, Answer] = {
            request: known[address] for request, address in addresses.items() if address in known
        }
        missing = len(plan.requests) - len(found)
        if missing:
            progress.begin(f"{role} answers", missing)
        for shard in shards:
            wanted = [request for request in shard if request not in found]
            if wanted:
                fresh = _ask(role, model, wanted, progress)
                store.put({addresses[request]: answer for request, answer in fresh.items()})
                found |= fresh
        remaining.pop(0)
        if not any(later is model for later in remaining):
            model.release()
        answers[role] = found
        asked[role] = missing
        stored[role] = len(plan.requests) - missing
    return Answered(answers, asked, stored)


def cut_shards(requests: Iterable[Request]) -> Iterable[tuple[Request, ...]]:
    """Requests of one kind and similar length, longest first; those with one prompt side by side."""
    scores = [request for request in requests if isinstance(request, ScoreRequest)]
    generations = [request for request in requests if isinstance(request, GenerateRequest)]
    for kind, size in ((scores, SHARD_SCORES), (generations, SHARD_GENERATIONS)):
        ordered = sorted(kind, key=lambda request: (-_length(request), _text(request.prompt), repr(request)))
        for start in range(0, len(ordered), size):
            yield tuple(ordered[start : start + size])


def _length(request: ScoreRequest | GenerateRequest) -> int:
    """Characters that the model must read; a document is all continuation."""
    prompt = len(_text(request.prompt))
    return len(request.continuation) if isinstance(request, ScoreRequest) and not prompt else prompt


def _text(prompt: Prompt) -> str:
    return prompt if isinstance(prompt, str) else "\n\n".join(message.content for message in prompt)


def _ask(role: Role, model: Model, wanted: Sequence[Request], progress: Progress) -> dict[Request, Answer]:
    fresh: dict[Request, Answer] = {}
    scores = [request for request in wanted if isinstance(request, ScoreRequest)]
    generations = [request for request in wanted if isinstance(request, GenerateRequest)]

    def deliver_to(asked: Sequence[Request], index: int, answer: Answer) -> None:
        fresh[asked[index]] = _finite(answer)
        progress.advance()

    if scores and "scores_tokens" in model.abilities:
        model.score(scores, lambda index, answer: deliver_to(scores, index, answer))
    if generations and "generates" in model.abilities:
        model.generate(generations, lambda index, answer: deliver_to(generations, index, answer))
    for request in wanted:
        if request not in fresh:
            lacking = request.needs not in model.abilities
            reason = f"the {role} lacks the ability {request.needs!r}" if lacking else "the model gave no answer"
            fresh[request] = Failed(reason)
    return fresh


def _finite(answer: Answer) -> Answer:
    """A broken model's NaN or infinite log-probability is no measurement."""
    if isinstance(answer, TokenLogprobs) and not all(isfinite(value) for value in answer.logprobs):
        return Failed("the model gave a log-probability that is not finite")
    return answer
