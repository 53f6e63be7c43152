"""``finetune-gate approve`` for runs of the command line: what is held is promoted by a person, or not at all."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from workshop import BASE, MODEL, OPEN, PASSES, Workshop

from finetune_gate.evaluators.errors import ConfigurationError, EvaluationError, FinetuneGateError
from finetune_gate.flows.cli.approve import approve
from finetune_gate.gate.deciding import Review
from finetune_gate.gate.record import DecisionRecord, read_record, write_record
from finetune_gate.gate.registry import Registry
from finetune_gate.gate.run import GateRequest, GateResult, walk
from finetune_gate.gate.run.approving import Refused, waiting_at
from finetune_gate.gate.run.seen_files import read_seen, write_seen

ASKS = "promotion: {approval: required}"


@pytest.fixture
def here(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    monkeypatch.chdir(workshop.folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", workshop.uri)
    monkeypatch.setenv("FINETUNE_GATE_HOME", str(workshop.folder / "home"))
    return workshop


def held(here: Workshop, *rules: str, extra: str = ASKS, **request: Any) -> GateResult:
    """Version 2 gated as `finetune-gate run` does."""
    gate = here.gate(*(rules or (PASSES,)), extra=extra, classify=bool(rules))
    return walk(GateRequest(Path(gate.name), **{"candidate": "2", "tracking_uri": here.uri} | request))


def said(*arguments: str) -> Result:
    """A FinetuneGateError is raised, as the program gets it."""
    fixed = ("--reason", "read the report", "--as", "Ana Ruiz", "--yes")
    return CliRunner().invoke(approve, [*arguments, *fixed], catch_exceptions=False)


def id_of(result: GateResult) -> str:
    return result.address.split("/")[1]


def newest(here: Workshop) -> DecisionRecord:
    (path,) = (here.folder / ".finetune-gate").glob("*/decision-record.json")
    return read_record(path)


def test_what_passed_is_held_until_it_is_approved_by_the_command_that_the_run_shows(here: Workshop) -> None:
    """The commands themselves, in processes of their own."""
    here.gate(PASSES, classify=False, extra=ASKS)
    ran = here.command("run", "--version", "2", "--no-prefect", "--json")
    assert ran.returncode == 3, ran.stderr
    shown = json.loads(ran.stdout)
    assert (shown["decision"], shown["awaits_approval"], here.champion()) == ("hold", True, None)
    assert shown["sentence"].endswith("; promotion waits for a person's approval.")
    run_id = shown["mlflow"].split("/")[1]
    assert shown["approve"] == f'finetune-gate approve {run_id} --reason "WHY"'
    assert here.tags("2")["finetune_gate.decision"] == "hold"
    assert here.client().get_run(run_id).data.tags["finetune_gate.awaits_approval"] == "true"

    asked = here.command("approve", run_id, "--reason", "read the report")
    assert (asked.returncode, "add --yes" in asked.stderr) == (2, True)
    done = here.command("approve", run_id, "--reason", "read the report", "--as", "Ana Ruiz", "--yes")
    assert done.returncode == 0, done.stderr
    assert "approved by Ana Ruiz in review: read the report" in " ".join(done.stdout.replace("│", " ").split())
    assert here.champion() == "2"
    record = newest(here)
    assert (record.decision, record.awaits_approval, record.approval_required) == ("promote", False, True)
    assert record.review is not None
    assert (record.review.verdict, record.review.reviewer, record.review.reason) == (
        "approve", "Ana Ruiz", "read the report",
    )  # fmt: skip
    assert record.run.trigger == f"approval of run {run_id}"
    assert record.run.asked == {"candidate": 0, "base": 0}
    assert here.tags("2")["finetune_gate.record_digest"] == record.digest()


def test_a_run_is_named_by_its_id_its_address_or_its_record(here: Workshop) -> None:
    result, registry = held(here), Registry.connect(here.uri)
    addresses = (id_of(result), result.address, f"runs:/{id_of(result)}")
    for name in (*addresses, str(result.folder / "decision-record.json"), str(result.folder)):
        waiting = waiting_at(name, registry)
        found = (waiting.record.digest(), waiting.seen, waiting.version)
        assert found == (result.record.digest(), result.seen, "2")
    assert said(str(result.folder)).exit_code == 0
    assert here.champion() == "2"


def test_a_block_blocks_and_no_approval_of_what_was_before_overrules_it(here: Workshop) -> None:
    result = held(here)
    assert said(id_of(result), "--block").exit_code == 1
    record = newest(here)
    assert (record.decision, record.review and record.review.verdict) == ("block", "block")
    assert record.run.trigger == f"block of run {id_of(result)}"
    with pytest.raises(Refused, match="has been blocked since"):
        said(id_of(result))
    assert here.champion() is None


def test_an_approval_said_twice_promotes_once(here: Workshop) -> None:
    result = held(here)
    assert (said(id_of(result)).exit_code, said(id_of(result)).exit_code) == (0, 0)
    action = newest(here).run.action
    assert action is not None
    assert (action.outcome, here.champion()) == ("already_there", "2")


def test_an_approval_that_was_cut_off_after_the_move_is_completed_by_the_same_command(
    here: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = held(here)

    def full(*_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("finetune_gate.gate.run.steps.render_html", full)
    with pytest.raises(EvaluationError, match="promote was decided and acted on"):
        said(id_of(result))
    monkeypatch.undo()
    monkeypatch.chdir(here.folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", here.uri)
    monkeypatch.setenv("FINETUNE_GATE_HOME", str(here.folder / "home"))
    assert (said(id_of(result)).exit_code, here.champion()) == (0, "2")


def test_data_that_changed_since_are_not_what_was_approved(here: Workshop) -> None:
    result = held(here)
    with (here.folder / "holdout.jsonl").open("a") as holdout:
        holdout.write(json.dumps({"id": "late", "text": "One more", "label": "parcel", "category": "a"}) + "\n")
    ended = said(id_of(result))
    assert ended.exit_code == 3
    assert "The approval does not count. Since then has changed: dataset holdout, scores." in ended.stderr
    assert here.champion() is None
    again = [read_record(path) for path in (here.folder / ".finetune-gate").glob("*/decision-record.json")]
    assert {record.review for record in again} == {None}
    assert all(record.awaits_approval for record in again)


def test_a_champion_that_came_since_is_not_replaced(here: Workshop) -> None:
    result = held(here)
    here.client().set_registered_model_alias(MODEL, "champion", "1")
    ended = said(id_of(result), "--json")
    assert ended.exit_code == 3
    assert json.loads(ended.stdout)["awaits_approval"]
    assert "has changed: alias champion, champion" in ended.stderr
    assert here.champion() == "1"


def test_one_that_the_request_asked_for_is_asked_for_again_where_the_approval_does_not_count(here: Workshop) -> None:
    """The gate file does not want one: whoever changes the data must not get it promoted by that."""
    result = held(here, extra="", approval=True)
    assert result.record.awaits_approval
    with (here.folder / "holdout.jsonl").open("a") as holdout:
        holdout.write(json.dumps({"id": "late", "text": "One more", "label": "parcel", "category": "a"}) + "\n")
    assert (said(id_of(result)).exit_code, here.champion()) == (3, None)


def test_a_request_makes_it_stricter_and_never_laxer(here: Workshop) -> None:
    assert held(here, approval=False).record.awaits_approval
    assert not held(here, extra="", approval=False).record.approval_required


def test_it_is_refused_when_the_time_is_over(here: Workshop) -> None:
    result = held(here, extra=f"{ASKS}\nreview: {{hours: 0.000001}}")
    with pytest.raises(Refused, match="the time for an approval is over: it ended") as caught:
        said(id_of(result))
    assert caught.value.exit_status == 3
    assert here.champion() is None
    usual = held(here)
    registry = Registry.connect(here.uri)
    until = waiting_at(id_of(usual), registry).until
    assert until == datetime.fromisoformat(usual.record.run.started_at) + timedelta(hours=72)
    with pytest.raises(Refused):
        waiting_at(id_of(usual), registry, now=until)
    assert waiting_at(id_of(usual), registry, now=until - timedelta(seconds=1)).version == "2"


def test_what_waits_for_no_approval_is_not_approved(here: Workshop) -> None:
    unsettled = held(here, PASSES, OPEN)
    assert (unsettled.record.decision, unsettled.record.awaits_approval) == ("hold", False)
    assert not (unsettled.folder / "seen.json").exists()
    with pytest.raises(ConfigurationError, match=r"it waits for no approval: Hold: classification\.accuracy"):
        said(id_of(unsettled))
    dry = held(here, dry_run=True)
    assert dry.record.awaits_approval
    with pytest.raises(ConfigurationError, match="it is a dry run"):
        said(id_of(dry))
    assert here.champion() is None


@pytest.mark.parametrize(
    ("run", "message"),
    [
        ("0" * 32, "read run 0000"),
        ("decision.json", "that is no id"),
        ("runs:/" + "0" * 32, "read run 0000"),
        ("01234567-89ab-cdef-0123-456789abcdef", "no Prefect server is named"),
    ],
)
def test_a_run_that_is_none_is_said(
    here: Workshop, run: str, message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    with pytest.raises(FinetuneGateError, match=message):
        said(run)


def test_a_run_that_is_no_gate_is_said(here: Workshop) -> None:
    trained = here.client().get_model_version(MODEL, "2").run_id
    with pytest.raises(EvaluationError, match="there is no such file"):
        said(trained)


def test_the_gate_file_is_the_one_that_decided(here: Workshop) -> None:
    result = held(here)
    decided = (here.folder / "gate.yaml").read_text()
    (here.folder / "gate.yaml").write_text(decided.replace("max: 40", "max: 41"))
    with pytest.raises(ConfigurationError, match="another file, with digest"):
        said(id_of(result))
    with pytest.raises(ConfigurationError, match="no such file"):
        said(id_of(result), "--gate-file", "gone.yaml")
    assert here.champion() is None
    (here.folder / "old.yaml").write_text(decided)
    assert said(id_of(result), "--gate-file", "old.yaml").exit_code == 0
    assert here.champion() == "2"


def test_a_base_that_was_named_by_hand_is_named_again(here: Workshop) -> None:
    result = held(here, base=f"models:/{BASE}/1")
    with pytest.raises(ConfigurationError, match=f"--base models:/{BASE}/1"):
        said(id_of(result))
    assert said(id_of(result), "--base", f"models:/{MODEL}/1").exit_code == 3
    assert here.champion() is None
    assert said(id_of(result), "--base", f"models:/{BASE}/1").exit_code == 0


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        (("--reason", "..."), "--reason: there is no letter or digit in it"),
        (("--as", " "), "--as: "),
        (("--reason", "x" * 301), "--reason: "),
        (("--wait", "5"), "only for the id of a Prefect flow run"),
    ],
)
def test_what_is_said_must_say_something(here: Workshop, given: tuple[str, str], fault: str) -> None:
    result = held(here)
    fixed = {"--reason": "read the report", "--as": "Ana"} | dict([given])
    arguments = [word for pair in fixed.items() for word in pair]
    with pytest.raises(ConfigurationError, match=fault):
        CliRunner().invoke(approve, [id_of(result), *arguments, "--yes"], catch_exceptions=False)


def test_a_record_and_what_was_seen_belong_together(here: Workshop) -> None:
    result = held(here)
    path = result.folder / "decision-record.json"
    record = read_record(path)
    assert read_seen(result.folder / "seen.json", record.digest()) == result.seen
    write_record(record.model_copy(update={"sentence": "Hold: something else."}), path)
    with pytest.raises(EvaluationError, match="it is of a record with digest"):
        said(str(path))
    write_record(record, path)
    (result.folder / "seen.json").write_text("{}")
    with pytest.raises(EvaluationError, match="Field required"):
        said(str(path))
    (result.folder / "seen.json").unlink()
    with pytest.raises(EvaluationError, match="No such file"):
        said(str(path))
    assert here.champion() is None


def test_a_record_that_was_made_up_promotes_nothing_that_the_rules_hold(here: Workshop) -> None:
    """Who says that a run waits for approval is a file: the gate is walked again, and decides on what is there."""
    result = held(here, PASSES, OPEN)
    forged = result.record.model_copy(update={"awaits_approval": True, "sentence": "Hold: all is well."})
    write_record(forged, result.folder / "decision-record.json")
    write_seen(result.seen, forged.digest(), result.folder / "seen.json")
    assert (said(str(result.folder)).exit_code, here.champion()) == (3, None)
    assert newest(here).review is not None  # it was given, and did not waive what is not settled


def test_reviews_that_waive_do_so_with_an_approval_that_is_required(here: Workshop) -> None:
    """Where both are wanted, one person's word is both."""
    review = Review("approve", "ana", "a formality")
    both = f"{ASKS}\nreview: {{wait: hold}}"
    first = held(here, PASSES, OPEN, extra=both)
    assert (first.record.decision, first.record.awaits_approval) == ("hold", False)
    assert held(here, PASSES, OPEN, extra=both, review=review, seen=first.seen).record.decision == "promote"
