"""Gates on a Prefect worker: started once, followed to their end, and decided by the record alone."""

from __future__ import annotations

import functools
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from github_bench import HOSTILE_MODEL, RULES, Ran, decided, shared_bench
from runner_files import outputs_of

from finetune_gate.evaluators.errors import ConfigurationError, EvaluationError
from finetune_gate.flows.artifacts import artifact_key
from finetune_gate.flows.github.deployment import Watch, gate_on_worker
from finetune_gate.flows.github.settings import Inputs, read_inputs
from finetune_gate.flows.relays.prefect import from_environment
from finetune_gate.gate.registry import Registry
from finetune_gate.gate.reports import render_markdown
from finetune_gate.gate.run import GateResult

sys.path.append(str(Path(__file__).parent.parent / "watching"))

from hub import Hub, opened

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("github")]

DEPLOYMENT, RUN = "6f0c1f64-2b5e-4b7e-9a53-0000000000d1", "6f0c1f64-2b5e-4b7e-9a53-0000000000f1"
OTHER = "6f0c1f64-2b5e-4b7e-9a53-0000000000f2"
CREATE = f"/api/deployments/{DEPLOYMENT}/create_flow_run"


@functools.cache
def gated_by_worker() -> Ran:
    """A gate whose actor is flow run `RUN`, as the flow itself says it; it holds."""
    bench = shared_bench()
    gate_file = bench.gate_file(*RULES["hold"], name="worker.yaml")
    gate_file.write_text(gate_file.read_text() + "execution: {seed: 1}\n")
    return bench.gate(gate_file, FINETUNE_GATE_VERSION="1", GITHUB_ACTOR=RUN)


@pytest.fixture
def hub() -> Iterator[Hub]:
    with opened() as one:
        one.says = {
            "/api/deployments/name/evaluation_gate/gate": (200, {"id": DEPLOYMENT}),
            CREATE: (201, {"id": RUN}),
            "/api/artifacts/filter": (200, []),
        }
        yield one


@pytest.fixture
def registry() -> Registry:
    return Registry.connect(shared_bench().uri)


class Worker:
    """Shows the states of a flow run, one at each look but the last, which stays. ``now`` is the time that passed."""

    def __init__(self, hub: Hub, *states: str, run: str = RUN) -> None:
        self._hub, self._states, self._run = hub, list(states), run
        self.now = 0.0
        self.step(0.0)

    def step(self, seconds: float) -> None:
        self.now += seconds
        name = self._states.pop(0) if len(self._states) > 1 else self._states[0]
        kind = {"Late": "SCHEDULED", "Suspended": "PAUSED"}.get(name, name.upper())
        state = {"type": kind, "name": name, "message": "::error::out of memory\n"}
        self._hub.says[f"/api/flow_runs/{self._run}"] = (200, {"id": self._run, "state": state})

    def watch(self) -> Watch:
        return Watch(clock=lambda: self.now, sleep=self.step, every_s=60.0)


def asked(tmp_path: Path, **environment: str) -> Inputs:
    inputs = read_inputs(
        {
            "FINETUNE_GATE_MODEL": HOSTILE_MODEL,
            "FINETUNE_GATE_VERSION": "1",
            "FINETUNE_GATE_GATE_FILE": "/gates/on/worker.yaml",
            "FINETUNE_GATE_DEPLOYMENT": "evaluation_gate/gate",
            "GITHUB_REPOSITORY": "octo/bots",
            "GITHUB_RUN_ID": "11",
            "GITHUB_RUN_ATTEMPT": "1",
            "GITHUB_JOB": "gate",
            **environment,
        }
    )
    return replace(inputs, out=tmp_path / "out")


def gated(inputs: Inputs, hub: Hub, registry: Registry, worker: Worker, said: list[str] | None = None) -> GateResult:
    prefect = from_environment("github", {"PREFECT_API_URL": f"{hub.url}/api"})
    say: Callable[[str], Any] = (said if said is not None else []).append
    return gate_on_worker(inputs, prefect, registry, say=say, watch=worker.watch())


def created(hub: Hub) -> list[dict[str, Any]]:
    return [one.body for one in hub.heard if one.path == CREATE]


def shows(hub: Hub, ran: Ran, change: Callable[[str], str] = str) -> None:
    """The flow run's own artifact, as the flow leaves it."""
    from finetune_gate.gate.record import read_record

    record = read_record(ran.file("record"))
    address = f"runs:/{record.run.run_id}/finetune_gate/decision-record.json"
    text = render_markdown(record, report_address=address)
    hub.says["/api/artifacts/filter"] = (200, [{"key": artifact_key(HOSTILE_MODEL), "data": change(text)}])


