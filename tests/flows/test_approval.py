"""A promotion that waits for a person's approval, on a real Prefect server."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from prefect_house import Server, served
from review_desk import ANA, inputs_of, record_of, say, settled
from workshop import MODEL, PASSES, Workshop, copy_workshop

pytestmark = [pytest.mark.xdist_group("prefect"), pytest.mark.slow, pytest.mark.timeout(900)]
ASKS = "promotion: {approval: required}"


@pytest.fixture(scope="module")
def server(original: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    home = tmp_path_factory.mktemp("approval")
    with served(copy_workshop(original, home / "workshop"), home) as found:
        yield found


@pytest.fixture
def house(server: Server) -> Server:
    """Nothing serves."""
    if server.workshop.champion() is not None:
        server.workshop.client().delete_registered_model_alias(MODEL, "champion")
    return server


def approve(house: Server, run: Any, *options: str) -> CompletedProcess[str]:
    given = ("--reason", ANA["reason"], "--as", ANA["reviewer"], "--yes")
    return house.workshop.command("approve", run["id"], *given, *options, env={"PREFECT_API_URL": house.api})


def started(house: Server, name: str, extra: str = ASKS, **parameters: object) -> Any:
    gate = house.workshop.gate(PASSES, name=name, extra=extra, classify=False)
    return settled(house, house.start(gate_file=str(gate), version="2", **parameters))


def test_a_run_that_passed_is_suspended_and_goes_on_when_it_is_approved_from_the_command_line(house: Server) -> None:
    run = started(house, "approve.yaml")
    assert (run["state_name"], house.processes(), house.workshop.champion()) == ("Suspended", [], None)
    held = record_of(house, "2")
    assert (held.decision, held.awaits_approval) == ("hold", True)
    said = inputs_of(house, run)["suspended-review-1-description"]
    assert said.startswith("## ‖ Hold, waits for approval: `tiny-router v2`")
    assert "**approve** promotes `tiny-router v2` as the first version that serves." in said
    assert f"\nfinetune-gate approve {run['id']} --reason" in said
    refused = say(house, run, verdict="approve", reviewer="", reason="x")
    assert refused["status"] == "REJECT"
    assert house.workshop.champion() is None

    done = approve(house, run, "--wait", "300", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["ended"], told["decision"], told["reviewer"]) == (True, "promote", "Ana Ruiz")
    assert told["url"].endswith(run["id"])
    assert house.workshop.champion() == "2"
    record = record_of(house, "2")
    assert record.review is not None
    assert (record.decision, record.awaits_approval, record.review.reviewer) == ("promote", False, "Ana Ruiz")
    assert record.run.asked == {"candidate": 0, "base": 0}

    again = approve(house, run)
    assert (again.returncode, "it is Completed, and waits for no review" in again.stderr) == (3, True)
    gone = approve(house, {"id": "01234567-89ab-cdef-0123-456789abcdef"})
    assert (gone.returncode, "has no such run" in gone.stderr) == (2, True)


def test_a_champion_that_came_while_it_waited_is_not_replaced_and_a_block_ends_it(house: Server) -> None:
    run = started(house, "moved.yaml")
    house.workshop.client().set_registered_model_alias(MODEL, "champion", "1")
    done = approve(house, run, "--wait", "300")
    assert done.returncode == 3, done.stderr
    assert "Suspended, and has not ended" in done.stdout
    assert "promotion waits for a person's approval" in done.stdout
    run = settled(house, run)
    said = inputs_of(house, run)["suspended-review-2-description"]
    assert "Since then has changed: alias champion, champion, scores." in said
    assert "in place of version 1" in said
    assert house.workshop.champion() == "1"

    blocked = approve(house, run, "--block")
    assert blocked.returncode == 0, blocked.stderr
    assert f"/runs/flow-run/{run['id']}" in blocked.stdout
    assert settled(house, run)["state_type"] == "COMPLETED"
    assert (record_of(house, "2").decision, house.workshop.champion()) == ("block", "1")


def test_an_approval_that_nobody_gives_in_time_leaves_it_on_hold(house: Server) -> None:
    run = started(house, "late.yaml", extra=f"{ASKS}\nreview: {{hours: 0.001}}")
    if run["state_type"] == "PAUSED":
        run = house.ended(run)
    assert (run["state_type"], "never resumed" in run["state"]["message"]) == ("FAILED", True)
    late = approve(house, run)
    assert (late.returncode, "waits for no review" in late.stderr) == (3, True)
    assert say(house, run, verdict="approve", **ANA)["status"] == "ABORT"
    assert (house.workshop.tags("2")["finetune_gate.decision"], house.workshop.champion()) == ("hold", None)


def test_the_form_of_a_run_can_ask_for_it_and_looking_again_reads_the_gate_file_anew(house: Server) -> None:
    run = started(house, "asked.yaml", extra="", wait_for_approval=True)
    assert run["state_name"] == "Suspended"
    say(house, run, verdict="look again", **ANA)
    run = settled(house, run)
    assert run["state_name"] == "Suspended"
    assert "on hold still; what has changed: nothing" in inputs_of(house, run)["suspended-review-2-description"]
    assert record_of(house, "2").approval_required
    say(house, run, verdict="approve", **ANA)
    assert settled(house, run)["state_type"] == "COMPLETED"
    assert house.workshop.champion() == "2"


def test_a_dry_run_is_not_suspended(house: Server) -> None:
    run = started(house, "dry.yaml", dry_run=True)
    assert (run["state_type"], inputs_of(house, run)) == ("COMPLETED", {})


def test_without_a_deployment_it_holds_and_says_how_to_approve_it(workshop: Workshop, tmp_path: Path) -> None:
    gate = workshop.gate(PASSES, extra=ASKS, classify=False)
    env = {"PREFECT_HOME": str(tmp_path / "prefect")}
    done = workshop.command("run", gate, "--version", "2", "--prefect", env=env)
    assert done.returncode == 3, done.stderr
    assert "it can be approved all the same: finetune-gate approve" in " ".join((done.stdout + done.stderr).split())
    assert workshop.champion() is None
