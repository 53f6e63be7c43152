"""A judge behind a server that this project did not write: ``transformers serve`` on a clockwork model. The whole gate,
through the real command; killed with SIGKILL, it pays for no finished judgement twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator

import pytest
from clockwork import write_clockwork
from served import Served, serving
from workshop import Workshop

pytestmark = pytest.mark.slow

SAYS = '{"rationale": "It reads well.", "verdict": "first"}'


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Generator[Served]:
    folder = write_clockwork(tmp_path_factory.mktemp("clockwork"), SAYS)
    with serving(folder, tmp_path_factory.mktemp("log") / "serve.txt") as server:
        yield server


def test_a_killed_run_pays_for_no_finished_judgement_again(workshop: Workshop, served: Served) -> None:
    gate = workshop.folder / "gate.yaml"
    gate.write_text(
        f"""
model: tiny-router
data: {{holdout: {{path: holdout.jsonl, sample: 30}}}}
evaluators:
  - ab_judge:
      data: holdout
      prompt: "{{text}}"
      judge: "served:/{served.model}"
      max_new_tokens: 12
      judge_tokens: 64
rules:
  - {{metric: ab_judge.win_rate, min: 0.4}}
endpoints: {{served: {{base_url: "{served.base_url}", max_in_flight: 2}}}}
"""
    )
    command = [sys.executable, "-m", "finetune_gate.flows.cli", "run", str(gate), "--candidate", "2", "--json"]
    settings = {
        **os.environ,
        "MLFLOW_TRACKING_URI": workshop.uri,
        "FINETUNE_GATE_HOME": str(workshop.folder / "home"),
    }
    process = subprocess.Popen(
        command, cwd=workshop.folder, env=settings, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        deadline = time.monotonic() + 120
        while served.completions < 12:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.communicate()
    time.sleep(1.0)  # what was in flight is still answered, and counted
    before = served.completions

    run = subprocess.run(
        command, cwd=workshop.folder, env=settings, capture_output=True, text=True, timeout=240, check=False
    )
    assert run.returncode == 3, run.stdout + run.stderr
    record = json.loads((workshop.folder / json.loads(run.stdout)["record"]).read_text())
    (judge,) = (name for name in record["run"]["asked"] if name.startswith("served:/"))
    asked, stored = record["run"]["asked"][judge], record["run"]["stored"][judge]
    assert stored > 0, "what the killed run had finished was found"
    assert served.completions - before == asked == record["run"]["usage"][judge]["calls"]
    assert served.completions - (asked + stored) <= 2, "paid twice at most for what was in flight when it was killed"

    by_metric = {one["metric"]: one for one in record["measurements"]}
    assert by_metric["ab_judge.win_rate"]["comparisons"]["base"]["difference"]["value"] == 0.5
    assert by_metric["ab_judge.flip_rate"]["comparisons"]["base"]["difference"]["value"] == 1.0
    assert record["rules"][0]["outcome"] == "unmeasured", "a judge that says the same of everything fails its controls"

    again = subprocess.run(
        command, cwd=workshop.folder, env=settings, capture_output=True, text=True, timeout=240, check=False
    )
    assert again.returncode == 3, again.stderr
    assert served.completions - before == asked, "a third run asks nothing"
    assert json.loads(again.stdout)["record_digest"] == json.loads(run.stdout)["record_digest"]
