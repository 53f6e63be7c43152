"""What the action and the runner say, by environment variables: the one place where they are read.

    inputs = read_inputs(os.environ)         # for `finetune-gate github gate`
    asked = read_verdict_inputs(os.environ)  # for `finetune-gate github verdict`

Inputs come by the environment and never as words of a shell script. Empty means not set. All faults are reported at
once, as ConfigurationError. Tokens are SecretStr: printing an object of these classes shows none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, cast

from pydantic import SecretStr

from finetune_gate.evaluators.errors import ConfigurationError, Problem
from finetune_gate.gate.deciding import Verdict
from finetune_gate.gate.doctor import is_http, is_loopback
from finetune_gate.gate.registry.mlflow_client import plain

PREFIX: Final = "FINETUNE_GATE_"
_REPOSITORY: Final = re.compile(r"[A-Za-z0-9_.-]{1,100}/[A-Za-z0-9_.-]{1,100}")
_LOGIN: Final = re.compile(r"[A-Za-z0-9_-]{1,100}(\[bot\])?")
_LONGEST_EVENT: Final = 8 << 20
_MOST_MINUTES: Final = 7 * 24 * 60


@dataclass(frozen=True, slots=True)
class Runner:
    """What GitHub's runner says of the job. Files are None, and texts empty, where it does not run there.

    ``pull_request``: the number of the one that the event is about. ``page``: address of the run, for people.
    """

    output: Path | None
    summary: Path | None
    api: str
    repository: str
    run_id: str
    attempt: str
    job: str
    page: str
    pull_request: int | None
    token: SecretStr


@dataclass(frozen=True, slots=True)
class Inputs:
    """What is to be gated and what is to be told. ``model``: the gate file must be about it; "" for whatever it is."""

    gate_file: Path
    model: str
    version: str
    base: str
    dry_run: bool
    once: bool
    out: Path
    deployment: str
    within_s: float
    start_within_s: float
    comment: bool
    comment_author: str
    tell_summary: bool
    tell_annotations: bool
    runner: Runner


@dataclass(frozen=True, slots=True)
class VerdictInputs:
    """What the evaluating job said, and what the required check wants. ``folder``: where its artifact lies."""

    result: str
    decision: str
    version: str
    model: str
    record_digest: str
    folder: Path | None
    allow: frozenset[Verdict]
    dry_run: bool
    verify: Literal["full", "record"]
    runner: Runner


class _Reader:
    """Reads variables, and collects what is wrong with them."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.problems: list[Problem] = []

    def text(self, name: str, default: str = "") -> str:
        return self._environ.get(name, "").strip() or default

    def own(self, name: str, default: str = "") -> str:
        return self.text(PREFIX + name, default)

    def path(self, name: str) -> Path | None:
        found = self.text(name)
        return Path(found) if found else None

    def switch(self, name: str, default: bool) -> bool:
        found = self.own(name).lower()
        if found not in ("", "true", "false"):
            self.fault(name, found, "true or false")
        return found == "true" if found else default

    def minutes(self, name: str, default: int) -> float:
        """In seconds."""
        found = self.own(name)
        if found and not (re.fullmatch(r"[0-9]{1,5}", found) and 1 <= int(found) <= _MOST_MINUTES):
            self.fault(name, found, f"whole minutes, from 1 to {_MOST_MINUTES}")
            return 60.0 * default
        return 60.0 * int(found or default)

    def matching(self, name: str, pattern: re.Pattern[str], expected: str) -> str:
        found = self.own(name)
        if found and not pattern.fullmatch(found):
            self.fault(name, found, expected)
            return ""
        return found

    def fault(self, name: str, found: str, expected: str) -> None:
        said = f"{plain(found, 80)!r}" if found else "not set"
        self.problems.append(Problem(PREFIX + name, said, expected, "correct the action's input"))

    def settle(self) -> None:
        if self.problems:
            raise ConfigurationError(*self.problems)


