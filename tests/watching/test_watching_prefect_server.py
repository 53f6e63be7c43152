"""A real Prefect server, from looks of several watchers to one flow run, its death, and the alias."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import psutil
import pytest
from prefect_house import Server, served, waited
from workshop import BASE, MODEL, PASSES, Workshop, copy_workshop

from finetune_gate.flows.relays import WatchSettings, open_watch
from finetune_gate.gate.registry import Registry
from finetune_gate.gate.turns import Turns
from finetune_gate.gate.watching import Report

pytestmark = [pytest.mark.xdist_group("prefect_watching"), pytest.mark.slow, pytest.mark.timeout(900)]
LONG = bool(os.environ.get("FINETUNE_GATE_LONG_TESTS"))


@pytest.fixture(scope="module")
def server(original: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    home = tmp_path_factory.mktemp("prefect_watching")
    with served(copy_workshop(original, home / "workshop"), home) as found:
        yield found


def register(server: Server) -> str:
    client = server.workshop.client()
    old = client.get_model_version(MODEL, "2")
    made = client.create_model_version(MODEL, old.source, old.run_id, tags={"base_model": f"models:/{BASE}/1"})
    return str(made.version)


def look(server: Server) -> Report:
    gate = server.workshop.folder / "gate.yaml"
    settings = WatchSettings((gate,), "prefect", tracking_uri=server.workshop.uri, actor="watcher")
    with closing(open_watch(settings)) as watch:
        report = watch.look()
    assert not report.problems, report.problems
    assert not [one for one in report.looked if one.did == "not reached"], report.looked
    return report


def did(report: Report) -> dict[str, str]:
    return {one.version: one.did for one in report.looked}


def flow_runs(server: Server) -> list[Any]:
    found: list[Any] = server.call("/flow_runs/filter", {"sort": "EXPECTED_START_TIME_ASC"})
    return found


@pytest.mark.skipif(not LONG, reason="takes a minute and a half: FINETUNE_GATE_LONG_TESTS=1 runs it")
def test_one_flow_run_for_many_watchers_and_another_when_it_has_died(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", server.api)
    turns = Turns(Registry.connect(server.workshop.uri), MODEL)
    server.workshop.gate(PASSES, classify=False)
    turns.watch(2)
    version = register(server)
    with ThreadPoolExecutor(4) as pool:
        reports = list(pool.map(lambda _: look(server), range(4)))
    assert [one.did for report in reports for one in report.looked].count("started") == 1
    (first,) = flow_runs(server)
    assert first["parameters"] == {
        "gate_file": str(server.workshop.folder / "gate.yaml"),
        "model": MODEL,
        "version": version,
        "once": True,
        "trigger": "watch: new version",
    }

    waited(lambda: [row for row in turns.read().rows if row.turn.kind == "run"], "the run to take its turn")
    serving = psutil.Process(server.serving[0])
    gone = [serving, *serving.children(recursive=True)]
    for process in gone:  # the machine goes down: nobody tells Prefect
        os.kill(process.pid, signal.SIGKILL)
    psutil.wait_procs(gone, timeout=20)
    assert server.call(f"/flow_runs/{first['id']}")["state_type"] == "RUNNING"
    assert [one.did for one in look(server).looked] == ["started"]
    assert server.call(f"/flow_runs/{first['id']}")["state_type"] == "CRASHED"

    server.serve()
    waited(lambda: server.workshop.champion() == version, "the alias to move", 300)
    waited(lambda: look(server).looked == (), "the decision to be noted")
    assert [run["state_type"] for run in flow_runs(server)][:1] == ["CRASHED"]
    assert len(flow_runs(server)) == 2
    log = turns.read()
    rows = [row for row in log.rows if row.number in log.counting]
    assert [row.turn.kind for row in rows] == ["asked", "run", "asked", "run"]
    assert (rows[-1].turn.trigger, rows[-1].turn.attempt) == ("watch: new version", 2)


def test_cancelled_in_prefect_it_is_not_started_again(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", server.api)
    turns = Turns(Registry.connect(server.workshop.uri), MODEL)
    turns.watch(2)
    server.workshop.gate(PASSES, classify=False)
    os.kill(server.serving[0], signal.SIGSTOP)  # nobody picks it up
    try:
        version = register(server)
        assert did(look(server))[version] == "started"
        run = turns.read().rows[-1].delivered.removeprefix("flow run ")
        server.call(f"/flow_runs/{run}/set_state", {"state": {"type": "CANCELLED", "name": "Cancelled"}, "force": True})
        assert did(look(server))[version] == "done"
    finally:
        os.kill(server.serving[0], signal.SIGCONT)
    assert did(look(server))[version] == "done"
