"""Shards: what is asked together, and kept together or not at all.

Cut from the whole plan, before looking at the store. So a run that was killed asks the same shards again in the same
batches as one that was not, and ends with the same bits: the last digits of a log-probability depend on what it was
computed together with.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from math import isfinite
from typing import Protocol, TypeVar

from finetune_gate.evaluators.asking import (
    Answer,
    AttributeRequest,
    Choice,
    ChooseRequest,
    EmbedRequest,
    EntailRequest,
    ExecuteRequest,
    Failed,
    GenerateRequest,
    Prompt,
    Request,
    ScoreRequest,
    TokenLogprobs,
)
from finetune_gate.evaluators.errors import ConfigurationError, Problem

from ..gate_file.settings import Execution
from ..models.protocol import Attributes, Chooses, Deliver, Embeds, Entails, Executes, Model, Usage
from ..pins import Pins

Shard = tuple[Request, ...]

SHARD_SIZES: Mapping[type[Request], int] = {
    ScoreRequest: 256,
    GenerateRequest: 64,
    ChooseRequest: 128,
    AttributeRequest: 16,
    EmbedRequest: 256,
    EntailRequest: 256,
    ExecuteRequest: 64,
}

Asked = TypeVar("Asked", bound=Request)

Answers = dict[Request, Answer]
Advance = Callable[[int], None]
"""``advance(3)``: three more requests have their answers."""


class Runner(Protocol):
    """Where shards are answered: in this process, or on the workers of a cluster."""

    def answer(
        self, name: str, model: Model, shards: Sequence[Shard], advance: Advance
    ) -> Generator[tuple[Shard, Answers]]:
        """Each shard with all its answers, as soon as it has them, in any order. ``name`` is the model's in the run:
        its role, or a judge's address. Whoever does not want them all closes it: what is under way is then given up."""
        ...

    def usage(self, name: str) -> Usage:
        """What was asked elsewhere under that name, and so does not show in the model's own usage."""
        ...


class InProcess:
    """One shard after the other, here."""

    def answer(
        self, name: str, model: Model, shards: Sequence[Shard], advance: Advance
    ) -> Generator[tuple[Shard, Answers]]:
        for shard in shards:
            yield shard, ask(model, shard, lambda request, answer: advance(1))

    def usage(self, name: str) -> Usage:
        return Usage()


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
    for kind, size in SHARD_SIZES.items():
        of_kind = [request for request in requests if isinstance(request, kind)]
        ordered = sorted(of_kind, key=lambda request: (-_length(request), _read_first(request), repr(request)))
        for start in range(0, len(ordered), size):
            yield tuple(ordered[start : start + size])


def ask(model: Model, requests: Sequence[Request], answered: Callable[[Request, Answer], None]) -> Answers:
    """Every request's answer; ``answered`` hears of each as it comes. What the model is not able to do, or does not
    answer, is ``Failed`` with that reason."""
    fresh: Answers = {}

    def put(asking: Callable[[list[Asked], Deliver], None], kind: type[Asked]) -> None:
        asked = [request for request in requests if isinstance(request, kind)]

        def deliver(index: int, answer: Answer) -> None:
            fresh[asked[index]] = _finite(answer)
            answered(asked[index], fresh[asked[index]])

        if asked and asked[0].needs in model.abilities:
            asking(asked, deliver)

    put(model.score, ScoreRequest)
    put(model.generate, GenerateRequest)
    if isinstance(model, Chooses):
        put(model.choose, ChooseRequest)
    if isinstance(model, Attributes):
        put(model.attribute, AttributeRequest)
    if isinstance(model, Embeds):
        put(model.embed, EmbedRequest)
    if isinstance(model, Entails):
        put(model.entail, EntailRequest)
    if isinstance(model, Executes):
        put(model.execute, ExecuteRequest)
    for request in requests:
        if request not in fresh:
            lacking = request.needs not in model.abilities
            reason = f"the model lacks the ability {request.needs!r}" if lacking else "the model gave no answer"
            fresh[request] = Failed(reason)
            answered(request, fresh[request])
    return fresh


def _finite(answer: Answer) -> Answer:
    """A broken model's NaN or infinite log-probability is no measurement."""
    if isinstance(answer, TokenLogprobs | Choice) and not all(isfinite(value) for value in answer.logprobs):
        return Failed("the model gave a log-probability that is not finite")
    return answer


def _length(request: Request) -> int:
    """Characters that the model must read; a document is all continuation."""
    first = len(_read_first(request))
    return len(request.continuation) if isinstance(request, ScoreRequest) and not first else first


def _read_first(request: Request) -> str:
    match request:
        case EmbedRequest():
            return request.text
        case EntailRequest():
            return request.premise + request.hypothesis
        case ExecuteRequest():
            return request.program
        case _:
            return _text(request.prompt)


def _text(prompt: Prompt) -> str:
    return prompt if isinstance(prompt, str) else "\n\n".join(message.content for message in prompt)
