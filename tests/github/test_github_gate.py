"""``finetune-gate github gate`` as a step: what it tells GitHub, for every end that a gate can come to."""

from __future__ import annotations

import hashlib
import json

import pytest
from github_bench import HOSTILE_MODEL, HOSTILE_VALUE, PASSES, Bench, decided, shared_bench
from runner_files import comments_api

from finetune_gate.flows.github.binding import read_binding
from finetune_gate.flows.github.telling import NAMES
from finetune_gate.gate.record import read_record
from finetune_gate.gate.reports import comment_marker

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("github")]


@pytest.fixture
def bench() -> Bench:
    return shared_bench()


@pytest.mark.parametrize(
    ("decision", "status", "kinds"), [("promote", 0, []), ("block", 1, ["error"]), ("hold", 3, ["warning"])]
)
def test_a_decision_is_told_everywhere(decision: str, status: int, kinds: list[str]) -> None:
    done = decided(decision).ran
    assert done.status == status, done.log
    assert done.errors == ""
    assert list(done.outputs) == list(NAMES)
    record = read_record(done.file("record"))
    action = record.run.action
    assert action is not None
    assert {**done.outputs, "folder": ""} == {
        "decision": decision,
        "exit-status": str(status),
        "model": HOSTILE_MODEL,
        "version": "1",
        "champion-before": action.before or "",
        "champion-after": action.after or "",
        "record": f"{done.outputs['folder']}/decision-record.json",
        "report": f"{done.outputs['folder']}/report.html",
        "folder": "",
        "record-digest": record.digest(),
        "run-binding": f"{done.outputs['folder']}/github-run.json",
        "statement": f"{done.outputs['folder']}/predicate.json",
        "predicate-type": "urn:finetune-gate:decision:v1",
    }
    assert (record.decision, record.run.trigger, record.run.actor) == (decision, "github", "octocat")
    assert done.file("report").is_file()
    assert [one.name for one in done.commands if one.name != "add-mask"] == kinds
    assert [one.message for one in done.said("add-mask")] == ["ghs_secret"]
    assert decision in done.summary.lower()
    (comment,) = decided(decision).comments
    assert comment.rstrip().endswith(comment_marker(HOSTILE_MODEL))
    assert "https://github.com/octo/bots/actions/runs/11" in comment


def test_a_promotion_names_the_champions() -> None:
    outputs = decided("promote").ran.outputs
    assert (outputs["champion-before"], outputs["champion-after"]) == ("", "1")


def test_what_lies_beside_the_record_ties_it_to_the_run() -> None:
    done = decided("promote").ran
    binding = read_binding(done.file("run-binding"))
    assert (binding.repository, binding.run_id, binding.run_attempt) == ("octo/bots", "11", "1")
    assert (binding.model, binding.version, binding.decision) == (HOSTILE_MODEL, "1", "promote")
    assert (binding.record_digest, binding.dry_run) == (done.outputs["record-digest"], False)
    predicate = json.loads(done.file("statement").read_bytes())
    lines = (done.file("folder") / "decision-record.statements.jsonl").read_text().splitlines()
    stated = [json.loads(line) for line in lines]
    assert predicate == stated[1]["predicate"]
    assert stated[1]["predicateType"] == done.outputs["predicate-type"]
    digest = hashlib.sha256(done.file("record").read_bytes()).hexdigest()
    assert {"name": "decision-record.json", "digest": {"sha256": digest}} in stated[1]["subject"]


def test_hostile_names_and_values_do_nothing() -> None:
    done = decided("hostile").ran
    assert (done.status, done.outputs["decision"]) == (1, "block"), done.log
    assert list(done.outputs) == list(NAMES)
    assert {one.name for one in done.commands} == {"add-mask", "error"}
    assert "set-output" in "".join(one.message for one in done.said("error"))
    assert all("\n" not in one.message for one in done.commands)
    for text in (done.summary, decided("hostile").comments[0]):
        assert "\u202e" not in text
        assert "<img" not in text
        assert not any(line.startswith(("::", "##[")) for line in text.splitlines())
    assert "\u202e" in HOSTILE_VALUE


def test_a_dry_run_moves_nothing_and_is_said_to_be_one() -> None:
    done = decided("hostile").ran
    assert done.outputs["champion-before"] == done.outputs["champion-after"]
    assert read_binding(done.file("run-binding")).dry_run


