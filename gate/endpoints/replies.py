"""What came back, read as hostile input: an answer, the reason why it is none, or a reply that is no reply."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, fsum, log
from typing import Any, Literal, cast

from finetune_gate.evaluators.asking import Choice, Failed, Generation, TokenLogprobs

from .access import Access
from .alignment import spans
from .wording import EchoText

BYTES_PER_TOKEN = 4
"""OpenAI's rule of thumb for English (help.openai.com, "What are tokens and how to count them?"), in bytes of UTF-8
instead of characters, which is nearer for other languages."""

_ENDS = {
    "stop": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "stop_sequence": "stop",
    "end_turn": "stop",
    "length": "length",
    "max_tokens": "length",
}
_MOST_TOKENS = 1 << 31
_LEAST, _ROUNDING = -1e9, 0.01
"""Log-probabilities are at most 0, but for rounding; NaN is in no range."""

_LEAST_MASS = 1e-6
"""What servers' numbers can leave between a sum of probabilities and 1: less is rounding."""

NO_FIRST_TOKENS = (
    "the endpoint gives no log-probabilities of an answer's first token; a judge there can be asked with verdict:"
    " structured"
)

Json = dict[str, object]


@dataclass(frozen=True, slots=True)
class Reply:
    """Something came back. ``retry_after`` in seconds, where the server asked for a delay."""

    status: int
    body: bytes
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class NoReply:
    """Nothing usable came back. ``unreachable``: nobody took the connection; ``connection``: it was lost;
    ``unreadable``: too long, or compressed although that was not offered; ``unsendable``: the request is no JSON."""

    kind: Literal["unreachable", "connection", "timeout", "unreadable", "unsendable"]
    reason: str


class MalformedReply(Exception):
    """Not what the API promises; another attempt may bring it."""


