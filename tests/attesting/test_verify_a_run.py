"""``finetune-gate verify``: a run that is as it was written is verified, and nothing else is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from kept_runs import Made, Signer, gated
from workshop import OPEN, PASSES, Workshop

from finetune_gate.evaluators.errors import EvaluationError
from finetune_gate.flows.cli.verify import verify as verify_command
from finetune_gate.gate.attesting.kept import kept_at
from finetune_gate.gate.attesting.keys import public_key
from finetune_gate.gate.attesting.verifying import Verification, verify
from finetune_gate.gate.record import canonical_json, read_record
from finetune_gate.gate.run.attested_files import write_attested

RECORD = "decision-record.json"


def verified(run: str | Path, key: Path | None = None, uri: str | None = None) -> Verification:
    with kept_at(str(run), uri) as kept:
        return verify(kept, None if key is None else public_key(key))


def states(found: Verification) -> dict[str, str]:
    return {check.name: check.state for check in found.checks}


def changed(folder: Path, change: Callable[[dict[str, Any]], object], *, again: bool = True) -> Path:
    """The record with something else in it, and statements that follow from it: whoever changes a record can do so."""
    value = json.loads((folder / RECORD).read_bytes())
    change(value)
    (folder / RECORD).write_bytes(canonical_json(value) + b"\n")
    if again:
        write_attested(read_record(folder / RECORD), folder)
    return folder


def said(*arguments: str | Path) -> Result:
    return CliRunner().invoke(verify_command, [*map(str, arguments)], catch_exceptions=False)


def test_a_run_is_verified_by_folder_record_and_id(made: Made, signer: Signer) -> None:
    run_id = made.result.address.split("/")[1]
    names = (made.folder, made.folder / RECORD, run_id, f"runs:/{run_id}", made.result.address)
    for name in names:
        found = verified(name, signer.public, made.workshop.uri)
        assert (found.outcome, found.differences, set(states(found).values())) == ("verified", (), {"same"})
    assert made.result.record.decision == "promote"
    assert made.result.record.findings is not None


def test_without_a_key_it_is_said_that_signatures_were_not_checked(made: Made) -> None:
    found = verified(made.folder)
    assert (found.outcome, states(found)["signatures"]) == ("verified", "not checked")
    assert "give --key" in next(check.said for check in found.checks if check.name == "signatures")


@pytest.mark.parametrize("extra", ["promotion: {approval: required}", ""], ids=["awaits approval", "undecided"])
def test_what_is_held_is_verified_too(workshop: Workshop, extra: str) -> None:
    """Where a person is waited for, what the approval would be of is among the files."""
    result = gated(workshop, workshop.gate(PASSES, *([] if extra else [OPEN]), extra=extra, classify=not extra))
    found = verified(result.folder)
    assert (result.record.decision, found.outcome) == ("hold", "verified")
    assert states(found)["signatures"] == "not checked"
    stated = json.loads((result.folder / "decision-record.statements.jsonl").read_text().split("\n")[0])
    names = [one["name"] for one in stated["subject"]]
    assert ("seen.json" in names) == result.record.awaits_approval == bool(extra)


CHANGES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "decision": (lambda value: value.update(decision="block"), "decision"),
    "sentence": (lambda value: value.update(sentence="Promote: all is well."), "sentence"),
    "outcome": (lambda value: value["rules"][0].update(outcome="failed"), "rules[0].outcome"),
    "bound": (lambda value: value["rules"][1]["checks"][0].update(bound=0.25), "rules[1].checks[0].bound"),
    "rule": (lambda value: value["rules"][1]["settings"].update(min=0.25), "rules[1].settings.min"),
    "gate file": (lambda value: value["gate_file"]["settings"]["rules"][1].update(min=0.25), "rules[1].settings.min"),
    "measured": (
        lambda value: value["measurements"][0]["candidate"].update(value=0.75),
        "measurements[0].candidate.value",
    ),
    "last bit": (
        lambda value: value["measurements"][0]["candidate"].update(
            low=value["measurements"][0]["candidate"]["low"] * (1 + 2**-52)
        ),
        "measurements[0].candidate.low",
    ),
    "seed": (lambda value: value.update(seed=1), "seed"),
    "day": (lambda value: value.update(today="soon"), "record"),
    "evaluator": (lambda value: value["evaluators"][0].update(version=7), "evaluators[0].version"),
    "label": (lambda value: value["evaluators"][0]["settings"]["labels"].reverse(), "evaluators[0].settings.labels[0]"),
    "dataset": (lambda value: value["datasets"][0].update(file="mine.jsonl"), "datasets[0].file"),
    "model": (lambda value: value.update(model="another"), "model"),
    "rows": (lambda value: value["score_table"].update(rows=3), "score_table.rows"),
    "findings": (lambda value: value["findings"].update(digest="0" * 64), "findings.digest"),
    "examples": (lambda value: value["examples"].update(digest="0" * 64), "examples.digest"),
    "review": (
        lambda value: value.update(review={"verdict": "block", "reviewer": "eve", "reason": "no"}),
        "decision",
    ),
    "identical": (lambda value: value.update(identical=["base"]), "identical"),
    "champion moved": (lambda value: value.update(champion_moved="it went to version 9"), "decision"),
    "measurements": (lambda value: value["measurements"].pop(), "measurements"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_follows_from_something_else_cannot_be_changed_even_with_new_statements(folder: Path, name: str) -> None:
    change, where = CHANGES[name]
    found = verified(changed(folder, change))
    assert found.outcome == "differs"
    assert where in [one.where for one in found.differences], found.differences
    by_bytes = [states(found)[check] for check in ("record", "files", "statements")]
    assert by_bytes == ["same", "same", "same"], "the statements were written again"


def test_what_follows_from_nothing_is_held_by_the_statements_and_they_by_the_signature(
    folder: Path, signer: Signer
) -> None:
    """Who ran the gate, and which files a model's digest names."""

    def other(value: dict[str, Any]) -> None:
        value["run"]["actor"] = "eve"
        value["models"][0]["digest"] = "0" * 64

    found = verified(changed(folder, other, again=False), signer.public)
    assert {name for name, state in states(found).items() if state == "differs"} == {
        "files", "statements", "signatures",
    }  # fmt: skip
    bundle = (folder / "decision-record.intoto.jsonl").read_bytes()
    changed(folder, lambda value: None)
    (folder / "decision-record.intoto.jsonl").write_bytes(bundle)
    found = verified(folder, signer.public)
    assert [name for name, state in states(found).items() if state == "differs"] == ["signatures"]