def test_the_comment_is_written_anew_where_a_gate_came_to_nothing(bench: Bench) -> None:
    with comments_api() as api:
        api.add(f"Promote\n{comment_marker(HOSTILE_MODEL)}", "github-actions[bot]", "Bot")
        done = bench.gate(
            bench.gate_file(PASSES, name="good.yaml"),
            FINETUNE_GATE_VERSION="99",
            GITHUB_TOKEN="ghs_secret",
            FINETUNE_GATE_PULL_REQUEST="7",
            GITHUB_API_URL=api.url,
        )
    assert done.status == 2
    (comment,) = api.comments
    assert comment["body"].startswith("## ! No decision")
    assert "99" in comment["body"]


@pytest.mark.parametrize(
    ("environment", "status", "message"),
    [
        ({"FINETUNE_GATE_MODEL": "another"}, 2, "a gate file of"),
        ({"FINETUNE_GATE_VERSION": "7\n::error::x"}, 2, "::error::x"),
        ({"FINETUNE_GATE_DRY_RUN": "yes\n##[set-output name=a]b"}, 2, "FINETUNE_GATE_DRY_RUN"),
        ({"FINETUNE_GATE_DEPLOYMENT": "evaluation_gate/gate"}, 2, "FINETUNE_GATE_MODEL"),
        ({"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}, 4, "127.0.0.1:9"),
    ],
    ids=["other-model", "hostile-version", "no-switch", "deployment-alone", "no-registry"],
)
def test_what_is_wrong_is_an_error_and_its_outputs_say_so(
    bench: Bench, environment: dict[str, str], status: int, message: str
) -> None:
    done = bench.gate(bench.gate_file(PASSES, name="sound.yaml"), **environment)
    assert done.status == status, done.log
    assert done.errors == ""
    assert list(done.outputs) == list(NAMES)
    assert (done.outputs["decision"], done.outputs["exit-status"], done.outputs["record"]) == ("error", str(status), "")
    assert {one.name for one in done.commands} == {"error"}
    assert message in "".join(f"{one.properties['title']} {one.message}" for one in done.commands)
    assert "No decision" in done.summary
    assert "Traceback" not in done.log


def test_a_gate_file_that_is_none_is_two(bench: Bench) -> None:
    (bench.folder / "none.yaml").write_text("rules: [::set-output name=a::b]\n")
    done = bench.gate(bench.folder / "none.yaml")
    assert (done.status, done.outputs["decision"]) == (2, "error")
    assert {one.name for one in done.commands} == {"error"}


def test_outputs_that_cannot_be_written_are_four(bench: Bench) -> None:
    gate_file = bench.gate_file(PASSES, name="sound.yaml")
    done = bench.gate(gate_file, FINETUNE_GATE_MODEL="another", GITHUB_OUTPUT=str(bench.folder))
    assert done.status == 4
    assert "cannot be written" in done.said("error")[-1].message


def test_what_a_gate_loads_does_not_see_the_files_of_the_step(bench: Bench) -> None:
    (bench.folder / "seen.py").write_text(
        "import os\n"
        "names = ('GITHUB_OUTPUT', 'GITHUB_ENV', 'GITHUB_TOKEN')\n"
        "open('seen.txt', 'a').write(' '.join(name for name in names if name in os.environ))\n"
        "raise ImportError('::set-output name=decision::promote')\n"
    )
    gate_file = bench.gate_file(PASSES, name="own.yaml")
    own = gate_file.read_text().replace("  - perplexity", "  - seen:Kind: {data: holdout}\n  - perplexity", 1)
    gate_file.write_text(own)
    environment = {"PYTHONPATH": str(bench.folder), "GITHUB_ENV": "/nowhere", "GITHUB_TOKEN": "ghs_secret"}
    done = bench.command("gate", warm=False, FINETUNE_GATE_GATE_FILE=str(gate_file), **environment)
    assert (done.status, done.outputs["decision"], done.errors) == (2, "error", ""), done.log
    assert {one.name for one in done.commands} == {"add-mask", "error"}
    assert (bench.folder / "seen.txt").read_text() == ""


def test_machines_are_told_the_outputs_in_json(bench: Bench) -> None:
    done = bench.command("gate", "--json", FINETUNE_GATE_GATE_FILE="gone.yaml")
    assert done.status == 2
    assert '"decision": "error"' in done.log
