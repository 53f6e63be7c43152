"""What one reply to one call means: an answer, another attempt, or the end of asking this model at all. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from finetune_gate.evaluators.asking import Answer, Failed
from finetune_gate.evaluators.errors import ModelError, Problem, without_credentials

from ..models.manifest import shown
from ..pins import Endpoint
from .access import NO_KEY, Access
from .replies import NO_FIRST_TOKENS, Json, MalformedReply, NoReply, Reply, error_message, parsed
from .wording import Wording

TOO_MUCH = (429, 503)
_PASSING = (408, 409, 425)
_REDIRECTS = (301, 302, 303, 307, 308)
_NOT_HERE = (404, 405, 410)
_NO_CREDIT = ("insufficient_quota", "billing_hard_limit_reached")


@dataclass(frozen=True, slots=True)
class Call:
    """One request as the API sees it. ``body`` is made anew for each attempt, since refusals change the wording;
    ``read`` turns the reply into the answer, or raises MalformedReply."""

    path: str
    body: Callable[[], dict[str, object]]
    read: Callable[[Json], Answer]


@dataclass(frozen=True, slots=True)
class Again:
    """Worth another attempt. ``after``: seconds the server asked for. ``counts``: towards the attempts allowed, which
    being sent away (429) does not. ``unreachable``: nobody was there. ``status``: of HTTP, where there was a reply."""

    reason: str
    after: float | None = None
    counts: bool = True
    malformed: bool = False
    unreachable: bool = False
    status: int = 0


@dataclass(frozen=True, slots=True)
class Reworded:
    """Worth another attempt at once: the server refused a parameter that can be left out or has another name."""


Verdict = Answer | Again | Reworded


@dataclass(frozen=True, slots=True)
class Judging:
    """``Judging(endpoint, access, wording).verdict(call, body, reply, answered)``.

    ``answered``: whether the model has answered before. Then a 403 is about one request (some services moderate so),
    else about the key. Raises ModelError where no further call can succeed.
    """

    endpoint: Endpoint
    access: Access
    wording: Wording

    @property
    def where(self) -> str:
        return f"endpoint {shown(without_credentials(self.endpoint.base_url))}, model {shown(self.endpoint.model)}"

    def verdict(self, call: Call, body: Mapping[str, object], reply: Reply | NoReply, answered: bool) -> Verdict:
        if isinstance(reply, NoReply):
            if reply.kind in ("unreadable", "unsendable"):
                return Failed(reply.reason)
            return Again(reply.reason, unreachable=reply.kind == "unreachable")
        if 200 <= reply.status < 300:
            try:
                return call.read(parsed(reply.body))
            except MalformedReply as error:
                return Again(str(error), malformed=True)
        message, named, code = error_message(reply.body)
        told = f"HTTP {reply.status}: {self.access.quoted(message)}".rstrip(": ")
        if reply.status == 429 and code in _NO_CREDIT:
            raise self._end(f"has no credit left ({told})", way_out="raise the limit of the account that the key is of")
        if reply.status in TOO_MUCH:
            return Again(told, after=reply.retry_after, counts=reply.status != 429, status=reply.status)
        if reply.status in _PASSING or reply.status >= 500:
            return Again(told, after=reply.retry_after, status=reply.status)
        if reply.status in (400, 422) and self.wording.learn(body, message, named):
            return Reworded()
        if "top_logprobs" in body and "logprob" in f"{named} {message}":
            return Failed(f"{NO_FIRST_TOKENS} ({told})")  # OpenAI does it with a 403, which is not about the key
        if reply.status == 401 or (reply.status == 403 and not answered):
            raise self._wrong_key(told)
        if reply.status in _REDIRECTS:
            raise self._end(f"is somewhere else ({told})", "an address that answers itself", "correct base_url")
        if reply.status in _NOT_HERE:
            raise self._end(
                f"is not there ({told})",
                f"{call.path} below base_url, and a model of this name",
                "check the name of the model, that base_url ends with the API's version (such as /v1), and api",
            )
        return Failed(told)

    def unreachable(self, reason: str) -> ModelError:
        return self._end(
            f"cannot be reached ({reason})",
            "a running server with an OpenAI-compatible API",
            "start it, or correct base_url",
        )

    def _wrong_key(self, told: str) -> ModelError:
        variable = self.endpoint.key_variable
        if not variable:
            return self._end(f"wants a key ({told})", "a key", "name the variable that holds it: key")
        sent = self.access.key.get_secret_value() != NO_KEY
        found = f"refuses the key in {variable}" if sent else f"wants a key, and {variable} is not set"
        return self._end(
            f"{found} ({told})",
            f"a key for this model in the environment variable {variable}",
            f"export {variable}=..., or name another variable (key)",
        )

    def _end(self, found: str, expected: str = "", way_out: str = "") -> ModelError:
        return ModelError(Problem(self.where, found, expected, way_out))
