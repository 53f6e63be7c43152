"""How requests are put to the API, and what a server that refuses a parameter is asked instead."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from finetune_gate.evaluators.asking import (
    ChooseRequest,
    Failed,
    GenerateRequest,
    Message,
    Prompt,
    Request,
    ScoreRequest,
)

from ..models.choosing import refusal, scores_of
from ..pins import Endpoint

MOST_STOPS = 4
"""Stop strings that OpenAI's API takes; all of them are applied here anyway."""

MOST_LISTED, FEWER_LISTED = 20, 5
"""Likeliest first tokens that OpenAI's API lists, and those that stricter servers do."""

_DEFAULTS: Mapping[str, object] = {"temperature": 1.0, "top_p": 1.0}
"""What the API's reference says holds where a parameter is absent."""

_REFUSED = re.compile(
    r"unsupported|not support|unrecognized|unrecognised|unknown|unexpected|not permitted|not allowed|\bextra", re.I
)
_TOO_MANY = re.compile(r"\b(max|most|greater|larger|less|exceed|between|range|up to)|[<≤]", re.I)
_STRUCTURE = re.compile(r"response.?format|json.?(schema|object)|structured.?output|guided|grammar", re.I)
_STRUCTURES = ("json_schema", "json_object", None)
"""What is asked for where a schema is given, one after the other as servers refuse them. Which words a refusal has
differs from server to server, so any that names the matter counts."""


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
    ``max_completion_tokens``, as newer models of OpenAI's demand. Where an answer that follows a schema is refused, any
    JSON object is asked for, then nothing: whoever reads the text checks it. Where 20 likeliest tokens are too many, 5
    are asked for.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._omitted: set[str] = set()
        self._renamed: dict[str, str] = {}
        self._structure = 0
        self._listed = MOST_LISTED

    @property
    def omitted(self) -> frozenset[str]:
        """Parameters that this server has refused and that are no longer sent."""
        unstructured = _STRUCTURES[self._structure] is None
        return frozenset([*self._omitted, "response_format"] if unstructured else self._omitted)

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
            if request.schema is not None and (kind := _STRUCTURES[self._structure]):
                body["response_format"] = _response_format(kind, request.schema)
        else:
            body["prompt"] = self.text(request.prompt)
        if stops := [stop for stop in request.stop if stop][:MOST_STOPS]:
            body["stop"] = stops
        if request.temperature > 0:
            body["seed"] = sampling_seed(request)
        for name in self._omitted:
            if self._may_omit(name, body.get(name)):
                body.pop(name, None)
        return self._as_renamed(body)

    def choosing(self, request: ChooseRequest) -> dict[str, object]:
        """For the chat API: one token is generated and thrown away, and the likeliest ones are listed."""
        body: dict[str, object] = {
            "model": self._endpoint.model,
            "stream": False,
            "max_tokens": 1,
            "temperature": 0.0,
            "logprobs": True,
            "top_logprobs": self._listed,
            "messages": [{"role": turn.role, "content": turn.content} for turn in self.messages(request.prompt)],
        }
        return self._as_renamed(body)

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
        about = f"{named} {message}"
        if "response_format" in body and _STRUCTURE.search(about):
            asked = cast("Mapping[str, str]", body["response_format"])["type"]
            self._structure = max(self._structure, _STRUCTURES.index(asked) + 1)
            return True
        if body.get("top_logprobs") == MOST_LISTED and "logprobs" in about and _TOO_MANY.search(message):
            self._listed = FEWER_LISTED
            return True
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

    def _as_renamed(self, body: Mapping[str, object]) -> dict[str, object]:
        return {self._renamed.get(name, name): value for name, value in body.items()}

    def _may_omit(self, name: str, value: object) -> bool:
        return name not in _DEFAULTS or value == _DEFAULTS[name]

    def identity(self, request: Request) -> list[object]:
        """Everything about ``request`` that changes its answer. Equal to that of another request that reads the same to
        the model: a text and the one user message it is sent as."""
        if isinstance(request, ScoreRequest):
            echo = self.echo_text(request)
            return ["score", echo.text, echo.border]
        chat = self._endpoint.api == "chat"
        if isinstance(request, ChooseRequest) and not chat:
            return ["choose", *(self.identity(score) for score in scores_of(request))]
        if not isinstance(request, GenerateRequest | ChooseRequest):
            return ["cannot", repr(request)]
        prompt: object = self.text(request.prompt)
        if chat:
            prompt = [[turn.role, turn.content] for turn in self.messages(request.prompt)]
        if isinstance(request, ChooseRequest):
            return ["choose", prompt, request.options]
        about: list[object] = ["generate", prompt, request.max_new_tokens, sorted(set(request.stop)), request.sample]
        if request.temperature > 0:  # greedy answers depend on neither; on samples they do, servers being what they are
            about += [request.temperature, request.top_p, request.seed]
        if chat and request.schema is not None:  # the completions API is not told
            about += ["schema", request.schema]
        return about


def sampling_seed(request: GenerateRequest) -> int:
    """31 bits of SHA-256 over seed and sample number: each draw of one prompt has its own."""
    digest = hashlib.sha256(json.dumps([request.seed, request.sample]).encode()).digest()
    return int.from_bytes(digest[:4], "big") & 0x7FFFFFFF


def unaskable(request: Request) -> Failed | None:
    """Why a request makes no sense to any server, if so."""
    if isinstance(request, ChooseRequest):
        return refusal(request)
    if not isinstance(request, GenerateRequest):
        return None
    if request.max_new_tokens < 1:
        return Failed(f"max_new_tokens is {request.max_new_tokens}")
    if not 0 <= request.temperature <= 100 or not 0 < request.top_p <= 1:
        return Failed(f"temperature {request.temperature} or top_p {request.top_p} is out of range")
    if request.schema is not None and not _is_object(request.schema):
        return Failed("the schema of the request is no JSON object")
    return None


def _response_format(kind: str, schema: str) -> dict[str, object]:
    if kind != "json_schema":
        return {"type": kind}
    return {"type": kind, "json_schema": {"name": "verdict", "strict": True, "schema": json.loads(schema)}}


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
