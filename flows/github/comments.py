"""One comment for each model in a pull request, which every gate of the model writes anew.

    thread = Thread.of(inputs.runner, author="")
    thread.write(render_markdown(record), comment_marker(record.model))      # a Told, or a NotTold that says why not

The comment is found again by its last line, which nobody sees, and by who wrote it: a marker alone can be copied by
anybody. No redirect is followed, and one deadline covers all calls. Nothing raises: a gate is not less decided because
it could not be told. https://docs.github.com/en/rest/issues/comments
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from pydantic import SecretStr

from finetune_gate.gate.doctor import NoReply, Reply, ask
from finetune_gate.gate.registry.mlflow_client import plain

from .settings import Runner

LONGEST: Final = 65_536
"""Characters of a comment."""

SECONDS: Final = 60.0
_A_CALL_S: Final = 20.0
_A_PAGE: Final = 30
"""Comments at a time: of the usual size they stay below what is read of a reply."""

_MOST_PAGES: Final = 100
_WHO: Final = "it needs `pull-requests: write`, which a run for a fork does not get"


@dataclass(frozen=True, slots=True)
class Told:
    """``new``: written for the first time."""

    comment: int
    new: bool


@dataclass(frozen=True, slots=True)
class NotTold:
    """Why there is no comment, for people."""

    sentence: str


class _Unreachable(Exception):
    pass


@dataclass(frozen=True, slots=True)
class Thread:
    """The comments of one pull request. ``author``: whose comments are ours; "" to ask who the token belongs to, and
    where that is not told, as to a workflow's own token: any bot's. ``seconds``: the deadline of all calls."""

    api: str
    repository: str
    number: int
    token: SecretStr
    author: str = ""
    seconds: float = SECONDS
    clock: Callable[[], float] = time.monotonic

    @classmethod
    def of(cls, runner: Runner, author: str) -> Thread | NotTold:
        if runner.pull_request is None:
            return NotTold("this run is about no pull request")
        if not runner.token.get_secret_value():
            return NotTold("there is no GITHUB_TOKEN")
        if not runner.repository:
            return NotTold("GITHUB_REPOSITORY names no repository")
        return cls(runner.api, runner.repository, runner.pull_request, runner.token, author)

    def write(self, text: str, marker: str) -> Told | NotTold:
        """``text`` instead of what the comment with ``marker`` said; as a new comment where there is none."""
        body = text if text.rstrip().endswith(marker) else f"{text}\n{marker}\n"
        if len(body) > LONGEST:
            return NotTold(f"{len(body):,} characters are more than a comment may have")
        until = self.clock() + self.seconds
        try:
            author = self.author or self._login(until)
            number = self._found(marker, author, until)
            if number is None:
                path, method = f"/issues/{self.number}/comments", "POST"
            else:
                path, method = f"/issues/comments/{number}", "PATCH"
            reply = self._reply(path, until, {"body": body}, method)
        except _Unreachable as error:
            return NotTold(str(error))
        if reply.status not in (200, 201):
            return NotTold(_why_not(reply))
        written = _fields(reply.json()).get("id")
        return Told(written if isinstance(written, int) else number or 0, new=number is None)

    def _login(self, until: float) -> str:
        """Workflows' own tokens are told nothing here."""
        reply = self._ask(f"{self.api}/user", until)
        login = _fields(reply.json()).get("login") if reply.status == 200 else None
        return login if isinstance(login, str) else ""

    def _found(self, marker: str, author: str, until: float) -> int | None:
        """The oldest one. All pages are read before it is said that there is none."""
        for page in range(1, _MOST_PAGES + 1):
            reply = self._reply(f"/issues/{self.number}/comments?per_page={_A_PAGE}&page={page}", until)
            if reply.status != 200:
                raise _Unreachable(_why_not(reply))
            comments = reply.json()
            if not isinstance(comments, list):
                raise _Unreachable("GitHub's list of comments could not be read")
            listed = [_fields(one) for one in cast("list[object]", comments)]
            for one in listed:
                number = one.get("id")
                if isinstance(number, int) and _is_ours(one, marker, author):
                    return number
            if len(listed) < _A_PAGE:
                return None
        raise _Unreachable(f"there are more than {_MOST_PAGES * _A_PAGE:,} comments")

    def _reply(self, path: str, until: float, body: object = None, method: Literal["POST", "PATCH"] = "POST") -> Reply:
        return self._ask(f"{self.api}/repos/{self.repository}{path}", until, body, method)

    def _ask(self, url: str, until: float, body: object = None, method: Literal["POST", "PATCH"] = "POST") -> Reply:
        left = until - self.clock()
        if left <= 0:
            raise _Unreachable(f"GitHub took more than {self.seconds:g} s")
        headers = {
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {self.token.get_secret_value()}",
            "X-GitHub-Api-Version": "2022-11-28",
            "User-Agent": "finetune-gate",
        }
        reply = ask(url, min(left, _A_CALL_S), headers=headers, body=body, method=method)
        if isinstance(reply, NoReply):
            raise _Unreachable(f"GitHub: {reply.reason}")
        return reply


def _is_ours(comment: dict[str, Any], marker: str, author: str) -> bool:
    body, user = comment.get("body"), _fields(comment.get("user"))
    if not isinstance(body, str) or not body.rstrip().endswith(marker):
        return False
    return user.get("login") == author if author else user.get("type") == "Bot"


def _why_not(reply: Reply) -> str:
    said = plain(str(_fields(reply.json()).get("message") or ""), 120)
    hint = f"; {_WHO}" if reply.status in (401, 403, 404) else ""
    return f"GitHub answered {reply.status}{f' ({said})' if said else ''}{hint}"


def _fields(found: object) -> dict[str, Any]:
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}