def test_the_record_is_written_in_one_way_only(folder: Path) -> None:
    value = json.loads((folder / RECORD).read_bytes())
    record = read_record(folder / RECORD)
    (folder / RECORD).write_text(json.dumps(value, indent=1))
    assert read_record(folder / RECORD) == record
    assert states(verified(folder))["record"] == "differs"


@pytest.mark.parametrize(
    ("file", "check"),
    [
        ("scores.parquet", "files"),
        ("findings.json", "findings"),
        ("examples.parquet", "files"),
        ("decision-record.statements.jsonl", "statements"),
        ("decision-record.intoto.jsonl", "signatures"),
    ],
)
def test_a_file_that_is_gone_is_missed(folder: Path, signer: Signer, file: str, check: str) -> None:
    (folder / file).unlink()
    found = verified(folder, signer.public)
    assert (found.outcome, states(found)[check]) == ("differs", "differs")


def test_examples_of_another_run_are_not_read(folder: Path, made: Made, workshop: Workshop) -> None:
    other = gated(workshop, workshop.gate(PASSES, classify=False))
    (folder / "examples.parquet").write_bytes((other.folder / "examples.parquet").read_bytes())
    found = states(verified(folder))
    assert (found["files"], found["examples"], found["decision"]) == ("differs", "not checked", "same")
    write_attested(read_record(folder / RECORD), folder)
    found = verified(folder)
    assert states(found)["examples"] == "differs"
    assert {one.where for one in found.differences} == {"examples.digest", "examples.examples"}
    (folder / "examples.parquet").write_bytes(b"PAR1")
    write_attested(read_record(folder / RECORD), folder)
    assert states(verified(folder))["examples"] == "differs"


def test_a_run_that_keeps_no_examples_is_verified_too(workshop: Workshop) -> None:
    kept = gated(workshop, workshop.gate(PASSES, extra="report: {examples: 0}"))
    assert kept.record.examples is None
    assert not (kept.folder / "examples.parquet").exists()
    found = verified(kept.folder)
    assert (found.outcome, states(found)["examples"]) == ("verified", "not checked")


def test_scores_of_another_run_are_not_read(folder: Path, made: Made, workshop: Workshop) -> None:
    other = gated(workshop, workshop.gate(PASSES, classify=False))
    (folder / "scores.parquet").write_bytes((other.folder / "scores.parquet").read_bytes())
    found = states(verified(folder))
    assert (found["files"], found["score table"], found["decision"]) == ("differs", "not checked", "not checked")
    record = read_record(folder / RECORD)
    write_attested(record, folder)
    found = verified(folder)
    assert states(found)["score table"] == "differs"
    assert {one.where for one in found.differences} == {"score_table.digest", "score_table.rows"}


