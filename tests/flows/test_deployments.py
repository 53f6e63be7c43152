"""`finetune-gate deployments` at a real Prefect server: its form, its lock, and what becomes of runs that are ended
(FINETUNE_GATE_LONG_TESTS=1: at more of their steps)."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Generator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest
from prefect_house import Server, served, waited
from workshop import MODEL, OPEN, PASSES, Workshop, copy_workshop

from finetune_gate.evaluators.errors import ConfigurationError, EvaluationError
from finetune_gate.flows.locking import limit_name, longest_wait, one_at_a_time, variable_name
from finetune_gate.gate.gate_file import load_gate_file
from finetune_gate.gate.registry import Registry
from finetune_gate.gate.turns import Standing, Subject, Turns

pytestmark = [pytest.mark.xdist_group("prefect"), pytest.mark.slow, pytest.mark.timeout(900)]
LONG = bool(os.environ.get("FINETUNE_GATE_LONG_TESTS"))
LIMIT = f"/v2/concurrency_limits/{limit_name(MODEL)}"


@pytest.fixture(scope="module")
def house(original: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    home = tmp_path_factory.mktemp("deployments")
    workshop = copy_workshop(original, home / "workshop")
    gate = workshop.gate(PASSES, classify=False)
    with served(workshop, home, str(gate), "--limit", "2", "--every", "86400") as found:
        yield found


@pytest.fixture(autouse=True)
def at_the_server(house: Server) -> Generator[None]:
    """Prefect's client, used by a test itself, talks to this server."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: house.api}):
        yield


def standing(house: Server, gate: Path, version: str) -> Standing:
    registry = Registry.connect(house.workshop.uri)
    found, _ = registry.pick(MODEL, version)
    return Turns(registry, MODEL).read().standing(Subject.of(found, load_gate_file(gate).digest).key)


def named(house: Server, name: str, *, bound: float = 40) -> Path:
    """A gate file like no other: every ``bound`` makes another gate of it."""
    return house.workshop.gate(f"{{metric: perplexity.bits_per_byte, max: {bound}}}", name=name, classify=False)


def logged(house: Server, run: Any, text: str) -> None:
    """Prefect takes its time to pass logs on."""
    waited(lambda: text in house.logs(run), f"{text!r} in the log of {run['name']}", seconds=120)


def held(model: str = MODEL, **settings: Any) -> Any:
    """The lock, held by this test, and what it says."""
    settings = {"holder": "a test", "say": lambda _line: None, "warn": lambda _line: None, **settings}
    return one_at_a_time(model, **settings)


