"""Shards: what is asked together, and kept together or not at all.

Cut from the whole plan, before looking at the store. So a run that was killed asks the same shards again in the same
batches as one that was not, and ends with the same bits: the last digits of a log-probability depend on what it was
computed together with.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from math import isfinite
from typing import Protocol

from finetune_gate.evaluators.asking import (
    Answer,
    Failed,
    GenerateRequest,
    Prompt,
    Request,
    ScoreRequest,
    TokenLogprobs,
)
from finetune_gate.evaluators.errors import ConfigurationError, Problem

from ..gate_file.settings import Execution
from ..models.protocol import Model
from ..pins import Pins

Shard = tuple[Request, ...]

SHARD_SCORES = 256
SHARD_GENERATIONS = 64

Answers = dict[Request, Answer]
Advance = Callable[[int], None]
"""``advance(3)``: three more requests have their answers."""


class Runner(Protocol):
    """Where shards are answered: in this process, or on the workers of a cluster."""

    def answer(
        self, name: str, model: Model, shards: Sequence[Shard], advance: Advance
    ) -> Iterator[tuple[Shard, Answers]]:
        """Each shard with all its answers, as soon as it has them, in any order. ``name`` is the model's in the run:
        its role, or a judge's address."""
        ...


class InProcess:
    """One shard after the other, here."""

    def answer(
        self, name: str, model: Model, shards: Sequence[Shard], advance: Advance
    ) -> Iterator[tuple[Shard, Answers]]:
        for shard in shards:
            yield shard, ask(model, shard, lambda request, answer: advance(1))


RunOn = Callable[[Pins, Execution], AbstractContextManager[Runner]]
"""Opens the runner that the gate file's ``execution`` asks for."""


@contextmanager
def this_process(pins: Pins, execution: Execution) -> Generator[Runner]:
    """The plainest ``RunOn``; refuses clusters, which are reached through Prefect."""
    if execution.runner != "local":
        raise ConfigurationError(
            Problem(
                "execution.runner",
                f"{execution.runner!r}, and this run is not walked by Prefect, which maps shards to workers",
                "local",
                "run it with --prefect, or from a Prefect deployment",
            )
        )
    yield InProcess()


def cut_shards(requests: Iterable[Request]) -> Iterable[Shard]:
    """Requests of one kind and similar length, longest first; those with one prompt side by side."""
    requests = tuple(requests)
    scores = [request for request in requests if isinstance(request, ScoreRequest)]
    generations = [request for request in requests if isinstance(request, GenerateRequest)]
    for kind, size in ((scores, SHARD_SCORES), (generations, SHARD_GENERATIONS)):
        ordered = sorted(kind, key=lambda request: (-_length(request), _text(request.prompt), repr(request)))
        for start in range(0, len(ordered), size):
            yield tuple(ordered[start : start + size])


def ask(model: Model, requests: Sequence[Request], answered: Callable[[Request, Answer], None]) -> Answers:
    """Every request's answer; ``answered`` hears of each as it comes. What the model is not able to do, or does not
    answer, is ``Failed`` with that reason."""
    fresh: Answers = {}

    def deliver_to(asked: Sequence[Request], index: int, answer: Answer) -> None:
        fresh[asked[index]] = _finite(answer)
        answered(asked[index], fresh[asked[index]])

    scores = [request for request in requests if isinstance(request, ScoreRequest)]
    generations = [request for request in requests if isinstance(request, GenerateRequest)]
    if scores and "scores_tokens" in model.abilities:
        model.score(scores, lambda index, answer: deliver_to(scores, index, answer))
    if generations and "generates" in model.abilities:
        model.generate(generations, lambda index, answer: deliver_to(generations, index, answer))
    for request in requests:
        if request not in fresh:
            lacking = request.needs not in model.abilities
            reason = f"the model lacks the ability {request.needs!r}" if lacking else "the model gave no answer"
            fresh[request] = Failed(reason)
            answered(request, fresh[request])
    return fresh


def _finite(answer: Answer) -> Answer:
    """A broken model's NaN or infinite log-probability is no measurement."""
    if isinstance(answer, TokenLogprobs) and not all(isfinite(value) for value in answer.logprobs):
        return Failed("the model gave a log-probability that is not finite")
    return answer


def _length(request: ScoreRequest | GenerateRequest) -> int:
    """Characters that the model must read; a document is all continuation."""
    prompt = len(_text(request.prompt))
    return len(request.continuation) if isinstance(request, ScoreRequest) and not prompt else prompt


def _text(prompt: Prompt) -> str:
    return prompt if isinstance(prompt, str) else "\n\n".join(message.content for message in prompt)
