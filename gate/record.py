"""The decision record: canonical JSON of everything a decision rests on.

    write_record(record, folder / "decision-record.json")
    record = read_record(path)

``record.digest()`` covers everything but ``run`` (times, machine, trigger): the same evidence gives the same digest.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from finetune_gate.evaluators.errors import EvaluationError, Problem
from finetune_gate.evaluators.metrics import Subject

from .deciding import Outcome, Verdict
from .gate_file.rules import Severity
from .limits import Limit
from .pins import Role

SCHEMA = "finetune-gate/decision-record/v1"
Number = Annotated[float, Field(allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class EstimateRecord(_Part):
    """A value with its one-sided bounds."""

    value: Number
    low: Number
    high: Number
    n: int
    clusters: int
    method: str
    standard_error: Number | None
    warnings: tuple[str, ...] = ()


class UnmeasuredRecord(_Part):
    """Why there is no value."""

    unmeasured: str


MeasuredRecord = EstimateRecord | UnmeasuredRecord


class ComparisonRecord(_Part):
    """A baseline's own value, and candidate minus baseline; of a metric about pairs, the pair's value."""

    baseline: MeasuredRecord
    difference: MeasuredRecord


class MeasurementRecord(_Part):
    """One metric on one slice, for every model of the run."""

    metric: str
    higher_is_better: bool
    unit: str
    slice: dict[str, str]
    confidence: Number
    planned: int
    scored: dict[str, int]
    candidate: MeasuredRecord
    comparisons: dict[str, ComparisonRecord]
    subject: Subject = "model"


class CheckRecord(_Part):
    """One comparison of a rule. ``against`` is None where the candidate's own value is bounded. ``slice``: the value of
    a column that it is about, where the rule judges each. ``confidence``: of its interval, where that is another than
    the rule's."""

    against: str | None
    bound: Number
    side: Literal["at least", "at most"]
    measured: MeasuredRecord
    outcome: Outcome
    needed: int | None
    slice: dict[str, str] = Field(default_factory=dict[str, str])
    confidence: Number | None = None


class RuleRecord(_Part):
    """A rule of the gate file and what became of it.

    ``settings`` are the rule's own, defaults included. ``measurement`` is the position, in the record's
    ``measurements``, of the one it was judged by; None where nothing was measured.
    """

    index: int
    text: str
    metric: str
    severity: Severity
    outcome: Outcome
    sentence: str
    checks: tuple[CheckRecord, ...]
    settings: dict[str, object]
    measurement: int | None


class ModelRecord(_Part):
    """One model of the run, as pinned."""

    role: Role
    label: str
    uri: str
    name: str | None
    version: str | None
    run_id: str | None
    origin: str
    layout: str
    digest: str
    files_digest: str
    facts: dict[str, str | int | float | bool | None]


class DatasetRecord(_Part):
    """One dataset, by the digest of its file."""

    name: str
    file: str
    digest: str
    rows: int


class EvaluatorRecord(_Part):
    """One evaluator: enough to build it again."""

    title: str
    kind: str
    version: int
    settings: dict[str, object]


class GateFileRecord(_Part):
    """The gate file's digest and every setting it came to, defaults included."""

    digest: str
    settings: dict[str, object]


class ScoreTableRecord(_Part):
    """The score table kept beside the record; ``digest`` is over its rows, not over the file's bytes."""

    file: str
    digest: str
    rows: int


class FindingsRecord(_Part):
    """What evaluators had to show besides numbers, kept beside the record; ``digest`` is that of the file."""

    file: str
    digest: str


class ExamplesRecord(_Part):
    """Examples for people to read, kept beside the record; ``digest`` is over what they say, not the file's bytes."""

    file: str
    digest: str
    examples: int


class ActionRecord(_Part):
    """What acting on the decision changed. ``outcome`` none: nothing was to be changed; dry_run: nothing could be;
    stale: the champion was another by then; digest_changed: the candidate's files were others by then."""

    outcome: Literal["moved", "already_there", "stale", "digest_changed", "none", "dry_run"]
    alias: str
    before: str | None
    after: str | None
    detail: str


