"""What is said of a decision in the words of in-toto: two Statements about the same files, each canonical JSON.

    digests = {"decision-record.json": "5f0c...", "scores.parquet": "9d1e..."}
    test_result, decision = statements(record, digests)

The first has the predicate that many tools read (test-result v0.1), the second all that this gate has to say. Both are
pure functions of the record and of the digests of the files beside it, so that anybody can write them again.

Statement: https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md;
test-result: https://github.com/in-toto/attestation/blob/main/spec/predicates/test-result.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Final, Literal

from ..deciding import Verdict
from ..record import SCHEMA, DatasetRecord, DecisionRecord, ModelRecord, RuleRecord, canonical_json

STATEMENT: Final = "https://in-toto.io/Statement/v1"
TEST_RESULT: Final = "https://in-toto.io/attestation/test-result/v0.1"
DECISION: Final = "urn:finetune-gate:decision:v1"
"""Predicate type of the gate's own statement. A field is never given another meaning under it."""

_RESULTS: Final[Mapping[Verdict, str]] = {"promote": "PASSED", "block": "FAILED", "hold": "WARNED"}
Json = Mapping[str, object]


def statements(record: DecisionRecord, digests: Mapping[str, str]) -> tuple[bytes, bytes]:
    """``digests``: SHA-256, in hex, of the files that were kept, by name."""
    subject = [
        *(_model(model) for model in record.models if model.role == "candidate"),
        *({"name": name, "digest": {"sha256": digest}} for name, digest in digests.items()),
    ]
    return (
        _statement(subject, TEST_RESULT, _test_result(record)),
        _statement(subject, DECISION, _decision(record)),
    )


def _statement(subject: list[Json], predicate_type: str, predicate: Json) -> bytes:
    return canonical_json(
        {"_type": STATEMENT, "subject": subject, "predicateType": predicate_type, "predicate": predicate}
    )


def _model(model: ModelRecord) -> Json:
    """Its two digests are over lists of files, and not over one file's bytes: so neither is called ``sha256``."""
    digest = {"finetuneGateModel": model.digest, "finetuneGateFiles": model.files_digest}
    return {"name": model.label, "uri": model.uri, "digest": digest}


def _test_result(record: DecisionRecord) -> Json:
    gate_file = PurePath(record.run.gate_file or "gate file").name
    configuration: list[Json] = [{"name": gate_file, "digest": {"sha256": record.gate_file.digest}}]
    configuration += [
        {"name": one.file, "digest": _dataset_digest(one), "annotations": {"dataset": one.name}}
        for one in record.datasets
    ]
    tests: dict[str, list[str]] = {"passedTests": [], "warnedTests": [], "failedTests": []}
    for rule in record.rules:
        tests[f"{_kind(rule)}Tests"].append(f"rules[{rule.index}] {rule.text}")
    run = {"url": f"runs:/{record.run.run_id}"} if record.run.run_id else {}
    return {"result": _RESULTS[record.decision], "configuration": configuration, **tests, **run}


def _dataset_digest(dataset: DatasetRecord) -> Json:
    """A folder's digest is over names and digests of the tables in it."""
    return {"sha256" if PurePath(dataset.file).suffix else "finetuneGateFolder": dataset.digest}


def _kind(rule: RuleRecord) -> Literal["passed", "warned", "failed"]:
    """A rule fails a test where it blocks; whatever else did not pass warns."""
    if rule.outcome == "passed":
        return "passed"
    return "failed" if rule.outcome == "failed" and rule.severity == "block" else "warned"


def _decision(record: DecisionRecord) -> Json:
    action = record.run.action
    return {
        "decision": record.decision,
        "sentence": record.sentence,
        "awaitsApproval": record.awaits_approval,
        "model": record.model,
        "models": [{"role": one.role, **_model(one)} for one in record.models],
        "record": {"schema": SCHEMA, "digest": record.digest()},
        "gateFile": {"sha256": record.gate_file.digest},
        "datasets": {one.name: _dataset_digest(one) for one in record.datasets},
        "evaluators": [{"title": one.title, "kind": one.kind, "version": one.version} for one in record.evaluators],
        "gateVersion": record.run.software.get("finetune-gate", ""),
        "seed": record.seed,
        "today": record.today,
        "review": record.review.model_dump(mode="json") if record.review else None,
        "dryRun": record.run.dry_run,
        "action": action.model_dump(mode="json") if action else None,
    }
