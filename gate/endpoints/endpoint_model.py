"""Any OpenAI-compatible server as a model of a gate: candidate, base, champion or judge."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from threading import Event, Lock
from typing import TypeVar

from finetune_gate.evaluators.asking import (
    Ability,
    Answer,
    ChooseRequest,
    Failed,
    GenerateRequest,
    Request,
    ScoreRequest,
    TokenLogprobs,
)
from finetune_gate.evaluators.errors import ModelError, Problem, without_credentials

from ..budget import Account, Purse
from ..models.choosing import choose, scores_of
from ..models.protocol import Deliver, JsonScalar, Tokens, Usage
from ..pins import Endpoint
from .access import access_to
from .background import Connection, EndpointLimits, connect, release
from .calling import Caller, Tally
from .pacing import Backoff
from .replies import Json, estimated_tokens, read_echo, read_first_token, read_generation
from .verdicts import Again, Call, Judging
from .wording import EchoText, Wording, unaskable

ANSWERS = "finetune-gate endpoint answers 1"
"""The version of what an answer is. Changes with every change of wording or reading that moves one."""

_PROBE = ScoreRequest("The capital of France is", " Paris")
_UNABLE = (500, 501)
"""What servers say that fall over an echo they do not know. Anything else that lasts is a server that is not there."""

_LOOK_SECONDS = 1.0
_STOP_SECONDS = 5.0

_R = TypeVar("_R", ScoreRequest, GenerateRequest, ChooseRequest)


class EndpointModel:
    """::

        model = EndpointModel(Endpoint("http://127.0.0.1:8000/v1", "my-model"), EndpointLimits(max_in_flight=32))
        model.generate(requests, deliver)
        model.release()

    Answers are delivered in the caller's thread, as they come. Between calls and models a process shares one background
    thread and one connection pool for each address and key; ``release`` ends them with their last user.

    What answers to an address and a name can change without notice: the model is pinned by name only. Sampling settings
    that this product does not know of (``top_k``, a repetition penalty) are the server's: vLLM takes them from the
    model's generation_config unless started with ``--generation-config vllm``. Temperature 0 is as greedy as the server
    makes it. Prompts and answers travel to the server.

    Log-likelihoods need the completions API and a server that echoes prompts with log-probabilities (vLLM does); what
    it takes is tried with one short call, the first time that ``abilities`` is read or something is scored. The first
    token of a document can be scored only where the server puts BOS in front; a document longer than the model's
    context is Failed, as the server says.

    Choices need log-probabilities of an answer's first token: of a chat those of the 20 likeliest ones, of completions
    the log-likelihood of each option. A chat that gives none fails each choice with that reason.

    Each call has its room in ``account``; what there is none for is Failed with that reason.

    Raises ConfigurationError for an address or key that cannot be used, and ModelError, when asked, where no call can
    succeed. What goes wrong with single requests is Failed, with the reason.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        limits: EndpointLimits | None = None,
        *,
        environ: Mapping[str, str] = os.environ,
        backoff: Backoff | None = None,
        account: Account | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._limits = limits or EndpointLimits()
        self._access = access_to(endpoint, environ)
        self._wording = Wording(endpoint)
        self._judging = Judging(endpoint, self._access, self._wording)
        self._backoff = backoff or Backoff()
        self._account = account or Purse().account(endpoint.digest)
        self._tally = Tally()
        self._user = object()
        self._lock = Lock()
        self._scores: bool | None = None if endpoint.api == "completions" else False

    @property
    def digest(self) -> str:
        return self._endpoint.digest

    @property
    def abilities(self) -> frozenset[Ability]:
        """With the completions API, the first look asks the server one short question. A server that cannot be asked is
        a ModelError, never a missing ability. That a chat can choose is taken for granted: one that cannot says so."""
        if self._endpoint.api == "chat":
            return frozenset(("generates", "chooses"))
        return frozenset(("generates", "scores_tokens", "chooses")) if self._can_score() else frozenset(("generates",))

    @property
    def batched(self) -> bool:
        return False

    def facts(self) -> Mapping[str, JsonScalar]:
        """The same for the same endpoint, whether it was asked anything or all came from the answer store. What this
        server really had to be spared is ``omitted``."""
        endpoint = self._endpoint
        return {
            "kind": "endpoint",
            "base_url": without_credentials(endpoint.base_url),
            "model": endpoint.model,
            "api": endpoint.api,
            "own_messages": len(endpoint.messages),
            "pinned_by": "name only",
            "parameters": "max_tokens, temperature, top_p, stop, seed when sampling, response_format with a schema;"
            " stop, seed, response_format and values that are the API's defaults are left out where the server refuses"
            " them",
        }

    @property
    def omitted(self) -> frozenset[str]:
        """Parameters that the server refused and that were left out, since no answer depends on them."""
        return self._wording.omitted

    def usage(self) -> Usage:
        return self._tally.usage()

    def tokens(self, requests: Sequence[Request]) -> Tokens:
        """Estimated as a quarter of the bytes. Text that requests share is counted each time: it is sent each time."""
        read = written = 0
        for request in requests:
            if isinstance(request, ScoreRequest):
                read += estimated_tokens(self._wording.echo_text(request).text)
            elif isinstance(request, GenerateRequest):
                read += sum(estimated_tokens(turn.content) for turn in self._wording.messages(request.prompt))
                written += max(0, request.max_new_tokens)
            elif isinstance(request, ChooseRequest) and self._endpoint.api == "chat":
                read += sum(estimated_tokens(turn.content) for turn in self._wording.messages(request.prompt))
                written += 1
            elif isinstance(request, ChooseRequest):
                read += self.tokens(scores_of(request)).read
        return Tokens(read, written, exact=False)

    def addresses(self, requests: Sequence[Request]) -> list[str]:
        return [self._address(request) for request in requests]

    def score(self, requests: Sequence[ScoreRequest], deliver: Deliver) -> None:
        if not self._can_score():
            for index in range(len(requests)):
                deliver(index, Failed("the endpoint gives no log-probabilities of the text that is sent to it"))
            return
        self._ask_each_once(requests, self._score_call, deliver)

    def generate(self, requests: Sequence[GenerateRequest], deliver: Deliver) -> None:
        self._ask_each_once(requests, self._generate_call, deliver)

    def choose(self, requests: Sequence[ChooseRequest], deliver: Deliver) -> None:
        """With the chat API one call each; with completions one for each option."""
        if self._endpoint.api == "chat":
            self._ask_each_once(requests, self._choose_call, deliver)
        else:
            choose(self.score, requests, deliver)

    def release(self) -> None:
        release(self._user)

    def _address(self, request: Request) -> str:
        about = [ANSWERS, self.digest, *self._wording.identity(request)]
        return hashlib.sha256(json.dumps(about, separators=(",", ":")).encode()).hexdigest()

    def _generate_call(self, request: GenerateRequest) -> Call:
        chat = self._endpoint.api == "chat"

        def read(reply: Json) -> Answer:
            self._tally.add(reply)
            return read_generation(reply, chat, request.stop, self._access)

        path = "/chat/completions" if chat else "/completions"
        return Call(path, partial(self._wording.generating, request), read)

    def _choose_call(self, request: ChooseRequest) -> Call:
        def read(reply: Json) -> Answer:
            self._tally.add(reply)
            return read_first_token(reply, request.options, self._access)

        return Call("/chat/completions", partial(self._wording.choosing, request), read)

    def _score_call(self, request: ScoreRequest) -> Call:
        return self._echo_call(self._wording.echo_text(request))

    def _echo_call(self, echo: EchoText) -> Call:
        def read(reply: Json) -> Answer:
            self._tally.add(reply)
            return read_echo(reply, echo, self._access)

        return Call("/completions", partial(self._wording.scoring, echo), read)

    def _can_score(self) -> bool:
        with self._lock:
            if self._scores is None:
                found: list[Answer] = []
                probe = self._echo_call(self._wording.echo_text(_PROBE))
                fault = self._ask([probe], lambda _, answer: found.append(answer))
                if (refusal := self._account.refused()) is not None and found[0] == Failed(refusal.reason):
                    return True  # nothing is known, and nothing will be asked
                if fault is not None and fault.status not in _UNABLE:
                    raise ModelError(
                        Problem(
                            self._judging.where,
                            f"could not be asked whether it scores text: {fault.reason}",
                            "an answer, whether it can or not",
                            "run the gate again when the server answers",
                        )
                    )
                self._scores = isinstance(found[0], TokenLogprobs) and bool(found[0].logprobs)
            return self._scores

    def _ask_each_once(self, requests: Sequence[_R], call: Callable[[_R], Call], deliver: Deliver) -> None:
        """Requests with one address have one answer, and cost one call."""
        twins: dict[str, list[int]] = {}
        for index, (request, address) in enumerate(zip(requests, self.addresses(requests), strict=True)):
            if (known := _without_asking(request)) is not None:
                deliver(index, known)
            else:
                twins.setdefault(address, []).append(index)
        owners = list(twins.values())

        def to_all(group: int, answer: Answer) -> None:
            for index in owners[group]:
                deliver(index, answer)

        self._ask([call(requests[same[0]]) for same in owners], to_all)

    def _ask(self, calls: Sequence[Call], deliver: Deliver) -> Again | None:
        """The last fault that an answer was given up for, if any was."""
        if not calls:
            return None
        connection = connect(self._user, self._access, self._limits)
        caller = Caller(connection, self._limits, self._judging, self._tally, self._backoff, self._account)
        _hand_over(connection, caller, calls, deliver)
        return caller.last_fault


