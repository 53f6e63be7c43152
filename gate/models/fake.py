"""A model with scripted answers, for tests of everything that asks models: yours and ours."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import cast

from finetune_gate.evaluators.asking import (
    Ability,
    Answer,
    AttributeRequest,
    Choice,
    ChooseRequest,
    EmbedRequest,
    EntailRequest,
    ExecuteRequest,
    Failed,
    GenerateRequest,
    Generation,
    Prompt,
    Request,
    ScoreRequest,
    TokenLogprobs,
)

from .protocol import Deliver, JsonScalar, Tokens, Usage

Scripted = Answer | str | float | Sequence[float] | None
Script = Callable[[Request], Scripted] | Mapping[Request, Scripted] | Mapping[Prompt, Scripted]


class FakeModel:
    """Answers from a script, and counts what it is asked::

        model = FakeModel({"2 + 2 =": "4"})                       # by prompt
        model = FakeModel({ScoreRequest("A", " b"): [-0.5]})      # by request
        model = FakeModel(lambda request: "yes")                  # by rule
        model.asked                                               # every request that was answered, in order

    A scripted str stands for a Generation, a number or numbers for TokenLogprobs, or for the Choice where that is asked
    for; an Answer stands for itself. What the script does not hold (or answers with None) is Failed. Two fakes are the
    same model if their digests are equal; nothing looks into the script. Requests are delivered last to first, since no
    order is promised.
    """

    def __init__(
        self,
        script: Script,
        *,
        digest: str = "fake",
        abilities: Iterable[Ability] = ("generates", "scores_tokens"),
        facts: Mapping[str, JsonScalar] | None = None,
        batched: bool = True,
    ) -> None:
        self._script = script if callable(script) else _looked_up(cast("Mapping[Request | Prompt, Scripted]", script))
        self._digest = hashlib.sha256(digest.encode()).hexdigest()
        self._abilities = frozenset(abilities)
        self._facts = dict(facts or {"kind": "fake"})
        self._batched = batched
        self.asked: list[Request] = []
        self.calls = 0
        self.released = 0

    @property
    def digest(self) -> str:
        return self._digest

    @property
    def abilities(self) -> frozenset[Ability]:
        return self._abilities

    @property
    def batched(self) -> bool:
        return self._batched

    def facts(self) -> Mapping[str, JsonScalar]:
        return self._facts

    def usage(self) -> Usage:
        return Usage(calls=self.calls)

    def tokens(self, requests: Sequence[Request]) -> Tokens:
        """Words, of everything that a request says."""
        read = sum(len(repr(request).split()) for request in requests)
        return Tokens(read, sum(r.max_new_tokens for r in requests if isinstance(r, GenerateRequest)), exact=False)

    def addresses(self, requests: Sequence[Request]) -> list[str]:
        return [hashlib.sha256(f"{self._digest} {request!r}".encode()).hexdigest() for request in requests]

    def score(self, requests: Sequence[ScoreRequest], deliver: Deliver) -> None:
        self._answer(requests, deliver)

    def generate(self, requests: Sequence[GenerateRequest], deliver: Deliver) -> None:
        self._answer(requests, deliver)

    def choose(self, requests: Sequence[ChooseRequest], deliver: Deliver) -> None:
        self._answer(requests, deliver)

    def attribute(self, requests: Sequence[AttributeRequest], deliver: Deliver) -> None:
        self._answer(requests, deliver)

    def embed(self, requests: Sequence[EmbedRequest], deliver: Deliver) -> None:
        self._answer(requests, deliver)

    def entail(self, requests: Sequence[EntailRequest], deliver: Deliver) -> None:
        self._answer(requests, deliver)

    def execute(self, requests: Sequence[ExecuteRequest], deliver: Deliver) -> None:
        self._answer(requests, deliver)

    def release(self) -> None:
        self.released += 1

    def _answer(self, requests: Sequence[Request], deliver: Deliver) -> None:
        self.calls += 1
        self.asked.extend(requests)
        for index in reversed(range(len(requests))):
            deliver(index, self._one(requests[index]))

    def _one(self, request: Request) -> Answer:
        if request.needs not in self._abilities:
            return Failed(f"this model does not have the ability {request.needs!r}")
        scripted = self._script(request)
        match scripted:
            case None:
                return Failed("the script has no answer to this request")
            case str():
                return Generation(scripted, "stop", len(scripted.split()))
            case int() | float():
                numbers = (float(scripted),)
            case Sequence():
                numbers = tuple(float(value) for value in scripted)
            case _:
                return scripted
        return Choice(numbers) if isinstance(request, ChooseRequest) else TokenLogprobs(numbers)


def _looked_up(script: Mapping[Request | Prompt, Scripted]) -> Callable[[Request], Scripted]:
    def found(request: Request) -> Scripted:
        prompt = None if isinstance(request, (EmbedRequest, EntailRequest, ExecuteRequest)) else request.prompt
        return script.get(request, None if prompt is None else script.get(prompt))

    return found
