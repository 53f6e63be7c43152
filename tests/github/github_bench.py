"""``finetune-gate github`` as a step of a workflow runs it, on a registry whose model has a hostile name.

    bench = shared_bench()
    done = bench.gate(bench.gate_file(PASSES), FINETUNE_GATE_VERSION="1")
    done.status, done.outputs, done.commands, done.summary
    decided("block").ran                                   # each is gated once, for all tests

A step's files are new for every command, and all of them are read as the runner reads them.
"""

from __future__ import annotations

import atexit
import functools
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runner_files import Command, commands_of, comments_api, outputs_of
from warm_program import HOSTILE_MODEL, warm_program

sys.path.append(str(Path(__file__).parent.parent / "flows"))

from workshop import FAILS, LABELS, OPEN, PASSES, copy_registry

__all__ = ["HOSTILE_MODEL", "HOSTILE_VALUE", "PASSES", "RULES", "Bench", "Decided", "Ran", "decided", "shared_bench"]

HOSTILE_VALUE: Final = "a\n::set-output name=decision::promote\n##[set-env name=PATH]/evil\n\u202eEOF\n%0A::error::x"
"""A value of a column, which rules by slice say in every sentence about it."""

HOSTILE_RULE: Final = "{metric: classification.accuracy, slices: category, min_n: 10, min: 0.999}"
RULES: Final = {
    "promote": (PASSES,),
    "block": (PASSES, FAILS),
    "hold": (PASSES, OPEN),
    "hostile": (PASSES, HOSTILE_RULE),
}
"""By name of the gate; the hostile one blocks, and is a dry run."""

_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class Ran:
    """One step. ``folder``: where it ran."""

    status: int
    log: str
    errors: str
    outputs: dict[str, str]
    summary: str
    folder: Path

    @property
    def commands(self) -> list[Command]:
        return commands_of(self.log)

    def said(self, kind: str) -> list[Command]:
        return [one for one in self.commands if one.name == kind]

    def file(self, output: str) -> Path:
        return self.folder / self.outputs[output]


@dataclass(frozen=True, slots=True)
class Bench:
    """``folder`` holds registry, data and gate files, and is where commands run."""

    folder: Path

    @classmethod
    def furnished(cls, folder: Path) -> Bench:
        copy_registry(warm_program().folder, folder)
        return cls(folder)

    @property
    def uri(self) -> str:
        return f"sqlite:///{self.folder / 'mlflow.db'}"

    def gate_file(self, *rules: str, name: str = "gate.yaml", hostile: bool = False) -> Path:
        """With ``hostile``, half of the examples have `HOSTILE_VALUE` in their column ``category``."""
        data = "holdout.jsonl"
        if hostile:
            rows = [json.loads(line) for line in (self.folder / data).read_text().splitlines()]
            rows = [row | {"category": HOSTILE_VALUE if row["category"] == "a" else "b"} for row in rows]
            data = "hostile.jsonl"
            (self.folder / data).write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        lines = [
            f"model: {json.dumps(HOSTILE_MODEL)}",
            f"data: {{holdout: {data}}}",
            "evaluators:",
            f"  - classification: {{data: holdout, labels: [{', '.join(LABELS)}]}}",
            "  - perplexity: {data: holdout}",
            "rules:",
            *(f"  - {rule}" for rule in rules),
        ]
        path = self.folder / name
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    def gate(self, gate_file: Path, **environment: str) -> Ran:
        return self.command("gate", FINETUNE_GATE_GATE_FILE=str(gate_file), **environment)

    def command(self, name: str, *words: str, warm: bool = True, **environment: str) -> Ran:
        """``finetune-gate github NAME``, in run 11 of octo/bots and its first attempt, unless said otherwise. Not
        ``warm``: in a process that starts from nothing."""
        step = self.folder / f"step-{next(_numbers)}"
        step.mkdir()
        output, summary = step / "output", step / "summary"
        output.write_text("")
        summary.write_text("")
        known = {
            name: value for name, value in os.environ.items() if not name.startswith(("GITHUB_", "FINETUNE_GATE_"))
        }
        settings = known | {
            "MLFLOW_TRACKING_URI": self.uri,
            "FINETUNE_GATE_HOME": str(self.folder / "home"),
            "GITHUB_ACTIONS": "true",
            "GITHUB_OUTPUT": str(output),
            "GITHUB_STEP_SUMMARY": str(summary),
            "GITHUB_REPOSITORY": "octo/bots",
            "GITHUB_RUN_ID": "11",
            "GITHUB_RUN_ATTEMPT": "1",
            "GITHUB_JOB": "gate",
            "GITHUB_ACTOR": "octocat",
            **environment,
        }
        cold = [sys.executable, "-m", "finetune_gate.flows.cli"]
        program = [str(warm_program().path / "finetune-gate")] if warm else cold
        done = subprocess.run(
            [*program, "github", name, *words],
            cwd=self.folder,
            env=settings,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        found = outputs_of(output) if output.exists() else {}
        shown = summary.read_text(encoding="utf-8") if summary.exists() else ""
        return Ran(done.returncode, done.stdout, done.stderr, found, shown, self.folder)


@dataclass(frozen=True, slots=True)
class Decided:
    """A gate, and the comments that there were in the pull request then."""

    ran: Ran
    comments: list[str]


@functools.cache
def shared_bench() -> Bench:
    """One registry for all tests of a process, gone with it."""
    folder = Path(tempfile.mkdtemp(prefix="github-gate-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Bench.furnished(folder / "work")


@functools.cache
def decided(name: str) -> Decided:
    """Version 1, gated by one of `RULES` for pull request 7."""
    bench = shared_bench()
    gate_file = bench.gate_file(*RULES[name], name=f"{name}.yaml", hostile=name == "hostile")
    with comments_api() as api:
        ran = bench.gate(
            gate_file,
            FINETUNE_GATE_VERSION="1",
            FINETUNE_GATE_MODEL=HOSTILE_MODEL,
            FINETUNE_GATE_DRY_RUN="true" if name == "hostile" else "",
            GITHUB_TOKEN="ghs_secret",
            GITHUB_REF="refs/pull/7/merge",
            GITHUB_API_URL=api.url,
        )
        return Decided(ran, [one["body"] for one in api.comments])
