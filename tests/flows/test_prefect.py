"""The flow on a real Prefect server, started the way the UI starts it: a served deployment and its parameters."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path

import pytest
from prefect_house import Server, served
from workshop import FAILS, MODEL, PASSES, Workshop, copy_workshop

from finetune_gate.gate.record import DecisionRecord, read_record

pytestmark = [pytest.mark.xdist_group("prefect"), pytest.mark.slow, pytest.mark.timeout(600)]
STEPS = ["resolve", "plan", "answer", "score", "decide", "act", "publish"]


@pytest.fixture(scope="module")
def server(original: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    home = tmp_path_factory.mktemp("prefect")
    with served(copy_workshop(original, home / "workshop"), home) as found:
        yield found


def record_of(server: Server, version: str) -> DecisionRecord:
    """What the registry's tags lead to."""
    (path,) = (server.workshop.folder / ".finetune-gate").glob("*/decision-record.json")
    record = read_record(path)
    assert record.digest() == server.workshop.tags(version)["finetune_gate.record_digest"]
    return record


def test_the_same_gate_gives_the_same_decision_from_the_ui(server: Server, original: Workshop, tmp_path: Path) -> None:
    rules = (PASSES, "{metric: classification.f1_macro, min: 0.99, severity: warn}")
    run = server.run(gate_file=str(server.workshop.gate(*rules)), version="1")
    assert run["state_type"] == "COMPLETED"
    assert run["name"] == f"{MODEL} 1: promote"
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
    key = f"evaluation-gate-{MODEL}"
    assert set(artifacts) == {
        key,
        f"{key}-rules",
        f"{key}-progress",
    }  # MLflow is no server: there is nothing to link to
    progress = artifacts[f"{key}-progress"]
    assert (progress["type"], progress["data"], progress["task_run_id"] is not None) == ("progress", 100, True)
    assert "promote" in artifacts[key]["data"].lower()
    assert len(json.loads(artifacts[f"{key}-rules"]["data"])) == 2


def test_a_block_is_a_completed_run_that_moved_nothing(server: Server) -> None:
    run = server.run(gate_file=str(server.workshop.gate(FAILS, name="fails.yaml")), version="2")
    assert run["state_type"] == "COMPLETED"
    assert run["name"] == f"{MODEL} 2: block"
    assert server.workshop.tags("2")["finetune_gate.decision"] == "block"
    assert server.workshop.champion() in (None, "1")


def test_what_cannot_be_judged_is_a_failed_run_with_the_message(server: Server) -> None:
    run = server.run(gate_file=str(server.workshop.gate(PASSES, name="again.yaml")), version="99")
    assert (run["state_type"], run["name"]) == ("FAILED", f"{MODEL} 99")
    assert "99" in run["state"]["message"]
