"""The seven steps of a run. Each takes what the earlier ones returned; only ``act`` changes what serves."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from finetune_gate.evaluators.datasets import Dataset
from finetune_gate.evaluators.measurement import Measurement, measure
from finetune_gate.evaluators.scores import ScoreTable, score_evaluator

from .answer_store import AnswerStore
from .answering import Answered, answer_plan
from .deciding import Circumstances, Decision
from .deciding import decide as decide_rules
from .gate_file import Gate
from .gate_loader import load_data, load_gate_file
from .models import open_models
from .models.protocol import JsonScalar
from .pins import Pins, Role, identical_baselines
from .plan import Plan, make_plan
from .progress import Progress
from .promotion import AliasPromotion, Move, Promoter
from .record import (
    ActionRecord,
    DatasetRecord,
    DecisionRecord,
    EvaluatorRecord,
    GateFileRecord,
    RunRecord,
    ScoreTableRecord,
    canonical_json,
    measurement_record,
    model_record,
    rule_record,
    write_record,
)
from .registry import Registry
from .reports import render_html, render_markdown
from .rules import Rule
from .score_files import write_scores
from .tracking import Tracking

if TYPE_CHECKING:
    from .run import GateRequest

RECORD_FILE = "decision-record.json"
SCORES_FILE = "scores.parquet"
REPORT_FILE = "report.html"
MARKDOWN_FILE = "report.md"
_SOFTWARE = ("finetune-gate", "mlflow", "prefect", "torch", "transformers", "tokenizers", "peft", "numpy", "scipy")


@dataclass(frozen=True, slots=True)
class Resolved:
    """Everything a run is about, pinned.

    ``alias_at`` is the version that the promotion alias may be moved away from: judged against another, nothing moves.
    ``key`` names the run: equal pins, gate file and data make an equal key.
    """

    request: GateRequest
    gate: Gate
    data: Mapping[str, Dataset]
    registry: Registry
    pins: Pins
    identical: tuple[Role, ...]
    alias_at: str | None
    key: str
    today: date
    started: datetime
    folder: Path


@dataclass(frozen=True, slots=True)
class ModelAnswers:
    """Answers of all models, and the facts about how each was run."""

    answered: Answered
    facts: Mapping[Role, Mapping[str, JsonScalar]]


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision with every measurement it could rest on."""

    decision: Decision
    circumstances: Circumstances
    by_rule: Mapping[int, Measurement]
    measurements: tuple[Measurement, ...]
    answers: ModelAnswers


@dataclass(frozen=True, slots=True)
class Acted:
    """The record as it was published, and the MLflow run that holds it."""

    record: DecisionRecord
    run_id: str
    address: str
    promoter: Promoter


def resolve(request: GateRequest, downloads: Path, started: datetime) -> Resolved:
    """Pin gate file, data and models. Nothing later asks the registry what is latest."""
    gate = load_gate_file(request.gate_file)
    data = load_data(gate)
    registry = Registry.connect(request.tracking_uri)
    pins = registry.resolve(
        gate.file.model,
        request.candidate,
        base=request.base or gate.file.base,
        champion=gate.file.champion,
        downloads=downloads,
        allow_files=gate.file.allow_files,
    )
    alias = gate.file.promotion.alias
    if gate.file.champion == f"@{alias}":
        alias_at = pins.champion.version if pins.champion else None
    else:
        alias_at = registry.alias_version(gate.file.model, alias)
    key = _run_key(request, gate, data, pins)
    return Resolved(
        request=request,
        gate=gate,
        data=data,
        registry=registry,
        pins=pins,
        identical=identical_baselines(pins),
        alias_at=alias_at,
        key=key,
        today=started.date(),
        started=started,
        folder=request.out / key[:12],
    )


def plan(resolved: Resolved) -> Plan:
    return make_plan(resolved.gate.evaluators.values(), resolved.data)


def answer(resolved: Resolved, plan: Plan, progress: Progress) -> ModelAnswers:
    """Ask every model what the store does not hold. A run killed here goes on from the last finished shard."""
    execution = resolved.gate.file.execution
    with (
        AnswerStore(resolved.request.home / "answers.sqlite") as store,
        open_models(
            resolved.pins, device=execution.device, dtype=execution.dtype, batch_tokens=execution.batch_tokens
        ) as models,
    ):
        answered = answer_plan(models, plan, store, progress)
        return ModelAnswers(answered, {role: dict(model.facts()) for role, model in models.items()})


def score(resolved: Resolved, answers: ModelAnswers) -> ScoreTable:
    """Pure: answers in, per-example scores out."""
    columns = {column for rule in resolved.gate.file.rules for column in rule.slice}
    slices = sorted(columns | {"category"})
    return ScoreTable(
        tuple(
            score_evaluator(evaluator, resolved.data, answers.answered.answers, slices)
            for evaluator in resolved.gate.evaluators.values()
        )
    )