def estimated_tokens(text: str) -> int:
    return -(-len(text.encode("utf-8", "surrogatepass")) // BYTES_PER_TOKEN)


def parsed(body: bytes) -> Json:
    """The JSON object in ``body``. Raises MalformedReply."""
    try:
        document: object = json.loads(body)
    except (ValueError, RecursionError) as error:
        kind = "HTML" if body.lstrip()[:1] == b"<" else "not valid JSON" if body.strip() else "empty"
        raise MalformedReply(f"the response is {kind}") from error
    if not isinstance(document, dict):
        raise MalformedReply(f"the response is a JSON {type(document).__name__}, not an object")
    return cast("Json", document)


def error_message(body: bytes) -> tuple[str, str | None, str | None]:
    """``(message, param, code)`` of an error response, in the shapes that OpenAI, vLLM, FastAPI and others give it."""
    try:
        document = parsed(body)
    except MalformedReply:
        return re.sub(r"<[^>]{0,200}>", " ", body[:2000].decode("utf-8", "replace")).strip(), None, None
    error = document.get("error", document)
    fields = cast("Json", error) if isinstance(error, dict) else {"message": error}
    message = fields.get("message", fields.get("detail", document.get("detail")))
    text = message if isinstance(message, str) else json.dumps(message if message is not None else document)[:2000]
    param, code = fields.get("param"), fields.get("code")
    return text, param if isinstance(param, str) else None, code if isinstance(code, str) else None


def usage_of(reply: Json) -> tuple[int | None, int | None]:
    """``(prompt_tokens, completion_tokens)``; None where the server does not tell, or tells nonsense."""
    usage = reply.get("usage")
    fields = cast("Json", usage) if isinstance(usage, dict) else {}
    return _count(fields.get("prompt_tokens")), _count(fields.get("completion_tokens"))


def read_generation(reply: Json, chat: bool, stops: tuple[str, ...], access: Access) -> Generation | Failed:
    """The text, cut at the first of ``stops``. Raises MalformedReply.

    Failed where the server gives no text on purpose: content filter, refusal, tool calls, nothing.
    """
    choice = _choice(reply, access)
    said = _said(choice, chat, access)
    if isinstance(said, Failed):
        return said
    text, finish = said.get("content" if chat else "text"), choice.get("finish_reason")
    if text is None:
        return Failed("the response has no content")
    if not isinstance(text, str):
        raise MalformedReply(f"the content is a JSON {type(text).__name__}, not a text")
    end = _ENDS.get(finish) if isinstance(finish, str) else None
    if end is None:
        return Failed(f"the response ended for an unknown reason: {access.quoted(repr(finish), 60)}")
    written = usage_of(reply)[1]
    tokens = written if written is not None else estimated_tokens(text)
    text = _encodable(access.censored(text))
    cut = min((at for stop in stops if stop and (at := text.find(stop)) >= 0), default=None)
    if cut is not None:
        return Generation(text[:cut], "stop", tokens)
    return Generation(text, "stop" if end == "stop" else "length", tokens)


def read_first_token(reply: Json, options: Sequence[str], access: Access) -> Choice | Failed:
    """Log-probabilities of ``options`` from those of a chat answer's likeliest first tokens. Raises MalformedReply.

    A listed token is an option's where both are the same text, whitespace around them aside; several (``m`` and `` m``)
    add up. An option without one is no likelier than the least likely listed, nor than all that is not listed together:
    that is what it gets. Failed where no option is listed, since then nothing is known of their order.
    """
    choice = _choice(reply, access)
    said = _said(choice, True, access)
    if isinstance(said, Failed):
        return said
    listed = _likeliest(choice)
    if listed is None:
        return Failed(NO_FIRST_TOKENS)
    for value in listed.values():
        if isinstance(value, bool) or not isinstance(value, int | float) or not _LEAST <= value <= _ROUNDING:
            return Failed(f"the endpoint gave {access.quoted(repr(value), 40)} as a log-probability")
    known = {token: min(0.0, float(cast("float", value))) for token, value in listed.items()}
    left = 1 - fsum(map(exp, known.values()))
    if left < -_ROUNDING:
        return Failed("the probabilities that the endpoint gave of the likeliest first tokens add up to more than 1")
    found = [[value for token, value in known.items() if token.strip() == option.strip()] for option in options]
    if not any(found):
        likeliest = access.quoted(repr(max(known, key=known.__getitem__)), 40)
        return Failed(
            f"none of the options is among the {len(known)} likeliest first tokens, of which {likeliest} is the first"
        )
    unlisted = min(*known.values(), log(max(left, _LEAST_MASS)))
    return Choice(tuple(_added(values) if values else unlisted for values in found))


def read_echo(reply: Json, sent: EchoText, access: Access) -> TokenLogprobs | Failed:
    """Log-probabilities of the tokens of the continuation. A token that straddles the border is the continuation's: the
    prompt's would count it in no option. Raises MalformedReply."""
    choice = _choice(reply, access)
    logprobs = choice.get("logprobs")
    if not isinstance(logprobs, dict):
        return Failed("the endpoint gives no log-probabilities of the text that is sent to it")
    table = cast("Json", logprobs)
    tokens, values = table.get("tokens"), table.get("token_logprobs")
    if not isinstance(tokens, list) or not isinstance(values, list):
        return Failed("the log-probabilities of the endpoint come without tokens, or the tokens without them")
    names, numbers = cast("list[object]", tokens), cast("list[object]", values)
    if len(names) != len(numbers) or not all(isinstance(name, str) for name in names):
        return Failed("the tokens and token_logprobs of the endpoint do not belong together")
    echoed = len(names) - (usage_of(reply)[1] or 0)  # what was generated stands behind
    aligned = spans(cast("list[str]", names)[: max(0, echoed)], sent.text)
    if aligned is None:
        return Failed("the tokens of the endpoint do not spell the text that was sent")
    leading, places = aligned
    across = [(begin, end) for begin, end in places if begin < sent.border < end]
    if len(across) > 1:
        return Failed("the tokens of the endpoint split the characters at the border between prompt and continuation")
    found: list[float] = []
    for (_, end), value in zip(places, numbers[leading:], strict=False):
        if end <= sent.border:
            continue
        if value is None:
            return Failed(
                "the endpoint gives no log-probability of the first token, and puts none (BOS) in front of the text"
            )
        if isinstance(value, bool) or not isinstance(value, int | float) or not _LEAST <= value <= _ROUNDING:
            return Failed(f"the endpoint gave {access.quoted(repr(value), 40)} as a log-probability")
        found.append(float(value))
    return TokenLogprobs(tuple(found))


def _said(choice: Json, chat: bool, access: Access) -> Json | Failed:
    """Where the text stands: the message of a chat, else the choice itself. Failed where the server gives no text on
    purpose."""
    finish = choice.get("finish_reason")
    if finish == "content_filter":
        return Failed("the content filter of the endpoint withheld the answer")
    if not chat:
        return choice
    message = choice.get("message")
    if not isinstance(message, dict):
        raise MalformedReply("the response has no message")
    fields = cast("Json", message)
    if isinstance(refusal := fields.get("refusal"), str) and refusal:
        return Failed(f"the model refused: {access.quoted(refusal)}")
    if fields.get("tool_calls") or fields.get("function_call") or finish in ("tool_calls", "function_call"):
        return Failed("the model called a tool instead of answering")
    return fields


def _likeliest(choice: Json) -> dict[str, object] | None:
    """What the first token of an answer could have been, with log-probabilities as they came; None where the server
    does not tell. A token that is listed twice (some servers repeat the one that was drawn) counts once."""
    match cast("Mapping[str, Any]", choice):
        case {"logprobs": {"content": [{"top_logprobs": [_, *_] as table}, *_]}}:
            pass
        case _:
            return None
    listed: dict[str, object] = {}
    for entry in cast("list[Any]", table):
        match entry:
            case {"token": str(token), "logprob": value}:
                listed.setdefault(token, value)
            case _:
                raise MalformedReply("a token without its log-probability, or the other way round")
    return listed


def _added(logprobs: Sequence[float]) -> float:
    """The log-probability of any of several tokens."""
    return min(0.0, max(logprobs) + log(fsum(exp(value - max(logprobs)) for value in logprobs)))


def _choice(reply: Json, access: Access) -> Json:
    choices = reply.get("choices")
    if not isinstance(choices, list) or not choices:
        if error := reply.get("error"):
            raise MalformedReply(f"an error instead of an answer: {access.quoted(json.dumps(error)[:2000])}")
        raise MalformedReply("the response has no choices")
    first = cast("list[object]", choices)[0]
    if not isinstance(first, dict):
        raise MalformedReply("the first choice is not an object")
    return cast("Json", first)


def _count(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value < _MOST_TOKENS else None


def _encodable(text: str) -> str:
    """Without lone surrogates, which JSON can hold and no file can."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
