"""What starts gates by itself: the receiver of MLflow's webhooks, and GitHub. Nothing is sent but one question."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from finetune_gate.evaluators.errors import ConfigurationError
from finetune_gate.gate.doctor import (
    Finding,
    NoReply,
    Reply,
    ask,
    faults_of,
    ok,
    skipped,
    warning,
)

from .receiver.keys import SECRET, SECRET_FILE, webhook_secrets
from .relays.github import TOKEN, from_environment

REPOSITORY: Final = "GITHUB_REPOSITORY"


def receiver_secret(*, registered: bool, environ: Mapping[str, str] = os.environ) -> Iterator[Finding]:
    """Whether `finetune-gate serve`, started with this environment, could check who sent a webhook. ``registered``:
    MLflow has a webhook for it."""
    name = "receiver secret"
    if not environ.get(SECRET, "").strip() and not environ.get(SECRET_FILE):
        if registered:
            found = f"neither {SECRET} nor {SECRET_FILE} is set in this environment"
            yield skipped(name, found, "nothing, if the receiver runs elsewhere: it has to be set there")
        return
    try:
        secrets = webhook_secrets(environ)
    except ConfigurationError as error:
        # gates run without a receiver
        yield from (warning(name, one.found, one.way_out) for one in faults_of(name, error))
        return
    several = f"{len(secrets)} secrets, of which the first signs" if len(secrets) > 1 else "a secret"
    yield ok(name, f"{several}; whether MLflow signs with it is not told by anybody")


def github_findings(seconds: float, environ: Mapping[str, str] = os.environ) -> Iterator[Finding]:
    """Of a job of GitHub Actions, and of a relay that starts such jobs; nothing where there is neither."""
    in_job = environ.get("GITHUB_ACTIONS") == "true"
    if in_job:
        yield _summary(environ.get("GITHUB_STEP_SUMMARY", ""))
        way_out = (
            "see that the version is in its concurrency group: of more than two runs that wait in one group, GitHub "
            "cancels all but the newest"
        )
        yield skipped("github workflow", "what the workflow says cannot be seen from its job", way_out)
    if environ.get(TOKEN) or (environ.get(REPOSITORY) and not in_job):
        yield from _relay(environ, seconds)


def _summary(path: str) -> Finding:
    name = "github summary"
    if not path:
        return warning(name, "GITHUB_STEP_SUMMARY is not set", "pass it on to where the gate runs: a container, sudo")
    if not os.access(path, os.W_OK):
        way_out = "mount its folder into the container, and let this account write to it"
        return warning(name, f"GITHUB_STEP_SUMMARY: {Path(path).name} cannot be written to", way_out)
    return ok(name, "the job's summary can be written to")


def _relay(environ: Mapping[str, str], seconds: float) -> Iterator[Finding]:
    """A repository is started by a ``repository_dispatch``, which changes something: it is only looked at."""
    name = "github relay"
    if not environ.get(TOKEN):
        found = f"{REPOSITORY} is set, and {TOKEN} is not: no gate can be started there from here"
        yield skipped(name, found, f"set {TOKEN} to a token with `contents: write`, if `watch` or `serve` is to")
        return
    try:
        from_environment(environ)
    except ConfigurationError as error:
        # gates run without a relay
        yield from (warning(name, one.found, one.way_out) for one in faults_of(name, error))
        return
    api = environ.get("GITHUB_API_URL", "").strip().rstrip("/") or "https://api.github.com"
    repository, token = environ[REPOSITORY].strip(), environ[TOKEN].strip()
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/vnd.github+json"}
    reply = ask(f"{api}/repos/{repository}", seconds, headers={**headers, "User-Agent": "finetune-gate"})
    match reply:
        case NoReply(reason=reason):
            way_out = "open the way to it, or set GITHUB_API_URL to your own GitHub's"
            yield warning(name, f"{api}: {reason}", way_out)
        case Reply(status=200):
            found = f"the token sees {repository}; whether it may start a workflow is not tried"
            yield ok(name, f"{found}. Only workflows on its default branch can be started")
        case Reply(status=401):
            yield warning(name, f"{api} refuses the token", f"set {TOKEN} to one that has not expired")
        case Reply(status=status):
            found = f"the token does not see {repository} (status {status})"
            yield warning(name, found, f"give it `contents: write` there, or correct {REPOSITORY}")
