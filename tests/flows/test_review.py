"""A hold that waits for a person, on a real Prefect server: suspended, resumed by a form, and gone on with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest
from prefect_house import Server, served, waited
from review_desk import ANA, inputs_of, record_of, say, settled
from workshop import MODEL, OPEN, PASSES, Workshop, copy_workshop

pytestmark = [pytest.mark.xdist_group("prefect"), pytest.mark.slow, pytest.mark.timeout(900)]
LONG = bool(os.environ.get("FINETUNE_GATE_LONG_TESTS"))
WAITS = "review: {wait: hold, hours: 24}"
API_GATE = """
model: tiny-router
base: openai:/judge
data: {holdout: holdout.jsonl}
endpoints: {openai: {base_url: "http://127.0.0.1:PORT/v1", key: NO_KEY}}
evaluators:
  - perplexity: {data: holdout}
  - text_match: {data: holdout, pattern: "^[a-m]", max_new_tokens: 4}
rules:
  - {metric: perplexity.bits_per_byte, max: 40}
  - {metric: perplexity.bits_per_byte, min_change: 0.0}
review: {wait: hold, hours: 24}
"""
"""Beside a base behind an API, which has no log-likelihoods: the second rule is unmeasured."""


@pytest.fixture(scope="module")
def server(original: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    home = tmp_path_factory.mktemp("review")
    with served(copy_workshop(original, home / "workshop"), home) as found:
        yield found


@pytest.fixture
def house(server: Server, original: Workshop) -> Server:
    """Nothing serves, and the data are as they were."""
    if server.workshop.champion() is not None:
        server.workshop.client().delete_registered_model_alias(MODEL, "champion")
    holdout = (original.folder / "holdout.jsonl").read_bytes()
    (server.workshop.folder / "holdout.jsonl").write_bytes(holdout)
    return server


def test_an_approval_goes_on_from_there_with_the_same_version_and_asks_no_model_again(
    house: Server, tmp_path: Path
) -> None:
    log = tmp_path / "questions.log"
    api = subprocess.Popen(
        [sys.executable, str(Path(__file__).parent / "judging_server.py"), str(log)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert api.stdin is not None
    assert api.stdout is not None
    gate = house.workshop.folder / "api.yaml"
    gate.write_text(API_GATE.replace("PORT", api.stdout.readline().strip()))
    started = house.start(gate_file=str(gate))
    waited(house.processes, "a process")
    run = settled(house, started)
    assert (run["state_type"], run["state_name"]) == ("PAUSED", "Suspended")
    assert house.processes() == []
    held = record_of(house, "2")
    assert held.decision == "hold"
    asked = log.read_text().splitlines()
    assert (held.run.asked["candidate"], len(asked)) == (120, 60)

    kept = inputs_of(house, run)
    schema = kept["suspended-review-1-schema"]
    assert schema["required"] == ["verdict", "reviewer", "reason"]
    assert [name for name, field in schema["properties"].items() if "default" in field] == []
    said = kept["suspended-review-1-description"]
    assert "`tiny-router v2`" in said
    assert "**perplexity.bits\\_per\\_byte not worse than" in said
    assert house.artifacts(run)[f"evaluation-gate-{MODEL}-review"]["data"] == said

    for form in (
        {},
        {"verdict": "approve"},
        ANA,
        {**ANA, "verdict": "yes"},
        {**ANA, "verdict": "approve", "reviewer": " "},
        {**ANA, "verdict": "approve", "reason": ""},
        {**ANA, "verdict": "approve", "more": "x"},
    ):
        answer = say(house, run, **form)
        assert answer["status"] == "REJECT", form
        assert "Validation failed" in answer["details"]["reason"]
    assert house.call(f"/flow_runs/{run['id']}")["state_name"] == "Suspended"

    client = house.workshop.client()
    newer = client.create_model_version(MODEL, client.get_model_version(MODEL, "1").source)
    assert say(house, run, verdict="approve", **ANA)["status"] == "ACCEPT"
    assert say(house, run, verdict="block", **ANA)["status"] == "ABORT"
    run = settled(house, run)
    client.delete_model_version(MODEL, newer.version)
    api.stdin.close()
    api.wait(20)
    assert run["state_type"] == "COMPLETED"
    assert house.workshop.champion() == "2"
    record = record_of(house, "2")
    assert record.decision == "promote"
    assert record.review is not None
    assert (record.review.verdict, record.review.reviewer, record.review.reason) == ("approve", *ANA.values())
    assert {rule.outcome for rule in record.rules} == {"passed", "waived"}
    assert record.score_table == held.score_table
    assert record.run.asked["candidate"] == 0
    assert log.read_text().splitlines() == asked


def test_an_answer_without_a_name_is_asked_again_and_a_block_blocks(house: Server) -> None:
    gate = house.workshop.gate(PASSES, OPEN, name="block.yaml", extra=WAITS)
    run = settled(house, house.start(gate_file=str(gate), version="2"))
    assert say(house, run, verdict="approve", reviewer="...", reason="?")["status"] == "ACCEPT"
    run = settled(house, run)
    assert run["state_name"] == "Suspended"
    again = inputs_of(house, run)
    assert "there is no letter or digit in it" in again["suspended-review-2-description"]
    assert again["review-2"]["until"] == again["review-1"]["until"]
    assert house.workshop.champion() is None

    say(house, run, verdict="block", **ANA)
    assert settled(house, run)["state_type"] == "COMPLETED"
    record = record_of(house, "2")
    assert (record.decision, record.review and record.review.verdict) == ("block", "block")
    assert house.workshop.champion() is None


def test_an_approval_of_something_else_is_none_and_looking_again_reads_what_is_there_now(house: Server) -> None:
    gate = house.workshop.gate(PASSES, OPEN, name="look.yaml", extra=WAITS)
    run = settled(house, house.start(gate_file=str(gate), version="2"))
    with (house.workshop.folder / "holdout.jsonl").open("a") as holdout:
        holdout.write(json.dumps({"id": "late", "text": "One more", "label": "parcel", "category": "a"}) + "\n")
    say(house, run, verdict="approve", **ANA)
    run = settled(house, run)
    assert run["state_name"] == "Suspended"
    said = inputs_of(house, run)["suspended-review-2-description"]
    assert "Since then has changed: dataset holdout, scores." in said
    held = record_of(house, "2")
    assert (held.decision, held.review) == ("hold", None)
    assert house.workshop.champion() is None

    house.workshop.gate(PASSES, OPEN.replace("0.5", "0.2"), name="look.yaml", extra=WAITS)
    say(house, run, verdict="look again", **ANA)
    assert settled(house, run)["state_type"] == "COMPLETED"
    record = record_of(house, "2")
    assert (record.decision, record.review) == ("promote", None)
    assert house.workshop.champion() == "2"


@pytest.mark.skipif(not LONG, reason="FINETUNE_GATE_LONG_TESTS=1 runs it")
def test_what_is_started_again_after_it_was_resumed_acts_once(house: Server) -> None:
    """As after a kill, when the run is retried: the answer is still there, and so is the version."""
    gate = house.workshop.gate(PASSES, OPEN, name="twice.yaml", extra=WAITS)
    run = settled(house, house.start(gate_file=str(gate)))
    say(house, run, verdict="approve", **ANA)
    assert settled(house, run)["state_type"] == "COMPLETED"
    first = record_of(house, "2")
    house.call(f"/flow_runs/{run['id']}/set_state", {"state": {"type": "SCHEDULED"}, "force": True})
    assert settled(house, run)["state_type"] == "COMPLETED"
    second = record_of(house, "2")
    assert second.digest() == first.digest()
    assert house.workshop.champion() == "2"
    assert (first.run.action and first.run.action.outcome, second.run.action and second.run.action.outcome) == (
        "moved",
        "already_there",
    )

    client = house.workshop.client()
    client.set_registered_model_alias(MODEL, "champion", "1")
    house.call(f"/flow_runs/{run['id']}/set_state", {"state": {"type": "SCHEDULED"}, "force": True})
    run = settled(house, run)
    assert run["state_name"] == "Suspended"
    assert "alias champion, champion" in inputs_of(house, run)["suspended-review-2-description"]
    assert house.workshop.champion() == "1"
    house.call(f"/flow_runs/{run['id']}/set_state", {"state": {"type": "CANCELLED"}, "force": True})


def test_a_wait_that_nobody_ends_fails_and_moves_nothing(house: Server) -> None:
    gate = house.workshop.gate(PASSES, OPEN, name="late.yaml", extra="review: {wait: hold, hours: 0.001}")
    run = settled(house, house.start(gate_file=str(gate), version="2"))
    if run["state_type"] == "PAUSED":
        run = house.ended(run)
    assert run["state_type"] == "FAILED"
    assert "never resumed" in run["state"]["message"]
    assert say(house, run, verdict="approve", **ANA)["status"] == "ABORT"
    assert house.workshop.tags("2")["finetune_gate.decision"] == "hold"
    assert house.workshop.champion() is None

    house.call(f"/flow_runs/{run['id']}/set_state", {"state": {"type": "SCHEDULED"}, "force": True})
    assert settled(house, run)["state_type"] == "COMPLETED"
    assert list(inputs_of(house, run)) == ["review-1", "suspended-review-1-schema", "suspended-review-1-description"]


def test_a_dry_run_waits_for_nobody(house: Server) -> None:
    gate = house.workshop.gate(PASSES, OPEN, name="dry.yaml", extra=WAITS)
    run = settled(house, house.start(gate_file=str(gate), version="2", dry_run=True))
    assert run["state_type"] == "COMPLETED"
    assert inputs_of(house, run) == {}


def test_runs_without_a_deployment_hold_and_say_so(workshop: Workshop) -> None:
    gate = workshop.gate(PASSES, OPEN, extra=WAITS)
    plain = workshop.command("run", gate, "--version", "2", "--no-prefect")
    assert plain.returncode == 3, plain.stderr
    done = workshop.command(
        "run", gate, "--version", "2", "--prefect", env={"PREFECT_HOME": str(workshop.folder / "prefect")}
    )
    assert done.returncode == 3, done.stderr
    assert "only runs of a Prefect deployment can be suspended" in " ".join((done.stdout + done.stderr).split())
