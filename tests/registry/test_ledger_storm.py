"""Gates of one model at once over a real MLflow server, some killed: a small part of what `make ledger-tests` does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.xdist_group("mlflow_server")]
HERE = Path(__file__).parent


def test_many_gates_and_some_killed(server: str) -> None:
    done = subprocess.run(
        [sys.executable, str(HERE / "ledger_storm.py"), "--server", server, "--gates", "6", "--kills", "3"]
        + ["--rounds", "2", "--seed", "7"],
        env={**os.environ, "PYTHONPATH": str(HERE)}, capture_output=True, text=True, timeout=550, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    *rounds, total = [json.loads(line) for line in done.stdout.splitlines()]
    assert total["rounds_with_violations"] == 0
    assert total["killed"] > 0
    assert len(rounds) == 2
