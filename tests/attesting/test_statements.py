"""Statements say in the words of in-toto what the record says in its own."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from kept_runs import Made, gated
from workshop import FAILS, OPEN, PASSES, Workshop

from finetune_gate.gate.attesting.differences import differences
from finetune_gate.gate.attesting.statements import DECISION, STATEMENT, TEST_RESULT, statements
from finetune_gate.gate.record import canonical_json, read_record
from finetune_gate.gate.registry import Registry, Tracking

STATEMENTS = "decision-record.statements.jsonl"
BUNDLE = "decision-record.intoto.jsonl"


def stated(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / STATEMENTS).read_bytes().splitlines()]


def test_both_are_about_the_candidate_and_the_files_that_were_kept(made: Made) -> None:
    test_result, decision = stated(made.folder)
    assert (test_result["_type"], decision["_type"]) == (STATEMENT, STATEMENT)
    assert (test_result["predicateType"], decision["predicateType"]) == (TEST_RESULT, DECISION)
    assert test_result["subject"] == decision["subject"]
    candidate, *files = test_result["subject"]
    model = made.result.record.role("candidate")
    assert model is not None
    assert candidate == {
        "name": model.label,
        "uri": model.uri,
        "digest": {"finetuneGateModel": model.digest, "finetuneGateFiles": model.files_digest},
    }
    assert [one["name"] for one in files] == [
        "decision-record.json",
        "scores.parquet",
        "findings.json",
        "examples.parquet",
    ]
    for one in files:
        content = (made.folder / one["name"]).read_bytes()
        assert one["digest"] == {"sha256": hashlib.sha256(content).hexdigest()}


def test_a_promotion_passed(made: Made) -> None:
    test_result, decision = stated(made.folder)
    predicate = test_result["predicate"]
    record = made.result.record
    assert (predicate["result"], predicate["failedTests"]) == ("PASSED", [])
    assert predicate["passedTests"][0] == f"rules[0] {record.rules[0].text}"
    assert len(predicate["passedTests"]) + len(predicate["warnedTests"]) == len(record.rules)
    gate_file, *datasets = predicate["configuration"]
    assert gate_file["name"] == "gate.yaml"
    assert gate_file["digest"]["sha256"] == hashlib.sha256(made.gate.read_bytes()).hexdigest()
    for one in datasets:
        content = (made.workshop.folder / one["name"]).read_bytes()
        assert one["digest"] == {"sha256": hashlib.sha256(content).hexdigest()}
    assert predicate["url"] == made.result.address.rsplit("/", 2)[0]
    own = decision["predicate"]
    assert (own["decision"], own["sentence"]) == ("promote", record.sentence)
    assert own["record"]["digest"] == record.digest()
    assert own["action"]["outcome"] == "moved"
    assert [one["title"] for one in own["evaluators"]] == ["classification", "perplexity", "overfitting"]
    assert {one["role"] for one in own["models"]} == {"candidate", "base"}


@pytest.mark.parametrize(
    ("rule", "result", "kind"), [(FAILS, "FAILED", "failedTests"), (OPEN, "WARNED", "warnedTests")]
)
def test_what_blocks_failed_and_what_holds_warned(workshop: Workshop, rule: str, result: str, kind: str) -> None:
    test_result, own = stated(gated(workshop, workshop.gate(PASSES, rule)).folder)
    predicate = test_result["predicate"]
    assert (predicate["result"], len(predicate[kind]), len(predicate["passedTests"])) == (result, 1, 1)
    assert own["predicate"]["decision"] == {"FAILED": "block", "WARNED": "hold"}[result]


def test_they_follow_from_the_record_alone(made: Made) -> None:
    """And so do their bytes: nothing of today, of this machine or of how the run went is in them."""
    files = ("decision-record.json", "scores.parquet", "findings.json", "examples.parquet")
    digests = {name: hashlib.sha256((made.folder / name).read_bytes()).hexdigest() for name in files}
    record = read_record(made.folder / "decision-record.json")
    assert b"".join(one + b"\n" for one in statements(record, digests)) == (made.folder / STATEMENTS).read_bytes()
    for line in (made.folder / STATEMENTS).read_bytes().splitlines():
        assert line == canonical_json(json.loads(line))


def test_a_folder_of_tables_has_a_digest_of_another_name(made: Made) -> None:
    record = read_record(made.folder / "decision-record.json")
    folder = record.model_copy(update={"datasets": (record.datasets[0].model_copy(update={"file": "tables"}),)})
    test_result, own = (json.loads(one)["predicate"] for one in statements(folder, {}))
    assert test_result["configuration"][1]["digest"] == {"finetuneGateFolder": record.datasets[0].digest}
    assert own["datasets"]["holdout"] == {"finetuneGateFolder": record.datasets[0].digest}


def test_mlflow_keeps_what_the_folder_keeps(made: Made, tmp_path: Path) -> None:
    tracking = Tracking(Registry.connect(made.workshop.uri))
    fetched = tracking.fetch(made.result.address.rpartition("/")[0], tmp_path)
    for name in (STATEMENTS, BUNDLE, "decision-record.json"):
        assert (fetched / name).read_bytes() == (made.folder / name).read_bytes()


def test_statements_are_in_mlflow_before_the_alias_is_moved(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A promotion that is cut off right there leaves what it rests on, whole."""
    from finetune_gate.gate.registry import LedgerPromotion

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(LedgerPromotion, "promote", killed)
    with pytest.raises(KeyboardInterrupt):
        gated(workshop, workshop.gate(PASSES, classify=False))
    assert workshop.champion() is None
    (there,) = (workshop.folder / "artifacts" / "gate").rglob(STATEMENTS)
    subjects = {one["name"]: one["digest"] for one in stated(there.parent)[0]["subject"]}
    content = (there.parent / "decision-record.json").read_bytes()
    assert subjects["decision-record.json"] == {"sha256": hashlib.sha256(content).hexdigest()}


@pytest.mark.parametrize(
    ("found", "expected", "where"),
    [
        ({"a": [1, 2.0]}, {"a": [1, 2.0]}, []),
        ({"a": [1, {"b": 0.0}]}, {"a": [1, {"b": -0.0}]}, ["x.a[1].b"]),
        ({"a": 1}, {"b": 1}, ["x.b", "x.a"]),
        ([1, 2], [1, 3, 4], ["x", "x[1]"]),
        ({"a": 1}, [1], ["x"]),
        (1, True, ["x"]),
        ("1", 1, ["x"]),
    ],
    ids=range(7),
)
def test_differences_are_named_by_where_they_are(found: object, expected: object, where: list[str]) -> None:
    assert [one.where for one in differences("x", found, expected)] == where