def test_the_record_of_the_very_flow_run_is_the_decision(tmp_path: Path, hub: Hub, registry: Registry) -> None:
    ran, said = gated_by_worker(), list[str]()
    worker = Worker(hub, "Scheduled", "Pending", "Running", "Completed")
    result = gated(asked(tmp_path), hub, registry, worker, said)
    assert (result.record.decision, result.elsewhere) == ("hold", "")
    assert (result.record.run.actor, result.record.digest()) == (RUN, ran.outputs["record-digest"])
    assert (result.folder / "report.html").read_bytes() == ran.file("report").read_bytes()
    assert (result.folder / "scores.parquet").is_file()
    assert [line.split(": ")[-1] for line in said[1:]] == [
        "Scheduled after 0 s",
        "Pending after 60 s",
        "Running after 120 s",
        "Completed after 180 s",
    ]


def test_what_the_flow_is_asked_for(tmp_path: Path, hub: Hub, registry: Registry) -> None:
    gated_by_worker()
    for changed in ({}, {}, {"GITHUB_RUN_ATTEMPT": "2"}, {"GITHUB_JOB": "b"}, {"FINETUNE_GATE_ONCE": "true"}):
        gated(asked(tmp_path, **changed), hub, registry, Worker(hub, "Completed"))
    first, *others = created(hub)
    assert first["parameters"] == {
        "gate_file": "/gates/on/worker.yaml",
        "model": HOSTILE_MODEL,
        "version": "1",
        "dry_run": False,
        "once": False,
        "trigger": "github octo/bots run 11 attempt 1",
    }
    keys = [one["idempotency_key"] for one in others]
    assert keys[0] == first["idempotency_key"]
    assert len({*keys}) == 4


def test_latest_is_settled_before_anything_is_started(tmp_path: Path, hub: Hub, registry: Registry) -> None:
    with pytest.raises(EvaluationError):
        gated(asked(tmp_path, FINETUNE_GATE_VERSION="latest"), hub, registry, Worker(hub, "Failed"))
    assert created(hub)[0]["parameters"]["version"] == "2"
    with pytest.raises(ConfigurationError, match="no version 99"):
        gated(asked(tmp_path, FINETUNE_GATE_VERSION="99"), hub, registry, Worker(hub, "Failed"))
    assert len(created(hub)) == 1


def test_a_run_that_waits_for_a_person_is_a_hold(tmp_path: Path, hub: Hub, registry: Registry) -> None:
    gated_by_worker()
    said: list[str] = []
    result = gated(asked(tmp_path), hub, registry, Worker(hub, "Running", "Suspended"), said)
    assert result.record.decision == "hold"
    assert "waits for a person" in said[-1]


def test_another_s_decision_counts_where_the_flow_names_it(tmp_path: Path, hub: Hub, registry: Registry) -> None:
    ran = decided("promote").ran
    hub.says[CREATE] = (201, {"id": OTHER})
    shows(hub, ran)
    result = gated(asked(tmp_path), hub, registry, Worker(hub, "Completed", run=OTHER))
    assert (result.record.decision, result.elsewhere) == ("promote", "octocat (github)")
    assert result.record.digest() == ran.outputs["record-digest"]
    (wanted,) = [one.body for one in hub.heard if one.path == "/api/artifacts/filter"]
    assert wanted["artifacts"]["flow_run_id"] == {"any_": [OTHER]}


@pytest.mark.parametrize(
    ("name", "change"),
    [
        (None, str),
        ("hostile", str),  # a dry run's
        ("promote", lambda text: re.sub(r"(?m)^Record `[0-9a-f]{12}`", "Record `000000000000`", text)),
        ("promote", lambda text: text.replace("\nRecord `", "\n> Record `")),
        ("promote", lambda text: text.replace("runs:/", "runs:/../")),
    ],
    ids=["nothing", "dry-run", "other-digest", "quoted", "other-address"],
)
def test_an_older_decision_does_not_count(
    tmp_path: Path, hub: Hub, registry: Registry, name: str | None, change: Callable[[str], str]
) -> None:
    decided("promote")
    hub.says[CREATE] = (201, {"id": OTHER})
    if name is not None:
        shows(hub, decided(name).ran, change)
    with pytest.raises(EvaluationError):
        gated(asked(tmp_path), hub, registry, Worker(hub, "Completed", run=OTHER))


def test_a_decision_of_another_version_does_not_count(tmp_path: Path, hub: Hub, registry: Registry) -> None:
    shows(hub, decided("promote").ran)
    with pytest.raises(EvaluationError, match="about version 1"):
        gated(asked(tmp_path, FINETUNE_GATE_VERSION="2"), hub, registry, Worker(hub, "Completed"))