def test_a_table_of_anything_else_is_said_to_be_none(folder: Path) -> None:
    """Written again with everything that names it: only what is in it is wrong."""
    import pyarrow
    import pyarrow.parquet

    names = ("evaluator", "example_id", "role", "component", "value", "reason", "group")
    for values in ([1, 2, 3, 4, 5.0, None, None], [["a"], "1", "base", "c", 5.0, None, None]):
        table = pyarrow.table({name: [value] for name, value in zip(names, values, strict=True)})
        pyarrow.parquet.write_table(table, folder / "scores.parquet")
        write_attested(read_record(folder / RECORD), folder)
        found = verified(folder)
        assert (found.outcome, states(found)["score table"]) == ("differs", "differs")


def test_a_look_that_no_run_could_have_taken_is_a_difference(folder: Path) -> None:
    look = {"shares": [0.5, 1.0], "at": 7, "stopped": None, "units": [], "unasked": 0.0}
    found = verified(changed(folder, lambda value: value.update(look=look)))
    assert (found.outcome, states(found)["measurements"]) == ("differs", "differs")


def test_an_evaluator_that_cannot_be_imported_here_is_no_difference(folder: Path) -> None:
    """The record is as it was kept, and it is said what is missing; of one that was changed, nothing is imported."""

    def foreign(value: dict[str, Any]) -> None:
        (settings,) = value["gate_file"]["settings"]["evaluators"][0].values()
        value["gate_file"]["settings"]["evaluators"][0] = {"our_metrics.politeness:Politeness": settings}

    found = verified(changed(folder, foreign))
    assert (found.outcome, states(found)["gate file"]) == ("could not be decided again", "impossible")
    assert "importable module 'our_metrics.politeness'" in str(found.problems[0])
    ended = said(folder)
    assert (ended.exit_code, "PYTHONPATH" in ended.stderr) == (4, True)
    (folder / "findings.json").write_text("{}")
    found = verified(folder)
    assert (found.outcome, states(found)["gate file"]) == ("differs", "not checked")


def test_no_settings_of_a_gate_file(folder: Path) -> None:
    found = verified(changed(folder, lambda value: value["gate_file"]["settings"].update(rules=[])))
    assert (found.outcome, states(found)["gate file"]) == ("could not be decided again", "impossible")


def test_other_versions_of_what_computes_are_named(folder: Path) -> None:
    def older(value: dict[str, Any]) -> None:
        value["run"]["software"]["numpy"] = "1.26.0"
        candidate = value["measurements"][0]["candidate"]
        candidate["low"] *= 1 + 1e-14

    found = verified(changed(folder, older))
    assert found.hint.startswith(
        "only last digits of numbers differ, and the record was made with other versions: numpy"
    )
    ended = said(folder)
    assert (ended.exit_code, "hint: only last digits" in ended.stdout) == (1, True)

    def much(value: dict[str, Any]) -> None:
        value["measurements"][0]["candidate"]["low"] = 0.0

    assert verified(changed(folder, much)).hint.startswith("numbers differ by more than rounding")


def test_the_command_says_what_it_checked(made: Made, signer: Signer, folder: Path) -> None:
    ended = said(made.folder, "--key", signer.public)
    assert ended.exit_code == 0, ended.stdout
    assert ended.stdout.split("\n")[0] == made.result.record.sentence
    assert f"verified: record digest {made.result.record.digest()}" in ended.stdout
    as_json = json.loads(said(made.folder, "--json").stdout)
    assert (as_json["outcome"], as_json["exit_status"], as_json["decision"]) == ("verified", 0, "promote")
    assert [one["name"] for one in as_json["checks"]] == [
        "record", "files", "statements", "signatures", "score table", "findings", "examples", "gate file",
        "measurements", "rules", "decision",
    ]  # fmt: skip
    changed(folder, lambda value: value.update(sentence="Promote: \x1b[31mall is well."))
    ended = said(folder)
    assert ended.exit_code == 1
    assert "\x1b" not in ended.stdout
    assert "[31mall is well." in ended.stdout
    assert made.result.record.sentence in ended.stdout, "and what it should be"


def test_the_real_command_in_a_process_of_its_own(made: Made, folder: Path) -> None:
    for arguments, status in (((made.folder,), 0), ((folder, "--key", "none.pem"), 2), (("nowhere",), 2)):
        ended = made.workshop.command("verify", *arguments)
        assert ended.returncode == status, ended.stdout + ended.stderr
    (folder / RECORD).write_text('{"schema": "finetune-gate/decision-record/v9"}')
    ended = made.workshop.command("verify", folder)
    assert ended.returncode == 4
    assert "finetune-gate/decision-record/v1" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(("found", "instead"), [(b'"min":0.2', b'"min":NaN'), (b'"metric"', b'"\\ud800"')])
def test_what_json_has_not_is_never_verified(folder: Path, found: bytes, instead: bytes) -> None:
    """Libraries let some of it through."""
    content = (folder / RECORD).read_bytes()
    assert found in content
    (folder / RECORD).write_bytes(content.replace(found, instead))
    try:
        outcome = verified(folder).outcome
    except EvaluationError:
        outcome = "differs"
    assert outcome == "differs"
