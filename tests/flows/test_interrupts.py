"""A SIGINT that arrives under somebody's bare ``except`` stops the run all the same."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from workshop import PASSES, Workshop

SWALLOWING = """
import os, signal, sys
import finetune_gate.gate.run.steps as steps
from finetune_gate.flows.cli.program import main

deciding = steps.decide

def decide(*arguments):
    try:
        os.kill(os.getpid(), signal.SIGINT)
        [None for _ in range(10_000)]
    except:
        print("swallowed", file=sys.stderr)
    return deciding(*arguments)

steps.decide = decide
main()
"""


def test_a_swallowed_interrupt_promotes_nothing(workshop: Workshop, tmp_path: Path) -> None:
    gate = workshop.gate(PASSES, classify=False)
    program = tmp_path / "swallowing.py"
    program.write_text(SWALLOWING)
    settings = {"MLFLOW_TRACKING_URI": workshop.uri, "FINETUNE_GATE_HOME": str(workshop.folder / "home")}
    ran = subprocess.run(
        [sys.executable, str(program), "run", str(gate), "--version", "2"],
        cwd=workshop.folder, env={**os.environ, **settings}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert "swallowed" in ran.stderr
    assert ran.returncode in (130, -signal.SIGINT), ran.stderr
    assert workshop.champion() is None