def test_the_form_says_what_each_field_is_and_no_parameter_holds_a_password(house: Server) -> None:
    gate = house.call("/deployments/name/evaluation_gate/gate")
    fields = gate["parameter_openapi_schema"]["properties"]
    assert list(fields)[:4] == ["gate_file", "version", "model", "base"]
    assert [name for name, field in fields.items() if not field.get("description")] == []
    assert gate["parameter_openapi_schema"]["required"] == ["gate_file"]
    assert gate["parameters"] == {"gate_file": str(house.workshop.folder / "gate.yaml")}
    assert gate["entrypoint"] == "finetune_gate.flows.gate_flow.evaluation_gate"
    assert "Args:" not in gate["description"]

    watch = waited(lambda: house.call("/deployments/name/registry_watch/watch"), "the second deployment")
    assert watch["parameters"] == {"gate_files": [str(house.workshop.folder / "gate.yaml")]}
    assert watch["parameter_openapi_schema"]["properties"]["relay"]["enum"] == ["prefect", "github"]
    assert watch["global_concurrency_limit"]["limit"] == 1
    assert watch["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"
    assert [one["schedule"]["interval"] for one in watch["schedules"]] == [86400.0]
    assert house.workshop.uri not in json.dumps([gate["parameters"], watch["parameters"]])


def test_a_gate_file_of_another_model_is_refused(house: Server) -> None:
    run = house.run(version="1", model="support-bot")
    assert run["state_type"] == "FAILED"
    assert "a gate file of 'tiny-router'" in run["state"]["message"]
    assert standing(house, house.workshop.folder / "gate.yaml", "1").state == "none"


def test_two_versions_of_one_model_are_gated_one_after_the_other(house: Server) -> None:
    gate = named(house, "both.yaml", bound=39)
    house.call("/v2/concurrency_limits/", {"name": limit_name(MODEL), "limit": 5, "active": False})
    runs = [house.start(gate_file=str(gate), version=version) for version in ("1", "2")]
    assert [house.ended(run)["state_type"] for run in runs] == ["COMPLETED"] * 2
    (_, first_end), (second_begin, _) = sorted(steps_of(house, run) for run in runs)
    assert first_end <= second_begin

    def logs() -> str:
        return "\n".join(house.logs(run) for run in runs)

    for text in (
        f"Prefect's limit {limit_name(MODEL)} was inactive and of 5 slots: set to one slot, and active",
        f"flow run {MODEL} ",
        "gates this model now: waiting for its end",
    ):
        waited(lambda text=text: text in logs(), f"{text!r} in the logs", seconds=120)
    limit = house.call(LIMIT)
    assert (limit["active"], limit["limit"], limit["active_slots"]) == (True, 1, 0)
    assert [one["name"] for one in house.call("/variables/filter", {})] == []


def steps_of(house: Server, run: Any) -> tuple[str, str]:
    """From when to when the steps of a run were walked."""
    tasks = house.call("/task_runs/filter", {"flow_runs": {"id": {"any_": [run["id"]]}}})
    return min(task["start_time"] for task in tasks), max(task["end_time"] for task in tasks)


def test_what_is_decided_already_waits_for_no_lock(house: Server) -> None:
    gate = named(house, "once.yaml", bound=38)
    first = house.run(gate_file=str(gate), version="1", trigger="a person")
    with held():
        again = house.run(gate_file=str(gate), version="1", once=True)
    assert again["state_type"] == "COMPLETED"
    logged(house, again, f"decided by {first['id']} (a person), not by this run")
    assert house.tasks(again) == []


@pytest.mark.skipif(not LONG, reason="waits for a lease of a minute: FINETUNE_GATE_LONG_TESTS=1 runs it")
def test_the_lock_of_a_killed_holder_comes_back_when_its_lease_ends(house: Server) -> None:
    gate = named(house, "killed.yaml", bound=37)
    run = house.start(gate_file=str(gate), version="1")
    holder = f"/variables/name/{variable_name(MODEL)}"
    waited(lambda: run["id"] in house.call(holder)["value"]["holder"], "the run to hold the lock")
    (process,) = house.processes()
    process.kill()
    begun = time.monotonic()
    with held(wait_s=180.0):
        took = time.monotonic() - begun
    assert took < 60 + 90  # the lease, and what a busy server takes to notice
    assert house.call(f"/flow_runs/{run['id']}")["state_type"] in ("RUNNING", "CRASHED")


def test_a_slot_whose_lease_was_lost_is_freed_and_one_that_is_held_is_not(house: Server) -> None:
    """As after a restart of a server that keeps leases in memory: the slot stays taken, and nothing brings it back."""
    model = "restarted"
    name, warned = limit_name(model), []
    house.call("/v2/concurrency_limits/", {"name": name, "limit": 1, "active_slots": 1})
    with held(model, silent_s=2.0, wait_s=30.0, warn=warned.append):
        assert [line.split(",")[0] for line in warned] == [f"{name} was held by another run"]
        said: list[str] = []
        with pytest.raises(EvaluationError, match="held by a test for longer"), ExitStack() as nobody:
            nobody.enter_context(held(model, wait_s=3.0, holder="late", say=said.append))
        assert said == ["a test gates this model now: waiting for its end"]
    assert house.call(f"/v2/concurrency_limits/{name}")["active_slots"] == 0


def test_a_server_that_keeps_no_limits_is_gated_at_without() -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    class Old(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(404 if self.path.startswith("/api/v2") else 405)

        do_POST = do_GET

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Old) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for address in (f"http://127.0.0.1:{server.server_port}/api", "http://127.0.0.1:9/api"):
            warned: list[str] = []
            with temporary_settings({PREFECT_API_URL: address}), held(warn=warned.append):
                assert len(warned) == 1
                assert "gated without a lock" in warned[0]
        server.shutdown()


def test_how_long_is_waited_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert longest_wait() == 6 * 3600
    monkeypatch.setenv("FINETUNE_GATE_LOCK_SECONDS", "90")
    assert longest_wait() == 90
    for wrong in ("soon", "-1", "nan", "1e9"):
        monkeypatch.setenv("FINETUNE_GATE_LOCK_SECONDS", wrong)
        with pytest.raises(ConfigurationError, match="FINETUNE_GATE_LOCK_SECONDS"):
            longest_wait()


def test_names_of_models_are_made_fit_for_prefect() -> None:
    assert limit_name("support-bot") == "finetune-gate.support-bot"
    assert limit_name("a&b") != limit_name("a%b")
    assert "&" not in limit_name("a&b")
    assert variable_name("A b") != variable_name("a-b")


def cancel(house: Server, run: Any) -> None:
    """As the UI does."""
    house.call(f"/flow_runs/{run['id']}/set_state", {"state": {"type": "CANCELLING", "name": "Cancelling"}})


@pytest.mark.parametrize("step", ["resolve", "answer", "act", "publish"] if LONG else ["answer", "act"])
def test_a_cancelled_run_is_not_started_again_and_leaves_nothing_half_done(house: Server, step: str) -> None:
    gate = named(house, f"cancel-{step}.yaml", bound=20 + len(step) / 10)
    house.workshop.client().set_registered_model_alias(MODEL, "champion", "1")
    run = house.start(gate_file=str(gate), version="2")
    waited(lambda: step in house.tasks(run), f"step {step}", every=0.1)
    cancel(house, run)
    house.ended(run)
    waited(lambda: not house.processes(), "the process to end")
    assert standing(house, gate, "2").state in ("cancelled", "decided"), house.logs(run)
    assert house.workshop.champion() in ("1", "2")
    waited(lambda: house.call(LIMIT)["active_slots"] == 0, "the slot to be free", seconds=180)

    done = house.workshop.command("run", gate, "--version", "2", "--json", "--no-prefect")
    assert json.loads(done.stdout)["decision"] == "promote", done.stdout
    assert house.workshop.champion() == "2"
    again = house.workshop.command("reconcile", MODEL, "--json")
    (model,) = json.loads(again.stdout)["models"]
    assert [alias["deeds"] for alias in model["aliases"]] == [[]]


def test_a_run_that_is_terminated_without_being_cancelled_has_failed(house: Server) -> None:
    gate = named(house, "evicted.yaml", bound=19)
    with held():  # so that it is still there, in its turn, when the signal comes
        run = house.start(gate_file=str(gate), version="1")
        waited(lambda: standing(house, gate, "1").state == "running", "its turn")
        (process,) = house.processes()
        process.send_signal(signal.SIGTERM)
        assert house.ended(run)["state_type"] == "CRASHED"
    waited(lambda: standing(house, gate, "1").state == "failed", "the end of its turn")


def test_a_suspended_run_that_is_cancelled_keeps_its_hold(house: Server) -> None:
    gate = house.workshop.gate(PASSES, OPEN, name="wait.yaml", extra="review: {wait: hold}")
    run = house.settled(house.start(gate_file=str(gate), version="2"))
    assert run["state_name"] == "Suspended"
    cancel(house, run)
    waited(lambda: not house.processes(), "the process to end")
    found = standing(house, gate, "2")
    assert (found.state, found.row and found.row.ending and found.row.ending.outcome) == ("decided", "hold")
    assert house.workshop.tags("2")["finetune_gate.decision"] == "hold"


def test_a_sweep_starts_a_gate_for_a_new_version_once(house: Server) -> None:
    sweep = house.ended(house.create("registry_watch/watch", "first"))
    assert sweep["state_type"] == "COMPLETED", house.logs(sweep)
    logged(house, sweep, "began to watch: versions above 2 are new")
    client = house.workshop.client()
    first = client.get_model_version(MODEL, "1")
    client.create_model_version(MODEL, first.source, tags={"base_model": first.tags["base_model"]})
    sweep = house.ended(house.create("registry_watch/watch", "second"))
    logged(house, sweep, "tiny-router 3: started")
    (row,) = json.loads(house.artifacts(sweep)["registry-watch"]["data"])
    assert (row["version"], row["why it asks"], row["what was done"]) == ("3", "new version", "started")

    (run,) = [one for one in house.call("/flow_runs/filter", {}) if one["parameters"].get("version") == "3"]
    assert house.ended(run)["state_type"] == "COMPLETED"
    assert run["parameters"]["trigger"] == "watch: new version"
    sweep = house.ended(house.create("registry_watch/watch", "third"))
    assert "registry-watch" not in house.artifacts(sweep)
    assert sweep["state_type"] == "COMPLETED"


def test_a_sweep_that_cannot_look_fails_and_says_why(house: Server) -> None:
    sweep = house.ended(house.create("registry_watch/watch", "lost", gate_files=["nowhere.yaml"]))
    assert sweep["state_type"] == "FAILED"
    assert "nowhere.yaml" in sweep["state"]["message"]


def test_serving_ends_soon_with_what_runs_and_pauses_its_schedule(house: Server) -> None:
    """The last test of this server."""
    gate = named(house, "ended.yaml", bound=18)
    run = house.start(gate_file=str(gate), version="1")
    waited(lambda: "answer" in house.tasks(run), "its work", every=0.1)
    serving = psutil.Process(house.serving[0])
    (process,) = house.processes()
    begun = time.monotonic()
    serving.send_signal(signal.SIGTERM)
    house.started[-1].wait(40)
    assert time.monotonic() - begun < 20
    waited(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE, "its process to end")
    assert standing(house, gate, "1").state in ("failed", "silent")
    assert house.call("/deployments/name/registry_watch/watch")["paused"]


def test_without_a_server_it_says_what_to_do(workshop: Workshop) -> None:
    done = workshop.command("deployments", env={"PREFECT_API_URL": ""})
    assert (done.returncode, "PREFECT_API_URL: not set" in done.stderr) == (2, True), done.stderr
    done = workshop.command("deployments", "nowhere.yaml", env={"PREFECT_API_URL": "http://127.0.0.1:9/api"})
    assert (done.returncode, "nowhere.yaml" in done.stderr) == (2, True), done.stderr
