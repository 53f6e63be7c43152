"""prefect.yaml at a real Prefect server: pools of every type take it, and a worker runs a gate through it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from prefect_house import Server, opened, waited
from workshop import MODEL, PASSES, Workshop, copy_workshop

from finetune_gate.flows.relays.prefect import from_environment
from finetune_gate.gate.registry import Registry
from finetune_gate.gate.watching import Pace, look

pytestmark = [pytest.mark.xdist_group("prefect"), pytest.mark.slow, pytest.mark.timeout(900)]
PREFECT_YAML = Path(__file__).parents[2] / "prefect.yaml"


@pytest.fixture(scope="module")
def house(original: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    home = tmp_path_factory.mktemp("workers")
    with opened(copy_workshop(original, home / "workshop"), home) as found:
        yield found


def prefect(house: Server, *arguments: str, folder: Path | None = None) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "prefect", *arguments],
        env=house.env(),
        cwd=folder or house.workshop.folder,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def deployed(house: Server, kind: str, folder: Path) -> dict[str, Any]:
    """Deploy what prefect.yaml says to a new pool of ``kind``; the deployment of the gate."""
    prefect(house, "work-pool", "create", f"gates-{kind}", "--type", kind)
    shop = str(house.workshop.folder)
    text = PREFECT_YAML.read_text().replace("work_pool: *process", f"work_pool: *{kind}")
    text = text.replace("      name: finetune-gate\n", f"      name: gates-{kind}\n").replace("/srv/gates", shop)
    text = text.replace("http://127.0.0.1:5000", house.workshop.uri)
    (folder / "prefect.yaml").write_text(text)
    prefect(house, "--no-prompt", "deploy", "--all", folder=folder)
    found: dict[str, Any] = house.call("/deployments/name/evaluation_gate/gate")
    return found


@pytest.mark.parametrize("kind", ["docker", "kubernetes", "process"])
def test_every_pool_takes_the_deployments(house: Server, kind: str, tmp_path: Path) -> None:
    gate = deployed(house, kind, tmp_path)
    watch = house.call("/deployments/name/registry_watch/watch")
    assert {gate["work_pool_name"], watch["work_pool_name"]} == {f"gates-{kind}"}
    assert (gate["pull_steps"] or [], watch["pull_steps"] or []) == ([], [])
    assert gate["entrypoint"] == "finetune_gate.flows.gate_flow.evaluation_gate"
    assert gate["parameters"]["gate_file"] == str(house.workshop.folder / "gate.yaml")
    assert [one["schedule"]["interval"] for one in watch["schedules"]] == [300.0]
    assert watch["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"
    known = house.call(f"/work_pools/gates-{kind}")["base_job_template"]["variables"]["properties"]
    assert set(gate["job_variables"]) <= set(known)
    assert gate["job_variables"]["env"]


def test_one_key_gives_one_run_and_a_new_attempt_gives_a_new_one(
    house: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No worker works yet: what is started stays scheduled."""
    with ThreadPoolExecutor(32) as pool:
        made = list(pool.map(lambda _: house.create("evaluation_gate/gate", "one key")["id"], range(32)))
    assert len(set(made)) == 1
    end(house, made[0], "CANCELLED")

    gate = house.workshop.gate(PASSES, classify=False, extra="triggers: {aliases: [candidate]}")
    house.workshop.client().set_registered_model_alias(MODEL, "candidate", "2")
    monkeypatch.setenv("PREFECT_API_URL", house.api)
    registry, relay = Registry.connect(house.workshop.uri), from_environment("watch")

    def looked() -> tuple[str, list[str]]:
        report = look(registry, [gate], relay, pace=Pace(pauses_s=(0.0,)))
        assert report.problems == ()
        (seen,) = [one for one in report.looked if one.version == "2"]
        runs = house.call("/flow_runs/filter", {"sort": "EXPECTED_START_TIME_ASC"})
        return seen.did, [run["id"] for run in runs if run["parameters"].get("version") == "2"]

    did, runs = looked()
    assert (did, len(runs)) == ("started", 1)
    assert looked() == ("waited", runs)
    end(house, runs[0], "FAILED")
    did, more = looked()
    assert (did, len(more)) == ("started", 2)
    assert looked() == ("waited", more)


def end(house: Server, run: str, state: str) -> None:
    house.call(f"/flow_runs/{run}/set_state", {"state": {"type": state}, "force": True})


def test_a_worker_runs_what_was_started(house: Server) -> None:
    """The run of the test before, which nobody has worked on yet."""
    waiting = house.call("/flow_runs/filter", {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}})
    (run,) = [one for one in waiting if one["parameters"].get("version") == "2"]
    house.begin("worker", sys.executable, "-m", "prefect", "worker", "start", "--pool", "gates-process")
    ended = house.ended(run)
    assert ended["state_type"] == "COMPLETED", house.logs(run)
    assert house.workshop.champion() == "2"
    assert house.workshop.tags("2")["finetune_gate.decision"] == "promote"
    assert f"Beginning flow run '{MODEL} 2'" in house.logs(run)


def test_the_schedule_makes_sweeps(house: Server) -> None:
    """Prefect's scheduler does not work with every SQLAlchemy that Prefect admits: with 2.1 it makes no runs."""

    def scheduled() -> list[Any]:
        runs = house.call("/flow_runs/filter", {"flow_runs": {"tags": {"all_": ["auto-scheduled"]}}})
        return [run for run in runs if run["parameters"].get("gate_files")]

    waited(scheduled, "sweeps that are scheduled", seconds=180)


def test_one_command_leaves_the_deployments_to_a_pool(house: Server) -> None:
    """To one that it makes; and then to one that is there, and is none of processes."""
    gate = house.workshop.gate(PASSES, name="left.yaml")
    prefect(house, "work-pool", "create", "left-docker", "--type", "docker")
    folder = str(house.workshop.folder)
    for pool, settings in (("left", {"working_dir": folder}), ("left-docker", {})):
        done = house.workshop.command("deployments", gate, "--pool", pool, "--every", "60", env=house.env())
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines() == [
            f"evaluation_gate/gate is left to the workers of pool {pool} at {house.api}",
            f"registry_watch/watch is left to the workers of pool {pool} at {house.api}",
        ]
        for name in ("evaluation_gate/gate", "registry_watch/watch"):
            found = house.call(f"/deployments/name/{name}")
            assert (found["work_pool_name"], found["job_variables"], found["pull_steps"] or []) == (pool, settings, [])
            assert str(gate) in str(found["parameters"])
    assert house.call("/work_pools/left")["type"] == "process"