@dataclass(frozen=True, slots=True)
class _Handed:
    """An answer on its way between the threads; ``taken`` is settled when it has been delivered."""

    index: int
    answer: Answer
    taken: asyncio.Future[None]


def _hand_over(connection: Connection, caller: Caller, calls: Sequence[Call], deliver: Deliver) -> None:
    """Run ``calls`` in the background, and deliver in this thread: what keeps answers may belong to it. Whatever ends
    this early (an interrupt, a full disk) cancels the calls under way."""
    answers: SimpleQueue[_Handed | None] = SimpleQueue()
    ended = Event()

    async def hand(index: int, answer: Answer) -> None:
        taken = asyncio.get_running_loop().create_future()
        answers.put(_Handed(index, answer, taken))
        await taken

    async def ask() -> None:
        try:
            await caller.ask_all(calls, hand)
        finally:
            ended.set()
            answers.put(None)

    asking = connection.loop.submit(ask())
    try:
        while (handed := _next(answers, connection)) is not None:
            deliver(handed.index, handed.answer)
            handed.taken.get_loop().call_soon_threadsafe(_settle, handed.taken)
        asking.result(_STOP_SECONDS)
    except BaseException:
        if asking.cancel():
            ended.wait(_STOP_SECONDS)
        raise


def _settle(taken: asyncio.Future[None]) -> None:
    if not taken.done():  # its task may have been cancelled meanwhile
        taken.set_result(None)


def _next(answers: SimpleQueue[_Handed | None], connection: Connection) -> _Handed | None:
    while True:
        try:
            return answers.get(timeout=_LOOK_SECONDS)
        except Empty:
            if not connection.loop.alive:
                raise RuntimeError("an endpoint model was asked while the process was ending") from None


def _without_asking(request: Request) -> Answer | None:
    if isinstance(request, ScoreRequest) and not request.continuation:
        return TokenLogprobs(())
    return unaskable(request)
