"""A runner for the shipped actions and workflows: their own steps, in real shells, without GitHub.

    runner = Runner(tmp_path, stand_ins={"actions/setup-python": lambda given, used: {}}, environment={"PATH": ...})
    done = runner.action(Path(".github/actions/evaluation-gate"), {"model": "support-bot"})
    done.conclusion, done.outputs, done.steps["gate"].outputs, runner.used
    jobs = runner.workflow(Path("examples/github/gate-by-hand.yml"), event={"inputs": {...}})
    jobs["gate"].result, jobs["gate"].outputs

What GitHub does is done here: expressions, ``if:``, files for outputs, environment, path and summary, commands that a
script prints, ``continue-on-error``, composite actions, job outputs, needs and matrices. Actions that others wrote are
stand-ins, called with their ``with``. What a shipped file uses beyond that is an error, not a guess.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, cast

from ruamel.yaml import YAML
from runner_files import Command, commands_of, outputs_of
from workflow_expressions import Status, Value, as_text, filled, holds

Result = Literal["success", "failure", "cancelled", "skipped"]
Node = Mapping[str, Value]

_STEP_KEYS: Final = {
    "id",
    "name",
    "if",
    "uses",
    "with",
    "run",
    "shell",
    "env",
    "continue-on-error",
    "working-directory",
}
_SHELL: Final = ("bash", "--noprofile", "--norc", "-eo", "pipefail")


@dataclass(frozen=True, slots=True)
class Step:
    outcome: Result
    conclusion: Result
    outputs: Mapping[str, str] = field(default_factory=dict[str, str])
    log: str = ""
    summary: str = ""
    status: int | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """An action or job that has ended. ``steps`` by id, or by name where there is no id."""

    conclusion: Result
    outputs: Mapping[str, str]
    steps: Mapping[str, Step]

    @property
    def log(self) -> str:
        return "".join(step.log for step in self.steps.values())

    @property
    def commands(self) -> list[Command]:
        """What the scripts said to the runner."""
        return [command for step in self.steps.values() for command in commands_of(step.log)]

    @property
    def summary(self) -> str:
        return "".join(step.summary for step in self.steps.values())


@dataclass(frozen=True, slots=True)
class Used:
    action: str
    given: Mapping[str, str]
    environment: Mapping[str, str]


StandIn = Callable[[Used, "Runner"], Mapping[str, str]]


class StandInFailed(Exception):
    """Raised by a stand-in whose action would have failed."""


@dataclass(slots=True)
class _Scope:
    contexts: dict[str, Value]
    environment: dict[str, str]
    steps: dict[str, Step] = field(default_factory=dict[str, Step])
    failed: bool = False


class Runner:
    """``folder`` gets workspace and temporary files; ``own`` are actions by the name that workflows use for them, and
    ``own_inputs`` are given to each of these besides what the workflow says. ``cancelled``: somebody cancels the run
    before its first job; jobs that start all the same do all their steps."""

    def __init__(
        self,
        folder: Path,
        *,
        stand_ins: Mapping[str, StandIn],
        environment: Mapping[str, str],
        own: Mapping[str, Path] | None = None,
        own_inputs: Mapping[str, str] | None = None,
        event: Node | None = None,
        github: Node | None = None,
        cancelled: bool = False,
    ) -> None:
        self.workspace, self._temp = folder / "workspace", folder / "temp"
        for each in (self.workspace, self._temp):
            each.mkdir(parents=True, exist_ok=True)
        self.used: list[Used] = []
        self._stand_ins, self._cancelled = stand_ins, cancelled
        self._own, self._own_inputs = own or {}, own_inputs or {}
        self._files = 0
        event_file = folder / "event.json"
        event_file.write_text(json.dumps(event or {}), encoding="utf-8")
        self._github: dict[str, Value] = {
            "repository": "octo/bots",
            "token": "token-of-the-job",
            "run_id": "4711",
            "run_attempt": "1",
            "event_name": "workflow_dispatch",
            "actor": "ana",
            "workspace": str(self.workspace),
            "api_url": "https://api.github.com",
            "server_url": "https://github.com",
            "sha": "5" * 40,
            "ref": "refs/heads/main",
            "job": "gate",
            "event": event or {},
            **(github or {}),
        }
        self._environment = {
            "HOME": os.environ.get("HOME", "/tmp"),
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_EVENT_PATH": str(event_file),
            "GITHUB_WORKSPACE": str(self.workspace),
            "RUNNER_TEMP": str(self._temp),
            "RUNNER_OS": "Linux",
            **{
                f"GITHUB_{key.upper()}": as_text(found)
                for key, found in self._github.items()
                if isinstance(found, str) and key not in ("token", "workspace")
            },
            **environment,
        }

    def action(self, folder: Path, inputs: Mapping[str, str], environment: Mapping[str, str] | None = None) -> Done:
        """A composite action, as a step that uses it with ``inputs``."""
        action = _read(folder / "action.yml")
        declared = cast("Mapping[str, Node]", action["inputs"])
        if unknown := inputs.keys() - declared.keys():
            raise ValueError(f"no such inputs: {', '.join(sorted(unknown))}")
        github: Node = {**self._github, "action_path": str(folder.resolve())}
        outer: dict[str, Value] = {"github": github, "runner": self._runner}
        given: dict[str, Value] = {}
        for name, one in declared.items():
            if one.get("required") and not inputs.get(name):
                raise ValueError(f"input {name} is required")
            given[name] = inputs.get(name, as_text(filled(one.get("default"), outer, Status())))
        scope = _Scope(
            {"github": github, "runner": self._runner, "inputs": given},
            {**self._environment, **(environment or {}), "GITHUB_ACTION_PATH": str(folder.resolve())},
        )
        runs = cast("Node", action["runs"])
        self._walk(cast("list[Node]", runs["steps"]), scope, composite=True)
        outputs = {
            name: as_text(filled(one["value"], self._contexts(scope), Status()))
            for name, one in cast("Mapping[str, Node]", action.get("outputs") or {}).items()
        }
        return Done(self._conclusion(scope), outputs, scope.steps)

    def workflow(
        self,
        file: Path,
        *,
        inputs: Node | None = None,
        forced: Mapping[str, tuple[Result, Mapping[str, str]]] | None = None,
        secrets: Mapping[str, str] | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> dict[str, Done]:
        """All jobs, in order. ``forced``: jobs that are not run, but have ended so, as GitHub would have ended them.

        Of a job with a matrix all legs are run, and an output is that of the last leg that set it.
        """
        workflow = _read(file)
        done: dict[str, Done] = {}
        jobs = cast("Mapping[str, Node]", workflow["jobs"])
        base: dict[str, Value] = {
            "github": self._github,
            "runner": self._runner,
            "inputs": inputs or {},
            "secrets": dict(secrets or {}),
            "vars": dict(variables or {}),
        }
        environment = self._filled_texts(workflow.get("env"), base)
        as_text(filled(cast("Node", workflow.get("concurrency") or {}).get("group"), base, Status()))
        while waiting := [name for name in jobs if name not in done]:
            name = next(each for each in waiting if _needs(jobs[each]) <= done.keys())
            done[name] = self._job(name, jobs, base, environment, done, forced or {})
        return done

    def _job(
        self,
        name: str,
        jobs: Mapping[str, Node],
        base: Mapping[str, Value],
        environment: Mapping[str, str],
        done: Mapping[str, Done],
        forced: Mapping[str, tuple[Result, Mapping[str, str]]],
    ) -> Done:
        job = jobs[name]
        if name in forced:
            result, outputs = forced[name]
            return Done(result, outputs, {})
        before = {each: done[each].conclusion for each in _ancestors(name, jobs)}
        contexts: dict[str, Value] = {
            **base,
            "needs": {
                each: {"result": done[each].conclusion, "outputs": dict(done[each].outputs)} for each in _needs(job)
            },
            "env": dict(environment),
        }
        status = Status(
            "failure" in before.values(),
            self._cancelled or "cancelled" in before.values(),
            "skipped" in before.values(),
        )
        if not holds(job.get("if"), contexts, status):
            return Done("skipped", {}, {})
        strategy = cast("Node", job.get("strategy") or {})
        legs = _legs(filled(strategy["matrix"], contexts, status)) if "matrix" in strategy else [{}]
        if not legs:
            raise ValueError(f"job {name}: GitHub refuses an empty matrix")
        known = {**environment, "GITHUB_JOB": name}
        ended = [self._leg(job, {**contexts, "matrix": leg}, known) for leg in legs]
        outputs: dict[str, str] = {}
        for leg in ended:
            outputs.update({key: found for key, found in leg.outputs.items() if found})
        result: Result = "success"
        for bad in ("cancelled", "failure"):
            if any(leg.conclusion == bad for leg in ended):
                result = bad
        steps = {
            f"{key} {number}" if number else key: step
            for number, leg in enumerate(ended)
            for key, step in leg.steps.items()
        }
        return Done(result, outputs, steps)

    def _leg(self, job: Node, contexts: dict[str, Value], environment: Mapping[str, str]) -> Done:
        for key in ("name", "runs-on"):
            filled(job.get(key), contexts, Status())
        as_text(filled(cast("Node", job.get("concurrency") or {}).get("group"), contexts, Status()))
        scope = _Scope(
            dict(contexts), {**self._environment, **environment, **self._filled_texts(job.get("env"), contexts)}
        )
        self._walk(cast("list[Node]", job["steps"]), scope, composite=False)
        outputs = self._filled_texts(job.get("outputs"), self._contexts(scope))
        return Done(self._conclusion(scope), outputs, scope.steps)

    @property
    def _runner(self) -> Node:
        return {"temp": str(self._temp), "os": "Linux", "arch": "X64"}

    def _conclusion(self, scope: _Scope) -> Result:
        return "failure" if scope.failed else "success"

    def _filled_texts(self, node: Value, contexts: Mapping[str, Value]) -> dict[str, str]:
        filled_in = cast("Node", node or {})
        return {key: as_text(filled(found, contexts, Status())) for key, found in filled_in.items()}

    def _contexts(self, scope: _Scope) -> dict[str, Value]:
        steps: dict[str, Value] = {
            key: {"outputs": dict(step.outputs), "outcome": step.outcome, "conclusion": step.conclusion}
            for key, step in scope.steps.items()
        }
        return {
            **scope.contexts,
            "steps": steps,
            "env": dict(scope.environment),
            "job": {"status": self._conclusion(scope)},
        }

    def _walk(self, steps: list[Node], scope: _Scope, *, composite: bool) -> None:
        for number, step in enumerate(steps):
            if unknown := step.keys() - _STEP_KEYS:
                raise ValueError(f"not known here: {', '.join(unknown)}")
            key = as_text(step.get("id") or step.get("name") or str(number))
            contexts = self._contexts(scope)
            if not holds(step.get("if"), contexts, Status(scope.failed)):
                scope.steps[key] = Step("skipped", "skipped")
                continue
            if composite and "run" in step and step.get("shell") != "bash":
                raise ValueError(f"step {key}: a composite action must name its shell")
            environment = {**scope.environment, **self._filled_texts(step.get("env"), contexts)}
            ended = self._run(step, scope, environment) if "run" in step else self._use(step, contexts, environment)
            if ended.outcome == "failure":
                if filled(step.get("continue-on-error"), contexts, Status()) in (True, "true"):
                    ended = Step("failure", "success", ended.outputs, ended.log, ended.summary, ended.status)
                else:
                    scope.failed = True
            scope.steps[key] = ended

    def _run(self, step: Node, scope: _Scope, environment: Mapping[str, str]) -> Step:
        script = as_text(step["run"])
        if "${{" in script:
            raise ValueError(f"an expression inside a script: {script!r}")
        self._files += 1
        files = {name: self._temp / f"{name}-{self._files}" for name in ("OUTPUT", "ENV", "PATH", "STEP_SUMMARY")}
        for each in files.values():
            each.touch()
        path = self._temp / f"script-{self._files}.sh"
        path.write_text(script, encoding="utf-8")
        ended = subprocess.run(
            [*_SHELL, str(path)],
            cwd=self.workspace / as_text(step.get("working-directory") or "."),
            env={**environment, **{f"GITHUB_{name}": str(each) for name, each in files.items()}},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        scope.environment.update(outputs_of(files["ENV"]))
        for line in files["PATH"].read_text(encoding="utf-8").splitlines():
            scope.environment["PATH"] = f"{line}:{scope.environment['PATH']}"
        result: Result = "success" if ended.returncode == 0 else "failure"
        outputs = outputs_of(files["OUTPUT"])
        summary = files["STEP_SUMMARY"].read_text(encoding="utf-8")
        return Step(result, result, outputs, ended.stdout, summary, ended.returncode)

    def _use(self, step: Node, contexts: Mapping[str, Value], environment: Mapping[str, str]) -> Step:
        action = as_text(step["uses"]).partition("@")[0]
        given = self._filled_texts(step.get("with"), contexts)
        if action in self._own:
            done = self.action(self._own[action], {**given, **self._own_inputs}, environment)
            return Step(done.conclusion, done.conclusion, done.outputs, done.log, done.summary)
        if action not in self._stand_ins:
            raise ValueError(f"no stand-in for {action}")
        used = Used(action, given, dict(environment))
        self.used.append(used)
        try:
            outputs = self._stand_ins[action](used, self)
        except StandInFailed as failed:
            return Step("failure", "failure", {}, f"{failed}\n")
        return Step("success", "success", outputs)


def _read(file: Path) -> Node:
    return cast("Node", YAML(typ="safe", pure=True).load(file.read_text(encoding="utf-8")))


def _needs(job: Node) -> set[str]:
    needs = job.get("needs") or []
    return {needs} if isinstance(needs, str) else {as_text(each) for each in cast("list[Value]", needs)}


def _ancestors(name: str, jobs: Mapping[str, Node]) -> set[str]:
    """``success()`` asks for all jobs before, not for the needed ones alone."""
    found = _needs(jobs[name])
    return found.union(*(_ancestors(each, jobs) for each in found))


def _legs(matrix: Value) -> list[Node]:
    given = cast("Mapping[str, list[Value]]", matrix)
    if given.keys() == {"include"}:
        return cast("list[Node]", given["include"])
    if len(given) != 1:
        raise ValueError("only matrices of one dimension, or of `include`, are known here")
    ((key, values),) = given.items()
    return [{key: each} for each in values]