def decide(resolved: Resolved, answers: ModelAnswers, table: ScoreTable) -> Decided:
    """Pure: scores and rules in, decision out."""
    by_rule = measure_rules(resolved.gate, table)
    circumstances = Circumstances(
        has_champion=resolved.pins.champion is not None, identical=resolved.identical, today=resolved.today
    )
    return Decided(
        decision=decide_rules(resolved.gate.file.rules, by_rule, circumstances),
        circumstances=circumstances,
        by_rule=by_rule,
        measurements=measure_all(resolved.gate, table),
        answers=answers,
    )


def measure_rules(gate: Gate, table: ScoreTable) -> dict[int, Measurement]:
    """The measurement that each rule is decided by, by the rule's position."""
    return {index: _measure_rule(gate, rule, table) for index, rule in enumerate(gate.file.rules)}


def measure_all(gate: Gate, table: ScoreTable) -> tuple[Measurement, ...]:
    """Every metric of every evaluator over all examples, at the default confidence."""
    return tuple(
        measure(metric, table.of(title), seed=gate.file.execution.seed)
        for title, evaluator in gate.evaluators.items()
        for metric in evaluator.metrics()
    )


def _measure_rule(gate: Gate, rule: Rule, table: ScoreTable) -> Measurement:
    title, _, name = rule.metric.partition(".")
    metric = next(metric for metric in gate.evaluators[title].metrics() if metric.name == name)
    return measure(
        metric,
        table.of(title),
        confidence=0.95 if rule.confidence == "none" else rule.confidence,
        min_coverage=rule.min_coverage,
        slice_by=rule.slice,
        seed=gate.file.execution.seed,
    )


def act(resolved: Resolved, decided: Decided, table: ScoreTable, seconds: Mapping[str, float]) -> Acted:
    """Evidence first, then the alias: what is promoted has its record in MLflow before it serves."""
    promotion = resolved.gate.file.promotion
    tracking = Tracking(resolved.registry)
    promoter: Promoter = AliasPromotion(resolved.registry)
    record = _record(resolved, decided, table, seconds, action=None)
    run_id = tracking.open_run(resolved.gate.file.model, resolved.key, _run_name(record), _run_tags(record))
    address = tracking.record_address(run_id, RECORD_FILE)
    _write_evidence(resolved, record, table)
    tracking.log_files(run_id, [resolved.folder / RECORD_FILE, resolved.folder / SCORES_FILE])

    before = resolved.alias_at
    action = ActionRecord(outcome="none", alias=promotion.alias, before=before, after=before, detail="")
    if resolved.request.dry_run:
        action = action.model_copy(update={"outcome": "dry_run", "detail": "dry run: nothing was changed"})
    elif record.decision == "promote":
        move = promoter.promote(
            resolved.pins, promotion.alias, promotion.stage, record.digest(), address, expected=before
        )
        action = _action(move)
        if move.outcome == "stale":
            decided = _decide_again(resolved, decided, move)
    record = _record(resolved, decided, table, seconds, action)
    write_record(record, resolved.folder / RECORD_FILE)
    if not resolved.request.dry_run:
        promoter.note(resolved.pins, record.decision, record.sentence, address, record.digest())
    return Acted(record, run_id, address, promoter)


def publish(
    resolved: Resolved, acted: Acted, table: ScoreTable, seconds: Mapping[str, float]
) -> tuple[str, str | None]:
    """Write the final record and the reports, log them and the metrics, and close the run."""
    record = acted.record
    run = record.run.model_copy(update={"seconds": dict(seconds)})
    record = record.model_copy(update={"run": run})
    write_record(record, resolved.folder / RECORD_FILE)
    (resolved.folder / REPORT_FILE).write_text(render_html(record, table), encoding="utf-8")
    (resolved.folder / MARKDOWN_FILE).write_text(render_markdown(record), encoding="utf-8")
    tracking = Tracking(resolved.registry)
    files = [resolved.folder / name for name in (RECORD_FILE, SCORES_FILE, REPORT_FILE, MARKDOWN_FILE)]
    tracking.log_files(acted.run_id, files)
    tracking.log_results(acted.run_id, mlflow_metrics(record), _params(record), _run_tags(record))
    tracking.finish_run(acted.run_id, "FINISHED")
    if not resolved.request.dry_run:
        acted.promoter.finish(resolved.pins)
    return acted.address, tracking.run_url(acted.run_id)


