"""What the tests of the demo share: its folder and registry, and its models, to be asked directly."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from finetune_gate.evaluators.asking import Answer, Request
from finetune_gate.evaluators.datasets import Dataset
from finetune_gate.gate.models import Model
from finetune_gate.gate.run.shards import ask

OWN = """\
model: helpdesk-router
base: auto
data: {{mine: data/holdout.jsonl}}
evaluators:
  - classification:
      data: mine
      labels: [billing, delivery, returns, account, repair, network]
      prompt: "Ticket: {{text}}\\nQueue:"
      chat: never
rules:
  - {rule}
"""


@dataclass(frozen=True, slots=True)
class Demo:
    folder: Path
    output: str
    status: int

    def gate(self, rule: str, *arguments: str) -> tuple[int, Mapping[str, object]]:
        """Gate with a file of one's own that has this one rule."""
        (self.folder / "own.yaml").write_text(OWN.format(rule=rule))
        uri = f"sqlite:///{self.folder / 'mlflow.db'}"
        done = command(
            self.folder, "run", "own.yaml", "--json", *arguments,
            env={"MLFLOW_TRACKING_URI": uri, "FINETUNE_GATE_HOME": str(self.folder / "home")},
        )  # fmt: skip
        assert "Traceback" not in done.stderr
        return done.returncode, json.loads(done.stdout)


def command(folder: Path, *arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "finetune_gate.flows.cli", *arguments],
        cwd=folder, env={**os.environ, **(env or {})}, capture_output=True, text=True, timeout=550, check=False,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Trained:
    """The demo's models: ``base``, the ``good`` candidate and the ``overfit`` one; and its datasets."""

    data: Mapping[str, Dataset]
    models: Mapping[str, Model]

    def answers(self, name: str, requests: Sequence[Request]) -> dict[Request, Answer]:
        return ask(self.models[name], tuple(dict.fromkeys(requests)), lambda request, answer: None)
