"""Gate runs that take turns: the real command, several at once, failing, interrupted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from workshop import MODEL, Workshop

from finetune_gate.evaluators.errors import RegistryError
from finetune_gate.gate.registry import Registry
from finetune_gate.gate.run import GateRequest, walk_in_turn
from finetune_gate.gate.turns import Log, Row, Turns

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
PASSES = "{metric: perplexity.bits_per_byte, max: 40}"


def log_of(workshop: Workshop) -> Log:
    return Turns(Registry.connect(workshop.uri), MODEL).read()


def only_row(workshop: Workshop) -> Row:
    (row,) = log_of(workshop).rows
    return row


def finished_runs(workshop: Workshop) -> int:
    client = workshop.client()
    experiment = client.get_experiment_by_name(f"finetune-gate/{MODEL}")
    return len(client.search_runs([experiment.experiment_id], "attributes.status = 'FINISHED'"))


def started(workshop: Workshop, *arguments: str) -> subprocess.Popen[str]:
    settings = {"MLFLOW_TRACKING_URI": workshop.uri, "FINETUNE_GATE_HOME": str(workshop.folder / "home")}
    return subprocess.Popen(
        [sys.executable, "-m", "finetune_gate.flows.cli", *arguments], cwd=workshop.folder, text=True,
        env={**os.environ, **settings}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip


def test_commands_at_once_are_one_gate(workshop: Workshop) -> None:
    """Two of them are in other folders, as jobs of a CI are."""
    gate = workshop.gate(PASSES, classify=False)
    folders = [workshop.folder, workshop.folder / "a", workshop.folder / "b"]
    runs: list[subprocess.Popen[str]] = []
    for folder in folders:
        folder.mkdir(exist_ok=True)
        out = str(folder / "out")
        runs.append(started(workshop, "run", str(gate), "--version", "2", "--once", "--json", "--out", out))
    said: list[Any] = []
    for run in runs:
        out, errors = run.communicate(timeout=300)
        assert run.returncode == 0, errors
        said.append(json.loads(out))
    assert [one["evaluated"] for one in said].count(True) == 1
    assert len({(one["decision"], one["record_digest"], one["mlflow"], one["decided_by"]) for one in said}) == 1
    assert all(Path(workshop.folder / one["report"]).is_file() for one in said)
    assert finished_runs(workshop) == 1
    assert workshop.champion() == "2"
    again = workshop.command("run", gate, "--version", "2", "--once")
    assert again.returncode == 0
    assert "not by this run" in again.stdout
    assert finished_runs(workshop) == 1
    assert workshop.command("run", gate, "--version", "2").returncode == 0  # a person who asks again, is answered anew
    assert finished_runs(workshop) == 2


def test_what_fails_is_noted_and_the_next_is_another_attempt(workshop: Workshop) -> None:
    gate = workshop.gate("{metric: perplexity.bits_per_byte, max: 40}", classify=False)
    weights = next(Path(workshop.client().get_model_version(MODEL, "2").source).rglob("*.safetensors"))
    kept = weights.read_bytes()
    weights.write_bytes(kept[:100])
    assert workshop.command("run", gate, "--version", "2").returncode == 4
    row = only_row(workshop)
    assert row.ending is not None
    assert row.ending.outcome == "failed"
    assert str(weights.name) in row.ending.sentence
    weights.write_bytes(kept)
    assert workshop.command("run", gate, "--version", "2").returncode == 0
    assert [one.turn.attempt for one in log_of(workshop).rows] == [1, 2]


def test_a_dry_run_takes_no_turn(workshop: Workshop) -> None:
    gate = workshop.gate(PASSES, classify=False)
    assert workshop.command("run", gate, "--version", "2", "--dry-run").returncode == 0
    assert log_of(workshop).rows == ()


def test_what_is_wrong_with_the_gate_is_not_tried_again(workshop: Workshop) -> None:
    gate = workshop.gate(PASSES, classify=False, extra="base: models:/nobody/1")
    assert workshop.command("run", gate, "--version", "2").returncode == 2
    row = only_row(workshop)
    assert row.ending is not None
    assert row.ending.outcome == "misconfigured"


def test_interrupted_by_a_person(workshop: Workshop) -> None:
    gate = workshop.gate(PASSES, classify=False)
    run = started(workshop, "run", str(gate), "--version", "2")
    until = time.monotonic() + 120
    while not log_of(workshop).rows:
        assert time.monotonic() < until
        time.sleep(0.05)
    os.kill(run.pid, signal.SIGINT)
    _, errors = run.communicate(timeout=60)
    # Python dies of SIGINT itself where the interrupt passed through exec() of a text: 130 in every shell, too
    assert run.returncode in (130, -signal.SIGINT), errors
    row = only_row(workshop)
    assert row.ending is not None
    assert row.ending.outcome == "cancelled"


def test_a_record_that_somebody_changed_is_refused(workshop: Workshop, tmp_path: Path) -> None:
    gate = workshop.gate(PASSES, classify=False)
    request = GateRequest(gate, "2", tracking_uri=workshop.uri, out=tmp_path / "out", home=workshop.folder / "home")
    first = walk_in_turn(request, wish="once")
    assert first.elsewhere == ""
    (kept,) = (workshop.folder / "artifacts").rglob("decision-record.json")
    text = kept.read_text()
    assert '"promote"' in text
    kept.write_text(
        text.replace('"decision":"promote"', '"decision":"hold"').replace('"decision": "promote"', '"decision": "hold"')
    )
    with pytest.raises(RegistryError, match="somebody changed the record"):
        walk_in_turn(request, wish="once")