class UsageRecord(_Part):
    """What a model was really asked for in this run. ``calls`` of an API, retries included. ``cost`` is None where the
    gate file gives the model no price, and in the currency of its budget."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    retries: int = 0
    rate_limited: int = 0
    cost: Number | None = None


class BudgetRecord(_Part):
    """The limits of the gate file's budget, and what this run spent: calls, tokens, money and seconds, as far as they
    are known. ``unasked``: how many answers are missing, by the reason for which they were not asked for."""

    limits: dict[Limit, Number]
    spent: dict[Limit, Number]
    currency: str
    unasked: dict[str, int]


class RunRecord(_Part):
    """What happened to be so when the decision was made. Not part of the evidence, nor of the digest. ``asked``,
    ``stored`` and ``usage`` are by role, and for judges by their address. ``uses``, by dataset: how many earlier
    gates of this model came to a decision on the same file. ``gate_file``: its path, as it was given. ``run_id``: the
    MLflow run that keeps the record. ``settled``: what was found unfinished about the alias, or moved by hand, when the
    run began, and what was done about it."""

    key: str
    trigger: str
    actor: str
    started_at: str
    seconds: dict[str, Number]
    software: dict[str, str]
    dry_run: bool
    tracking_uri: str
    asked: dict[str, int]
    stored: dict[str, int]
    usage: dict[str, UsageRecord] = Field(default_factory=dict[str, UsageRecord])
    uses: dict[str, int] = Field(default_factory=dict[str, int])
    budget: BudgetRecord | None = None
    action: ActionRecord | None = None
    gate_file: str | None = None
    run_id: str | None = None
    settled: tuple[str, ...] = ()


class ReviewRecord(_Part):
    """What a person said of a decision to hold."""

    verdict: Literal["approve", "block"]
    reviewer: str
    reason: str


class UnitsRecord(_Part):
    """The information that an evaluator has at each planned look, on one slice."""

    evaluator: str
    slice: dict[str, str]
    units: tuple[int, ...]


class LookRecord(_Part):
    """Where the gate file looks at some of the examples before all of them. ``shares`` are those of the planned looks,
    ``at`` the one that was decided at, counted from 1, and ``stopped`` why no further one was taken. ``units``: by
    evaluator and slice, how many examples there are at each planned look, or clusters of them. ``unasked``: the share
    of all answers of a model that nobody had to ask for."""

    shares: tuple[Number, ...]
    at: int
    stopped: Literal["success", "failure", "futility"] | None
    units: tuple[UnitsRecord, ...]
    unasked: Number


class DecisionRecord(_Part):
    """``decision`` and the ground it stands on. ``today`` is the day on which waivers were judged.
    ``approval_required``: what the rules would promote is held until a person approves it; ``awaits_approval``: it is
    held for nothing else."""

    schema_: Annotated[Literal["finetune-gate/decision-record/v1"], Field(alias="schema")] = SCHEMA
    model: str
    decision: Verdict
    sentence: str
    awaits_approval: bool = False
    rules: tuple[RuleRecord, ...]
    measurements: tuple[MeasurementRecord, ...]
    models: tuple[ModelRecord, ...]
    champion_note: str
    champion_moved: str | None = None
    files_changed: str | None = None
    review: ReviewRecord | None = None
    approval_required: bool = False
    identical: tuple[str, ...]
    datasets: tuple[DatasetRecord, ...]
    evaluators: tuple[EvaluatorRecord, ...]
    gate_file: GateFileRecord
    score_table: ScoreTableRecord
    findings: FindingsRecord | None = None
    examples: ExamplesRecord | None = None
    look: LookRecord | None = None
    seed: int
    today: str
    run: RunRecord

    model_config = ConfigDict(frozen=True, extra="forbid", serialize_by_alias=True)

    def role(self, role: str) -> ModelRecord | None:
        return next((model for model in self.models if model.role == role), None)

    def canonical(self) -> bytes:
        """Canonical JSON: sorted keys, no spaces, UTF-8, shortest round-trip numbers, no NaN."""
        return canonical_json(self.model_dump(mode="json"))

    def digest(self) -> str:
        """SHA-256 of the canonical JSON without ``run``, models' ``origin``, and ``today`` where no waiver needs it.

        What is said of approvals, of files that changed, of looks, of examples to read, and of checks by slice is left
        out where there is nothing to say: a record keeps the digest that it had before there were any.
        """
        evidence = self.model_dump(mode="json", exclude={"run": True, "models": {"__all__": {"origin"}}})
        if not any(rule.settings.get("waiver") for rule in self.rules):
            del evidence["today"]
        for name in ("approval_required", "awaits_approval", "examples", "files_changed", "look"):
            if not evidence[name]:
                del evidence[name]
        for check in (check for rule in evidence["rules"] for check in rule["checks"]):
            for name in ("slice", "confidence"):
                if not check[name]:
                    del check[name]
        return hashlib.sha256(canonical_json(evidence)).hexdigest()


def canonical_json(value: object) -> bytes:
    """The one way this project writes JSON that is hashed."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def write_bytes_atomically(path: Path, content: bytes) -> None:
    """All of ``content`` under ``path``, or nothing: written beside it, synced, and renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_record(record: DecisionRecord, path: Path) -> None:
    write_bytes_atomically(path, record.canonical() + b"\n")


def read_record(path: Path) -> DecisionRecord:
    """Raises EvaluationError where ``path`` is no decision record of a version this program knows."""
    try:
        return DecisionRecord.model_validate_json(path.read_bytes())
    except OSError as error:
        way_out = "`finetune-gate run` writes one under .finetune-gate/"
        raise EvaluationError(Problem(str(path), error.strerror or str(error), "a decision record", way_out)) from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        found = f"{'.'.join(map(str, first['loc'])) or 'content'}: {first['msg']}"
        raise EvaluationError(Problem(str(path), found, f"a decision record, {SCHEMA}")) from None
