"""The flow on a real Prefect server, started the way the UI starts it: a served deployment and its parameters."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from workshop import FAILS, MODEL, PASSES, Workshop, copy_workshop

from finetune_gate.gate.record import DecisionRecord, read_record

pytestmark = [pytest.mark.xdist_group("prefect"), pytest.mark.slow, pytest.mark.timeout(600)]
STEPS = ["resolve", "plan", "answer", "score", "decide", "act", "publish"]


@dataclass(frozen=True, slots=True)
class Server:
    """A Prefect server, and a workshop on which the deployment ``evaluation_gate/gate`` works."""

    api: str
    workshop: Workshop

    def call(self, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.api}{path}", data, {"Content-Type": "application/json"})
        for _ in range(10):
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    return json.load(answer)
            except urllib.error.HTTPError as error:
                if error.code != 503:  # its database was busy: its own clients try again, too
                    raise
                time.sleep(1)
        raise AssertionError(f"{path}: busy for ten seconds")

    def run(self, **parameters: object) -> Any:
        """Create a flow run with these parameters and wait for its end."""
        deployment = self.call("/deployments/name/evaluation_gate/gate")
        wanted = {"parameters": parameters, "idempotency_key": str(uuid4())}
        run = self.call(f"/deployments/{deployment['id']}/create_flow_run", wanted)

        def ended() -> Any:
            found = self.call(f"/flow_runs/{run['id']}")
            return found if found["state_type"] in {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"} else None

        return waited(ended, "the flow run to end")

    def tasks(self, run: Any) -> list[str]:
        body = {"flow_runs": {"id": {"any_": [run["id"]]}}, "sort": "EXPECTED_START_TIME_ASC"}
        return [task["name"] for task in self.call("/task_runs/filter", body)]

    def artifacts(self, run: Any) -> dict[str, Any]:
        found = self.call("/artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [run["id"]]}}})
        return {artifact["key"]: artifact for artifact in found if artifact["key"]}


def waited(ready: Callable[[], Any], what: str, seconds: float = 180) -> Any:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if found := ready():
                return found
        except OSError:
            pass
        time.sleep(0.5)
    raise AssertionError(f"waited {seconds} s in vain for {what}")


@pytest.fixture(scope="module")
def server(original: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    home = tmp_path_factory.mktemp("prefect")
    workshop = copy_workshop(original, home / "workshop")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    api = f"http://127.0.0.1:{port}/api"
    env = {
        **os.environ,
        "PREFECT_HOME": str(home / "home"),
        "PREFECT_API_URL": api,
        "MLFLOW_TRACKING_URI": workshop.uri,
        "FINETUNE_GATE_HOME": str(workshop.folder / "home"),
    }
    started: list[subprocess.Popen[bytes]] = []

    def start(name: str, *command: str) -> None:
        log = (home / f"{name}.log").open("wb")
        started.append(
            subprocess.Popen(command, env=env, cwd=workshop.folder, stdout=log, stderr=log, start_new_session=True)
        )

    try:
        start("server", sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port))
        found = Server(api, workshop)
        waited(lambda: found.call("/health"), "the Prefect server")
        start("serve", sys.executable, "-m", "finetune_gate.flows.gate_flow")
        waited(lambda: found.call("/deployments/name/evaluation_gate/gate"), "the deployment")
        yield found
    finally:
        for process in reversed(started):
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)


def record_of(server: Server, version: str) -> DecisionRecord:
    """What the registry's tags lead to."""
    (path,) = (server.workshop.folder / ".finetune-gate").glob("*/decision-record.json")
    record = read_record(path)
    assert record.digest() == server.workshop.tags(version)["finetune_gate.record_digest"]
    return record


def test_the_same_gate_gives_the_same_decision_from_the_ui(server: Server, original: Workshop, tmp_path: Path) -> None:
    rules = (PASSES, "{metric: classification.f1_macro, min: 0.99, severity: warn}")
    run = server.run(gate_file=str(server.workshop.gate(*rules)), candidate="1")
    assert run["state_type"] == "COMPLETED"
    assert run["name"] == f"{MODEL} 1"
    assert server.tasks(run) == STEPS
    assert server.workshop.champion() == "1"

    there = record_of(server, "1")
    workshop = copy_workshop(original, tmp_path / "workshop")
    by_hand = json.loads(workshop.command("run", workshop.gate(*rules), "--version", "1", "--json").stdout)
    here = read_record(workshop.folder / by_hand["record"])
    assert (there.decision, there.sentence, there.rules) == (here.decision, here.sentence, here.rules)
    assert there.score_table == here.score_table
    assert there.digest() == here.digest()
    assert (there.run.trigger, here.run.trigger) == ("prefect", "command line")

    artifacts = server.artifacts(run)
    assert set(artifacts) == {f"evaluation-gate-{MODEL}", f"evaluation-gate-{MODEL}-rules"}
    assert "promote" in artifacts[f"evaluation-gate-{MODEL}"]["data"].lower()
    assert len(json.loads(artifacts[f"evaluation-gate-{MODEL}-rules"]["data"])) == 2


def test_a_block_is_a_completed_run_that_moved_nothing(server: Server) -> None:
    run = server.run(gate_file=str(server.workshop.gate(FAILS, name="fails.yaml")), candidate="2")
    assert run["state_type"] == "COMPLETED"
    assert server.workshop.tags("2")["finetune_gate.decision"] == "block"
    assert server.workshop.champion() in (None, "1")


def test_what_cannot_be_judged_is_a_failed_run_with_the_message(server: Server) -> None:
    run = server.run(gate_file=str(server.workshop.gate(PASSES, name="again.yaml")), candidate="99")
    assert run["state_type"] == "FAILED"
    assert "99" in run["state"]["message"]
