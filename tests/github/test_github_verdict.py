"""``finetune-gate github verdict``: green for one thing only."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from github_bench import Ran, decided, shared_bench

from finetune_gate.flows.github.settings import read_verdict_inputs
from finetune_gate.flows.github.verdict import CheckVerdict, verdict_on

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("github")]


def environment(ran: Ran, folder: Path | None = None, **changed: str) -> dict[str, str]:
    """As a workflow sets it for the job after the one that ``ran``."""
    outputs = ran.outputs
    said = {
        "RESULT": "success" if ran.status == 0 else "failure",
        "DECISION": outputs["decision"],
        "VERSION": outputs["version"],
        "MODEL": outputs["model"],
        "RECORD_DIGEST": outputs["record-digest"],
        "FOLDER": str(folder or ran.file("folder")),
        **changed,
    }
    runner = {"GITHUB_REPOSITORY": "octo/bots", "GITHUB_RUN_ID": "11", "GITHUB_RUN_ATTEMPT": "1"}
    return runner | {
        name if name.startswith("GITHUB_") else f"FINETUNE_GATE_{name}": value for name, value in said.items()
    }


def judged(ran: Ran, folder: Path | None = None, **changed: str) -> CheckVerdict:
    return verdict_on(read_verdict_inputs(environment(ran, folder, **changed)))


def test_a_promotion_of_this_run_is_green() -> None:
    found = judged(decided("promote").ran)
    assert (found.status, found.decision) == (0, "promote"), found.sentence


@pytest.mark.parametrize(
    ("name", "allow", "status"),
    [
        ("block", "promote", 1),
        ("hold", "promote", 3),
        ("hold", "promote,hold", 0),
        ("block", "promote,hold", 1),
        ("promote", "hold", 4),
    ],
)
def test_what_is_allowed_is_green_and_the_rest_its_own_status(name: str, allow: str, status: int) -> None:
    found = judged(decided(name).ran, ALLOW=allow, VERIFY="record")
    assert (found.status, found.decision) == (status, name), found.sentence


@pytest.mark.parametrize("result", ["skipped", "cancelled", "failure", "", "SUCCESS", "success\n"])
@pytest.mark.parametrize("allow", ["promote", "promote,hold,block"])
def test_a_job_that_did_not_succeed_is_never_green(result: str, allow: str) -> None:
    found = judged(decided("promote").ran, RESULT=result, ALLOW=allow, VERIFY="record")
    assert found.status == (0 if result.strip() == "success" else 4)
    for name in ("block", "hold"):
        found = judged(decided(name).ran, RESULT=result, VERIFY="record")
        assert found.status != 0


@pytest.mark.parametrize("result", ["skipped", "cancelled", ""])
def test_an_allowed_hold_of_a_job_that_did_not_end_is_red(result: str) -> None:
    assert judged(decided("hold").ran, RESULT=result, ALLOW="promote,hold", VERIFY="record").status == 4


@pytest.mark.parametrize(
    "changed",
    [
        {"DECISION": ""},
        {"DECISION": "error"},
        {"DECISION": "hold"},
        {"VERSION": "2"},
        {"VERSION": ""},
        {"MODEL": "another"},
        {"MODEL": ""},
        {"RECORD_DIGEST": ""},
        {"RECORD_DIGEST": "0" * 64},
        {"FOLDER": ""},
        {"FOLDER": "/nowhere"},
        {"GITHUB_RUN_ID": "12"},
        {"GITHUB_RUN_ATTEMPT": "2"},
        {"GITHUB_RUN_ATTEMPT": ""},
        {"GITHUB_REPOSITORY": "octo/other"},
    ],
    ids=str,
)
def test_whatever_does_not_fit_is_red(changed: dict[str, str]) -> None:
    found = judged(decided("promote").ran, VERIFY="record", **changed)
    assert (found.status, found.decision) == (4, None)
    assert found.sentence


def test_a_new_attempt_is_told_what_to_do() -> None:
    assert "Re-run all jobs" in judged(decided("promote").ran, GITHUB_RUN_ATTEMPT="2").sentence


def test_a_dry_run_counts_where_it_was_meant() -> None:
    ran = decided("hostile").ran
    assert judged(ran, VERIFY="record").status == 4
    assert "dry run" in judged(ran, VERIFY="record").sentence
    assert judged(ran, VERIFY="record", DRY_RUN="true").status == 1


def _flip(name: str) -> Callable[[Path], None]:
    def flipped(folder: Path) -> None:
        content = bytearray((folder / name).read_bytes())
        content[len(content) // 2] ^= 1
        (folder / name).write_bytes(bytes(content))

    return flipped


def _without(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def _promoted(folder: Path) -> None:
    """A block that somebody wrote another word into, beside it as well."""
    for name in ("decision-record.json", "github-run.json"):
        path = folder / name
        path.write_text(path.read_text().replace('"decision":"block"', '"decision":"promote"'))


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("promote", _without("github-run.json")),
        ("promote", _without("decision-record.json")),
        ("promote", _without("scores.parquet")),
        ("promote", _without("decision-record.statements.jsonl")),
        ("promote", _flip("github-run.json")),
        ("promote", _flip("decision-record.json")),
        ("promote", _flip("scores.parquet")),
        ("block", _promoted),
    ],
    ids=range(8),
)
def test_damaged_evidence_is_red(tmp_path: Path, name: str, damage: Callable[[Path], None]) -> None:
    ran = decided(name).ran
    folder = tmp_path / "artifact"
    shutil.copytree(ran.file("folder"), folder)
    damage(folder)
    found = judged(ran, folder, RESULT="success", DECISION="promote")
    assert (found.status, found.decision) == (4, None)


def test_the_command_says_it_in_log_and_summary() -> None:
    for name, status, kind in (("promote", 0, "notice"), ("block", 1, "error")):
        done = shared_bench().command("verdict", "--json", **environment(decided(name).ran))
        assert (done.status, done.errors) == (status, "")
        assert [one.name for one in done.commands] == [kind]
        assert f'"exit_status": {status}' in done.log
        assert "Evaluation gate" in done.summary


def test_nothing_at_all_is_red() -> None:
    done = shared_bench().command("verdict")
    assert done.status == 4
    assert done.commands[0].message == "red: the evaluation did not run"


def test_a_setting_that_cannot_be_is_usage() -> None:
    done = shared_bench().command("verdict", FINETUNE_GATE_ALLOW="all\n::error::x")
    assert done.status == 2
    assert done.commands == []


def test_a_decision_in_another_s_words_is_inert() -> None:
    done = shared_bench().command("verdict", FINETUNE_GATE_RESULT="x\n::set-output name=a::b ##[error]c")
    assert done.status == 4
    assert [one.name for one in done.commands] == ["error"]
