"""The command: which findings there are, exit statuses, and what never gets out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from doctor_servers import dead, silent

GATE = """\
model: support-bot
base: vllm:/small
endpoints: {vllm: {base_url: "http://127.0.0.1:9/v1", key: MY_KEY}}
data: {holdout: holdout.jsonl}
evaluators: [{perplexity: {data: holdout}}]
rules: [{metric: perplexity.bits_per_byte, max: 9.0}]
"""


def command(folder: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    own = {"FINETUNE_GATE_HOME": str(folder / "home"), "PREFECT_HOME": str(folder / "prefect")}
    return subprocess.run(
        [sys.executable, "-m", "finetune_gate.flows.cli", "doctor", *arguments],
        cwd=folder, env={**os.environ, **own, **environ}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    from mlflow import MlflowClient

    uri = f"sqlite:///{tmp_path_factory.mktemp('registry') / 'mlflow.db'}"
    MlflowClient(uri, uri).create_registered_model("other")
    return uri


def by_name(done: subprocess.CompletedProcess[str]) -> Mapping[str, Any]:
    found = json.loads(done.stdout)
    assert all(set(one) == {"name", "state", "found", "way_out"} for one in found)
    assert all(one["way_out"] for one in found if one["state"] in ("fault", "warning"))
    return {one["name"]: one for one in found}


def test_nothing_wrong_without_a_gate_file(tmp_path: Path, database: str) -> None:
    done = command(tmp_path, "--json", MLFLOW_TRACKING_URI=database)
    found = by_name(done)
    assert done.returncode == 0, done.stdout
    assert found["gate file"]["state"] == "skipped"
    assert found["mlflow registry"]["state"] == "ok"
    assert not [name for name in found if name.startswith(("endpoint", "mlflow model", "runner"))]
    assert list(tmp_path.iterdir()) == []


def test_everything_wrong_with_one(tmp_path: Path) -> None:
    (tmp_path / "gate.yaml").write_text(GATE)
    with dead() as url:
        address = url.replace("://", "://ana:hunter2@")
        environ = {"MLFLOW_TRACKING_URI": address, "PREFECT_API_URL": f"{address}/api", "MY_KEY": "hunter2"}
        done = command(tmp_path, "--json", **environ)
        shown = command(tmp_path, **environ, COLUMNS="200")
    found = by_name(done)
    assert (done.returncode, shown.returncode) == (2, 2)
    faults = {name for name, one in found.items() if one["state"] == "fault"}
    assert faults == {"data", "mlflow server", "prefect server", "endpoint vllm"}
    assert found["mlflow registry"]["state"] == "skipped"
    assert found["runner and store"]["state"] == "ok"
    assert "hunter2" not in done.stdout + done.stderr + shown.stdout + shown.stderr
    assert all(name in shown.stdout for name in found)
    assert "4 faults" in shown.stdout
    assert "\x1b" not in shown.stdout


def test_silent_servers_end_at_their_deadline(tmp_path: Path) -> None:
    with silent() as url:
        start = time.monotonic()
        done = command(tmp_path, "--json", "--seconds", "1", MLFLOW_TRACKING_URI=url, PREFECT_API_URL=f"{url}/api")
        took = time.monotonic() - start
    found = by_name(done)
    assert done.returncode == 2
    assert "no answer within 1 s" in found["mlflow server"]["found"]
    assert "no answer within 1 s" in found["prefect server"]["found"]
    assert took < 20  # most of it is starting Python


@pytest.mark.parametrize("arguments", [("none.yaml",), ("gate.yaml",)])
def test_a_gate_file_that_is_none_is_a_finding(arguments: tuple[str, ...], tmp_path: Path, database: str) -> None:
    (tmp_path / "gate.yaml").write_text("model: m\nmodle: m\n")
    done = command(tmp_path, *arguments, "--json", MLFLOW_TRACKING_URI=database)
    assert done.returncode == 2
    found = by_name(done)
    assert found["gate file"]["state"] == "fault"
    assert found["mlflow registry"]["state"] == "ok"


def test_a_terminal_that_knows_ascii_alone(tmp_path: Path) -> None:
    done = command(tmp_path, PYTHONIOENCODING="ascii", MLFLOW_TRACKING_URI="file:///ströme")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stdout.isascii()


def test_models_asks_torch(tmp_path: Path, database: str) -> None:
    assert "sees" in by_name(command(tmp_path, "--models", "--json", MLFLOW_TRACKING_URI=database))["device"]["found"]