def read_inputs(environ: Mapping[str, str]) -> Inputs:
    """Raises ConfigurationError with everything that cannot be."""
    read = _Reader(environ)
    deployment = read.matching("DEPLOYMENT", re.compile(r"[^/\s]+/[^/\s]+"), "FLOW/DEPLOYMENT, as Prefect names it")
    inputs = Inputs(
        gate_file=Path(read.own("GATE_FILE", "gate.yaml")),
        model=read.own("MODEL"),
        version=read.own("VERSION", "latest"),
        base=read.own("BASE"),
        dry_run=read.switch("DRY_RUN", False),
        once=read.switch("ONCE", False),
        out=Path(read.own("OUT", ".finetune-gate")),
        deployment=deployment,
        within_s=read.minutes("TIMEOUT_MINUTES", 360),
        start_within_s=read.minutes("START_MINUTES", 30),
        comment=read.switch("COMMENT", True),
        comment_author=read.matching("COMMENT_AUTHOR", _LOGIN, "a login"),
        tell_summary=read.switch("SUMMARY", True),
        tell_annotations=read.switch("ANNOTATIONS", True),
        runner=_runner(read),
    )
    if deployment and not inputs.model:
        read.fault("MODEL", "", "the registered model: with a deployment, the gate file is read elsewhere")
    read.settle()
    return inputs


def read_verdict_inputs(environ: Mapping[str, str]) -> VerdictInputs:
    """Raises ConfigurationError for settings that cannot be. What the other job said is taken as it is: whatever is not
    a success is judged, and not refused."""
    read = _Reader(environ)
    wanted = {one.strip() for one in read.own("ALLOW", "promote").split(",")}
    if not wanted <= {"promote", "block", "hold"}:
        read.fault("ALLOW", ",".join(sorted(wanted)), "promote, or more of promote, hold and block, with commas")
    verify = read.own("VERIFY", "full")
    if verify not in ("full", "record"):
        read.fault("VERIFY", verify, "full or record")
    folder = read.own("FOLDER")
    inputs = VerdictInputs(
        result=read.own("RESULT"),
        decision=read.own("DECISION"),
        version=read.own("VERSION"),
        model=read.own("MODEL"),
        record_digest=read.own("RECORD_DIGEST"),
        folder=Path(folder) if folder else None,
        allow=frozenset(cast("set[Verdict]", wanted)),
        dry_run=read.switch("DRY_RUN", False),
        verify="record" if verify == "record" else "full",
        runner=_runner(read),
    )
    read.settle()
    return inputs


def _runner(read: _Reader) -> Runner:
    repository = read.text("GITHUB_REPOSITORY")
    repository = repository if _REPOSITORY.fullmatch(repository) else ""
    run_id = read.text("GITHUB_RUN_ID")
    server = read.text("GITHUB_SERVER_URL", "https://github.com").rstrip("/")
    api = read.text("GITHUB_API_URL", "https://api.github.com").rstrip("/")
    token = read.text("GITHUB_TOKEN")
    if token and not (is_http(api) and (api.startswith("https://") or is_loopback(api))):
        found = "no address by https: the token would travel unencrypted"
        read.problems.append(Problem("GITHUB_API_URL", found, "https://...", "correct it, or give no GITHUB_TOKEN"))
    return Runner(
        output=read.path("GITHUB_OUTPUT"),
        summary=read.path("GITHUB_STEP_SUMMARY"),
        api=api,
        repository=repository,
        run_id=run_id,
        attempt=read.text("GITHUB_RUN_ATTEMPT"),
        job=read.text("GITHUB_JOB"),
        page=f"{server}/{repository}/actions/runs/{run_id}" if repository and run_id.isdecimal() else "",
        pull_request=_pull_request(read),
        token=SecretStr(token),
    )


def _pull_request(read: _Reader) -> int | None:
    """As it is given, or as the event says. Of an event that cannot be read, the name of the ref is left."""
    given = read.own("PULL_REQUEST")
    if given:
        if not re.fullmatch(r"[1-9][0-9]{0,9}", given):
            read.fault("PULL_REQUEST", given, "its number")
            return None
        return int(given)
    named = re.fullmatch(r"refs/pull/([1-9][0-9]{0,9})/(merge|head)", read.text("GITHUB_REF"))
    return _in_event(read.path("GITHUB_EVENT_PATH")) or (int(named[1]) if named else None)


def _in_event(path: Path | None) -> int | None:
    try:
        if path is None or path.stat().st_size > _LONGEST_EVENT:
            return None
        event: object = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    about = cast("dict[str, object]", event).get("pull_request") if isinstance(event, dict) else None
    number = cast("dict[str, object]", about).get("number") if isinstance(about, dict) else None
    return number if isinstance(number, int) and not isinstance(number, bool) and number > 0 else None