@pytest.mark.parametrize("state", ["Failed", "Crashed", "Cancelled"])
def test_whatever_ends_otherwise_is_no_decision(tmp_path: Path, hub: Hub, registry: Registry, state: str) -> None:
    gated_by_worker()
    with pytest.raises(EvaluationError, match=f"ended {state}: ::error::out of memory") as raised:
        gated(asked(tmp_path), hub, registry, Worker(hub, "Running", state))
    assert raised.value.exit_status == 4


def test_a_run_that_no_worker_takes_is_cancelled(tmp_path: Path, hub: Hub, registry: Registry) -> None:
    worker = Worker(hub, "Scheduled", "Late")
    with pytest.raises(EvaluationError, match="no worker has taken it"):
        gated(asked(tmp_path, FINETUNE_GATE_START_MINUTES="5"), hub, registry, worker)
    assert worker.now == 360
    (cancelled,) = [one.body for one in hub.heard if one.path == f"/api/flow_runs/{RUN}/set_state"]
    assert cancelled["state"]["type"] == "CANCELLED"


def test_a_run_that_takes_too_long_goes_on_without_us(tmp_path: Path, hub: Hub, registry: Registry) -> None:
    worker = Worker(hub, "Running")
    with pytest.raises(EvaluationError, match="it is Running after 3660 s"):
        gated(asked(tmp_path, FINETUNE_GATE_TIMEOUT_MINUTES="60"), hub, registry, worker)
    assert not any("set_state" in one.path for one in hub.heard)


def test_a_server_that_is_away_for_a_while_is_asked_again(tmp_path: Path, hub: Hub, registry: Registry) -> None:
    gated_by_worker()
    worker = Worker(hub, "Running", "Completed")
    del hub.says[f"/api/flow_runs/{RUN}"]
    said: list[str] = []
    assert gated(asked(tmp_path), hub, registry, worker, said).record.decision == "hold"
    assert "not told by Prefect" in said[1]


def test_a_deployment_that_there_is_not_is_said(tmp_path: Path, hub: Hub, registry: Registry) -> None:
    with pytest.raises(EvaluationError, match="there is none; create it"):
        gated(asked(tmp_path, FINETUNE_GATE_DEPLOYMENT="a/..%2Fb"), hub, registry, Worker(hub, "Running"))
    assert hub.heard[0].path == "/api/deployments/name/a/..%252Fb"


@pytest.mark.parametrize(("state", "status", "decision"), [("Completed", 3, "hold"), ("Crashed", 4, "error")])
def test_the_command_tells_it_as_ever(hub: Hub, state: str, status: int, decision: str) -> None:
    ran = gated_by_worker()
    Worker(hub, state)
    done = shared_bench().command(
        "gate",
        FINETUNE_GATE_MODEL=HOSTILE_MODEL,
        FINETUNE_GATE_VERSION="1",
        FINETUNE_GATE_DEPLOYMENT="evaluation_gate/gate",
        FINETUNE_GATE_OUT="fetched",
        PREFECT_API_URL=f"{hub.url}/api",
        PREFECT_API_KEY="pnu_secret",
    )
    assert (done.status, done.outputs["decision"], done.errors) == (status, decision, ""), done.log
    assert {one.name for one in done.commands} == {"add-mask", "warning" if status == 3 else "error"}
    if status == 3:
        assert done.outputs["record-digest"] == ran.outputs["record-digest"]
        assert done.file("report").is_file()


def test_a_cancelled_job_says_that_the_flow_run_goes_on(tmp_path: Path, hub: Hub) -> None:
    Worker(hub, "Running")
    output = tmp_path / "output"
    settings = {
        "FINETUNE_GATE_MODEL": HOSTILE_MODEL,
        "FINETUNE_GATE_VERSION": "1",
        "FINETUNE_GATE_DEPLOYMENT": "evaluation_gate/gate",
        "PREFECT_API_URL": f"{hub.url}/api",
        "MLFLOW_TRACKING_URI": shared_bench().uri,
        "GITHUB_OUTPUT": str(output),
    }
    program = [sys.executable, "-m", "finetune_gate.flows.cli", "github", "gate"]
    process = subprocess.Popen(program, env=os.environ | settings, stdout=subprocess.PIPE, text=True, cwd=tmp_path)
    assert process.stdout is not None
    said = next(line for line in process.stdout if "Running after" in line)
    assert RUN in said
    process.send_signal(signal.SIGINT)
    rest = process.stdout.read()
    assert process.wait(60) == 130
    assert f"flow run {RUN} goes on" in rest
    found = outputs_of(output)
    assert (found["decision"], found["exit-status"]) == ("error", "130")
