"""``--dry-run --exit-zero``: a gate that watches, and never stands in the way."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner
from workshop import FAILS, OPEN, PASSES, Workshop

from finetune_gate.evaluators.errors import FinetuneGateError
from finetune_gate.flows.cli.program import program


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str


Run = Callable[..., Done]


@pytest.fixture
def run(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The real command, in this process: another would take seconds to import what a run needs."""
    monkeypatch.chdir(workshop.folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", workshop.uri)
    monkeypatch.setenv("FINETUNE_GATE_HOME", str(workshop.folder / "home"))

    def run(*arguments: str | Path) -> Done:
        found = CliRunner().invoke(program, ["run", *map(str, arguments)], standalone_mode=False)
        if isinstance(found.exception, FinetuneGateError):
            return Done(found.exception.exit_status, found.stdout)
        if found.exception is not None:
            raise found.exception
        return Done(found.return_value, found.stdout)

    return run


@pytest.mark.parametrize(
    ("rule", "decision", "status"), [(PASSES, "promote", 0), (FAILS, "block", 1), (OPEN, "hold", 3)]
)
def test_the_decision_is_made_and_said_and_the_status_is_zero(
    workshop: Workshop, run: Run, rule: str, decision: str, status: int
) -> None:
    gate = workshop.gate(PASSES, rule)
    done = run(gate, "--version", "1", "--dry-run", "--exit-zero")
    assert done.returncode == 0
    assert decision.upper() in done.stdout.upper()
    last = done.stdout.splitlines()[-1]
    assert last == f"Exit     0 as --exit-zero asks; {decision} is {status} without it"
    told = run(gate, "--version", "1", "--dry-run", "--exit-zero", "--json")
    found = json.loads(told.stdout)
    assert (told.returncode, found["exit_status"], found["exit_zero"], found["decision"]) == (0, 0, True, decision)
    assert workshop.champion() is None
    assert set(workshop.tags("1")) == {"base_model"}


def test_a_dry_run_alone_says_by_its_status_what_it_decided(workshop: Workshop, run: Run) -> None:
    done = run(workshop.gate(PASSES, OPEN), "--version", "1", "--dry-run", "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["exit_status"], found["exit_zero"]) == (3, 3, False)


@pytest.mark.parametrize(
    ("arguments", "status"),
    [(("--version", "99"), 2), (("--version", "1", "--base", "models:/tiny-router/1"), 4)],
    ids=["usage", "no_evaluation"],
)
def test_an_error_stays_an_error(workshop: Workshop, run: Run, arguments: tuple[str, ...], status: int) -> None:
    done = run(workshop.gate(PASSES), *arguments, "--dry-run", "--exit-zero")
    assert done.returncode == status, done.stdout
    assert "--exit-zero" not in done.stdout


def test_without_a_dry_run_it_still_promotes(workshop: Workshop, run: Run) -> None:
    done = run(workshop.gate(PASSES), "--version", "1", "--exit-zero", "--json")
    assert done.returncode == 0
    assert workshop.champion() == "1"
