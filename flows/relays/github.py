"""Gates as runs of a GitHub workflow, started by a `repository_dispatch` event of type ``finetune-gate``.

    relay = from_environment()           # GITHUB_REPOSITORY, FINETUNE_GATE_GITHUB_TOKEN, GITHUB_API_URL

The workflow gets model, version, gate_file, gate_file_digest, reason and attempt as ``client_payload`` and runs
``finetune-gate run``. The payload is a hint: the run looks at the registry itself.
https://docs.github.com/en/rest/repos/repos#create-a-repository-dispatch-event
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal, cast

from finetune_gate.evaluators.errors import ConfigurationError, Problem
from finetune_gate.gate.doctor import NoReply, Reply, ask, is_http, is_loopback
from finetune_gate.gate.registry.mlflow_client import plain
from finetune_gate.gate.turns import Turns
from finetune_gate.gate.watching import Ask, Started

from .delivering import SECONDS, NotReached, Reached, delivered

TOKEN: Final = "FINETUNE_GATE_GITHUB_TOKEN"
EVENT: Final = "finetune-gate"
_RIGHTS: Final = "a fine-grained token for this repository alone, with permission Contents: read and write"


def from_environment(environ: Mapping[str, str] = os.environ) -> GitHub:
    """Raises ConfigurationError with everything that is missing or cannot be."""
    problems: list[Problem] = []
    repository = environ.get("GITHUB_REPOSITORY", "").strip()
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,100}/[A-Za-z0-9_.-]{1,100}", repository):
        found = f"{plain(repository, 80)!r}" if repository else "not set"
        problems.append(Problem("GITHUB_REPOSITORY", found, "OWNER/NAME", "set it to where the workflow lies"))
    token = environ.get(TOKEN, "").strip()
    if not re.fullmatch(r"[!-~]+", token):
        found = "holds what no token does" if token else "not set"
        problems.append(Problem(TOKEN, found, "a GitHub token", f"set it to {_RIGHTS}"))
    url = environ.get("GITHUB_API_URL", "").strip().rstrip("/") or "https://api.github.com"
    if not is_http(url) or not (url.startswith("https://") or is_loopback(url)):
        found = "no address by https: the token would travel unencrypted"
        problems.append(Problem("GITHUB_API_URL", found, "https://...", "correct it, or leave it out for github.com"))
    if problems:
        raise ConfigurationError(*problems)
    return GitHub(url, repository, token)


class GitHub:
    """``url`` is that of the API; ``seconds`` the deadline of one call. The token is never part of a message."""

    via = "github"

    def __init__(self, url: str, repository: str, token: str, *, seconds: float = SECONDS) -> None:
        self._url, self._repository, self._token, self._seconds = url, repository, token, seconds

    def start(self, ask: Ask, turns: Turns) -> Started:
        return delivered(ask, turns, self.via, lambda _number: self._deliver(ask))

    def word(self, ask: Ask) -> Literal["unknown"]:
        """GitHub does not say which run an event started."""
        return "unknown"

    def _deliver(self, one: Ask) -> Reached | NotReached:
        payload = {
            "model": one.subject.model,
            "version": one.subject.version,
            "gate_file": _relative(one.gate_path),
            "gate_file_digest": one.subject.gate_digest,
            "reason": one.why,
            "attempt": one.standing.attempts + 1,
        }
        reply = ask(
            f"{self._url}/repos/{self._repository}/dispatches",
            self._seconds,
            headers={
                "Accept": "application/vnd.github+json",
                "Authorization": f"Bearer {self._token}",
                "X-GitHub-Api-Version": "2022-11-28",
                "User-Agent": "finetune-gate",
            },
            body={"event_type": EVENT, "client_payload": payload},
        )
        if isinstance(reply, Reply) and reply.status == 204:
            return Reached(f"{EVENT} event sent to {self._repository}")
        return NotReached(f"GitHub, {self._repository}: {self._explained(reply)}".replace(self._token, "***"))

    def _explained(self, reply: Reply | NoReply) -> str:
        if isinstance(reply, NoReply):
            return f"{reply.reason}; check GITHUB_API_URL, and whether this machine may reach it"
        said = _message(reply)
        status = f"status {reply.status}{f' ({said})' if said else ''}"
        match reply.status:
            case 401:
                return f"{status}: the token is wrong or has expired; set {TOKEN} to {_RIGHTS}"
            case 403:
                return f"{status}: the token may not do this, or has called too often; it must be {_RIGHTS}"
            case 404:
                return f"{status}: no such repository for this token; check GITHUB_REPOSITORY, and use {_RIGHTS}"
            case 422:
                return f"{status}: GitHub refuses the event; is the gate file's path of sound length?"
            case 301 | 302 | 307 | 308:
                return f"{status}: the repository was renamed or moved; set GITHUB_REPOSITORY to its name of now"
            case _:
                return f"{status}; expected 204: it is tried again"


def _relative(path: Path) -> str:
    """As the workflow is to find it: from the folder where the watcher runs, which should be that of a checkout."""
    whole = path.resolve()
    here = Path.cwd().resolve()
    return (whole.relative_to(here) if whole.is_relative_to(here) else Path(whole.name)).as_posix()


def _message(reply: Reply) -> str:
    body = reply.json()
    said = cast("dict[str, object]", body).get("message") if isinstance(body, dict) else None
    return plain(said, 120) if isinstance(said, str) else ""
