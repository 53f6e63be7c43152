"""How requests are put to the API, and what a server that refuses a parameter is asked instead."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from finetune_gate.evaluators.asking import Failed, GenerateRequest, Message, Prompt, Request, ScoreRequest

from ..pins import Endpoint

MOST_STOPS = 4
"""Stop strings that OpenAI's API takes; all of them are applied here anyway."""

_DEFAULTS: Mapping[str, object] = {"temperature": 1.0, "top_p": 1.0}
"""What the API's reference says holds where a parameter is absent."""

_REFUSED = re.compile(
    r"unsupported|not support|unrecognized|unrecognised|unknown|unexpected|not permitted|not allowed|\bextra", re.I
)


@dataclass(frozen=True, slots=True)
class EchoText:
    """What is sent to be scored: the tokens of ``text`` from character ``border`` on are the continuation."""

    text: str
    border: int


class Wording:
    """The bodies of calls to one model::

        body = wording.generating(request)
        wording.learn(body, "Unsupported parameter: 'seed'", named="seed")   # True: ask again, differently

    What a server refuses is left out from then on, but only where the answer does not depend on it: a seed (a wish
    anyway), stop strings (cut off here too), and values that are the API's defaults. ``max_tokens`` becomes
    ``max_completion_tokens``, as newer models of OpenAI's demand.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._omitted: set[str] = set()
        self._renamed: dict[str, str] = {}

    @property
    def omitted(self) -> frozenset[str]:
        """Parameters that this server has refused and that are no longer sent."""
        return frozenset(self._omitted)

    def messages(self, prompt: Prompt) -> tuple[Message, ...]:
        """The endpoint's own messages, then the prompt; a plain text is what the user says."""
        own = self._endpoint.messages
        return own + (prompt if isinstance(prompt, tuple) else (Message("user", prompt),))

    def text(self, prompt: Prompt) -> str:
        """The same as plain text: contents joined by blank lines. A server may well have a chat template, but the
        completions API does not apply it."""
        return "\n\n".join(message.content for message in self.messages(prompt))

    def generating(self, request: GenerateRequest) -> dict[str, object]:
        body: dict[str, object] = {
            "model": self._endpoint.model,
            "stream": False,
            "max_tokens": request.max_new_tokens,
            "temperature": request.temperature,
            "top_p": request.top_p,
        }
        if self._endpoint.api == "chat":
            turns = self.messages(request.prompt)
            body["messages"] = [{"role": turn.role, "content": turn.content} for turn in turns]
        else:
            body["prompt"] = self.text(request.prompt)
        if stops := [stop for stop in request.stop if stop][:MOST_STOPS]:
            body["stop"] = stops
        if request.temperature > 0:
            body["seed"] = sampling_seed(request)
        for name in self._omitted:
            if self._may_omit(name, body.get(name)):
                body.pop(name, None)
        return {self._renamed.get(name, name): value for name, value in body.items()}

    def echo_text(self, request: ScoreRequest) -> EchoText:
        """Whitespace before the border goes to the continuation, as with local models (see ``gate.models.tokenizing``).
        A document has no prompt and no delimiter."""
        prompt = self.text(request.prompt)
        if not prompt:
            return EchoText(request.continuation, 0)
        context = prompt + request.delimiter
        return EchoText(context + request.continuation, len(context.rstrip()))

    def scoring(self, echo: EchoText) -> dict[str, object]:
        """One token is generated and thrown away: many servers refuse to generate none."""
        return {
            "model": self._endpoint.model,
            "prompt": echo.text,
            "echo": True,
            "logprobs": 1,
            "max_tokens": 1,
            "temperature": 0.0,
            "stream": False,
        }

    def learn(self, body: Mapping[str, object], message: str, named: str | None) -> bool:
        """Whether to ask again after a refusal (400, 422) of ``body``, whose ``message`` or ``param`` field names the
        parameter."""
        if not _REFUSED.search(message):
            return False
        if "max_tokens" in body and (named == "max_tokens" or "max_completion_tokens" in message):
            self._renamed["max_tokens"] = "max_completion_tokens"
            return True
        for name in ("seed", "stop", *_DEFAULTS):
            said = named == name or re.search(rf"\b{name}\b", message)
            if name in body and said and self._may_omit(name, body[name]):
                self._omitted.add(name)
                return True
        return False

    def _may_omit(self, name: str, value: object) -> bool:
        return name not in _DEFAULTS or value == _DEFAULTS[name]

    def identity(self, request: Request) -> list[object]:
        """Everything about ``request`` that changes its answer. Equal to that of another request that reads the same to
        the model: a text and the one user message it is sent as."""
        if isinstance(request, ScoreRequest):
            echo = self.echo_text(request)
            return ["score", echo.text, echo.border]
        if not isinstance(request, GenerateRequest):
            return ["cannot", repr(request)]
        if self._endpoint.api == "chat":
            prompt: object = [[turn.role, turn.content] for turn in self.messages(request.prompt)]
        else:
            prompt = self.text(request.prompt)
        about: list[object] = ["generate", prompt, request.max_new_tokens, sorted(set(request.stop)), request.sample]
        if request.temperature > 0:  # greedy answers depend on neither; on samples they do, servers being what they are
            about += [request.temperature, request.top_p, request.seed]
        return about


def sampling_seed(request: GenerateRequest) -> int:
    """31 bits of SHA-256 over seed and sample number: each draw of one prompt has its own."""
    digest = hashlib.sha256(json.dumps([request.seed, request.sample]).encode()).digest()
    return int.from_bytes(digest[:4], "big") & 0x7FFFFFFF


def unaskable(request: Request) -> Failed | None:
    """Why a request makes no sense to any server, if so."""
    if not isinstance(request, GenerateRequest):
        return None
    if request.max_new_tokens < 1:
        return Failed(f"max_new_tokens is {request.max_new_tokens}")
    if not 0 <= request.temperature <= 100 or not 0 < request.top_p <= 1:
        return Failed(f"temperature {request.temperature} or top_p {request.top_p} is out of range")
    return None