def mlflow_metrics(record: DecisionRecord) -> dict[str, float]:
    """``classification.accuracy`` is the candidate's; ``base/...`` a baseline's, ``vs_base/...`` the difference.

    The candidate's own name is the same for every version, so that MLflow's UI compares and plots versions.
    """
    metrics: dict[str, float] = {}

    def add(name: str, measured: object) -> None:
        value = getattr(measured, "value", None)
        if isinstance(value, float):
            metrics[name] = value

    for measurement in record.measurements:
        add(measurement.metric, measurement.candidate)
        for role, comparison in measurement.comparisons.items():
            add(f"{role}/{measurement.metric}", comparison.baseline)
            add(f"vs_{role}/{measurement.metric}", comparison.difference)
    return metrics


def _decide_again(resolved: Resolved, decided: Decided, move: Move) -> Decided:
    """The champion is no longer the one that was compared with: the same evidence, under other circumstances."""
    circumstances = Circumstances(
        has_champion=decided.circumstances.has_champion,
        identical=decided.circumstances.identical,
        today=decided.circumstances.today,
        champion_moved=move.detail,
    )
    decision = decide_rules(resolved.gate.file.rules, decided.by_rule, circumstances)
    return Decided(decision, circumstances, decided.by_rule, decided.measurements, decided.answers)


def _action(move: Move) -> ActionRecord:
    return ActionRecord(
        outcome=move.outcome, alias=move.alias, before=move.before, after=move.after, detail=move.detail
    )


def _write_evidence(resolved: Resolved, record: DecisionRecord, table: ScoreTable) -> None:
    write_scores(table, resolved.folder / SCORES_FILE)
    write_record(record, resolved.folder / RECORD_FILE)


def _record(
    resolved: Resolved,
    decided: Decided,
    table: ScoreTable,
    seconds: Mapping[str, float],
    action: ActionRecord | None,
) -> DecisionRecord:
    gate, request, answered = resolved.gate, resolved.request, decided.answers.answered
    return DecisionRecord(
        model=gate.file.model,
        decision=decided.decision.verdict,
        sentence=decided.decision.sentence,
        rules=tuple(rule_record(result) for result in decided.decision.results),
        measurements=tuple(measurement_record(measurement) for measurement in decided.measurements),
        models=tuple(model_record(pin, decided.answers.facts.get(pin.role, {})) for pin in resolved.pins.roles()),
        champion_note=resolved.pins.champion_note,
        champion_moved=decided.circumstances.champion_moved,
        identical=resolved.identical,
        datasets=tuple(
            DatasetRecord(name=name, file=gate.file.data[name].path, digest=found.digest, rows=len(found.examples))
            for name, found in resolved.data.items()
        ),
        evaluators=tuple(
            EvaluatorRecord(title=title, kind=found.kind, version=found.version, settings=dict(found.settings()))
            for title, found in gate.evaluators.items()
        ),
        gate_file=GateFileRecord(digest=gate.digest, settings=gate.file.model_dump(mode="json")),
        score_table=ScoreTableRecord(file=SCORES_FILE, digest=table.digest(), rows=sum(1 for _ in table.rows())),
        seed=gate.file.execution.seed,
        today=resolved.today.isoformat(),
        run=RunRecord(
            key=resolved.key,
            trigger=request.trigger,
            actor=request.actor,
            started_at=resolved.started.isoformat(timespec="seconds"),
            seconds=dict(seconds),
            software=_software(),
            dry_run=request.dry_run,
            tracking_uri=resolved.registry.public_address(),
            asked=dict(answered.asked),
            stored=dict(answered.stored),
            action=action,
        ),
    )


def _run_key(request: GateRequest, gate: Gate, data: Mapping[str, Dataset], pins: Pins) -> str:
    parts = {
        "model": gate.file.model,
        "models": {pin.role: [pin.uri, pin.version, pin.files.files_digest] for pin in pins.roles()},
        "gate": gate.digest,
        "data": {name: found.digest for name, found in data.items()},
        "evaluators": {title: found.version for title, found in gate.evaluators.items()},
        "dry_run": request.dry_run,
    }
    return hashlib.sha256(canonical_json(parts)).hexdigest()


def _run_name(record: DecisionRecord) -> str:
    candidate = record.role("candidate")
    return f"{candidate.label if candidate else record.model}: {record.decision}"


def _run_tags(record: DecisionRecord) -> dict[str, str]:
    candidate = record.role("candidate")
    return {
        "finetune_gate.model": record.model,
        "finetune_gate.version": (candidate.version or "") if candidate else "",
        "finetune_gate.decision": record.decision,
        "finetune_gate.reason": record.sentence,
        "finetune_gate.dry_run": str(record.run.dry_run).lower(),
        "mlflow.note.content": record.sentence,
    }


def _params(record: DecisionRecord) -> dict[str, str]:
    params = {model.role: model.label for model in record.models}
    params["gate_file_digest"] = record.gate_file.digest
    return params | {f"dataset.{dataset.name}": dataset.digest for dataset in record.datasets}


def _software() -> dict[str, str]:
    found: dict[str, str] = {}
    for name in _SOFTWARE:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
