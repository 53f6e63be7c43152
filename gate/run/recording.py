"""Everything a run writes about itself: the decision record, and what MLflow shows of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version

from finetune_gate.evaluators.datasets import Dataset
from finetune_gate.evaluators.findings import Findings
from finetune_gate.evaluators.showing import ShownExamples

from ..gate_file import Gate
from ..history import figure_name, high_name, low_name
from ..limits import given_limits
from ..pins import Pins
from ..record import (
    BudgetRecord,
    DatasetRecord,
    DecisionRecord,
    EstimateRecord,
    EvaluatorRecord,
    ExamplesRecord,
    FindingsRecord,
    GateFileRecord,
    RunRecord,
    ScoreTableRecord,
    UsageRecord,
    canonical_json,
)
from .answering import Answered
from .example_files import examples_digest
from .finding_files import findings_digest
from .record_parts import look_record, measurement_record, model_record, review_record, rule_record
from .states import EXAMPLES_FILE, FINDINGS_FILE, SCORES_FILE, Decided, GateRequest, Resolved, Scored

_SOFTWARE = ("finetune-gate", "mlflow", "prefect", "torch", "transformers", "tokenizers", "peft", "numpy", "scipy")


def build_record(
    resolved: Resolved, decided: Decided, scored: Scored, seconds: Mapping[str, float], uses: Mapping[str, int]
) -> DecisionRecord:
    """The record before anything is done about it: ``run.action`` is filled in by ``act``."""
    table = scored.table
    gate, request, answered = resolved.gate, resolved.request, decided.answers.answered
    return DecisionRecord(
        model=gate.file.model,
        decision=decided.decision.verdict,
        sentence=decided.decision.sentence,
        awaits_approval=decided.decision.awaits_approval,
        rules=tuple(
            rule_record(result, decided.measured.rests_on[result.index]) for result in decided.decision.results
        ),
        measurements=tuple(measurement_record(measurement) for measurement in decided.measured.measurements),
        models=tuple(
            model_record(pin, decided.answers.facts.get(name, {})) for name, pin in resolved.pins.by_name().items()
        ),
        champion_note=resolved.pins.champion_note,
        champion_moved=decided.circumstances.champion_moved,
        files_changed=decided.circumstances.files_changed,
        review=review_record(decided.circumstances.review),
        approval_required=decided.circumstances.approval_required,
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
        findings=_findings_record(scored.findings),
        examples=_examples_record(scored.examples),
        look=look_record(decided),
        seed=gate.file.execution.seed,
        today=resolved.today.isoformat(),
        run=RunRecord(
            key=resolved.key,
            trigger=request.trigger,
            actor=request.actor,
            started_at=resolved.started.isoformat(timespec="seconds"),
            seconds=dict(seconds),
            software=software_here(),
            dry_run=request.dry_run,
            tracking_uri=resolved.registry.public_address(),
            asked=dict(answered.asked),
            stored=dict(answered.stored),
            usage=_usage_records(resolved.pins, answered),
            uses=dict(uses),
            budget=_budget_record(gate, answered),
            gate_file=str(request.gate_file),
            settled=resolved.settled,
        ),
    )


def _usage_records(pins: Pins, answered: Answered) -> dict[str, UsageRecord]:
    costs = answered.balance.costs
    digests = {name: pin.files.digest for name, pin in pins.by_name().items()}
    return {name: UsageRecord(**asdict(usage), cost=costs.get(digests[name])) for name, usage in answered.usage.items()}


def _budget_record(gate: Gate, answered: Answered) -> BudgetRecord | None:
    budget = gate.file.budget
    if budget is None:
        return None
    return BudgetRecord(
        limits=given_limits(budget),
        spent=dict(answered.balance.amounts),
        currency=budget.currency,
        unasked=dict(answered.unasked),
    )


def _findings_record(findings: Findings) -> FindingsRecord | None:
    if not findings.by_evaluator:
        return None
    return FindingsRecord(file=FINDINGS_FILE, digest=findings_digest(findings))


def _examples_record(examples: ShownExamples) -> ExamplesRecord | None:
    count = sum(map(len, examples.by_evaluator.values()))
    if not count:
        return None
    return ExamplesRecord(file=EXAMPLES_FILE, digest=examples_digest(examples), examples=count)


def run_key(request: GateRequest, gate: Gate, data: Mapping[str, Dataset], pins: Pins) -> str:
    parts = {
        "model": gate.file.model,
        "models": {name: [pin.uri, pin.version, pin.files.digest] for name, pin in pins.by_name().items()},
        "gate": gate.digest,
        "data": {name: found.digest for name, found in data.items()},
        "evaluators": {title: found.version for title, found in gate.evaluators.items()},
        "dry_run": request.dry_run,
    }
    return hashlib.sha256(canonical_json(parts)).hexdigest()


def run_name(record: DecisionRecord) -> str:
    candidate = record.role("candidate")
    return f"{candidate.label if candidate else record.model}: {record.decision}"


def run_tags(record: DecisionRecord) -> dict[str, str]:
    candidate = record.role("candidate")
    return {
        "finetune_gate.model": record.model,
        "finetune_gate.version": (candidate.version or "") if candidate else "",
        "finetune_gate.decision": record.decision,
        "finetune_gate.reason": record.sentence,
        "finetune_gate.rule_metrics": ",".join(dict.fromkeys(rule.metric for rule in record.rules)),
        "finetune_gate.review": f"{record.review.verdict} by {record.review.reviewer}" if record.review else "",
        "finetune_gate.awaits_approval": str(record.awaits_approval).lower(),
        "finetune_gate.dry_run": str(record.run.dry_run).lower(),
        "finetune_gate.trigger": record.run.trigger,
        "finetune_gate.actor": record.run.actor,
        "mlflow.note.content": record.sentence,
    }


def run_params(record: DecisionRecord) -> dict[str, str]:
    params = {model.role: model.label for model in record.models}
    params["gate_file_digest"] = record.gate_file.digest
    return params | {f"dataset.{dataset.name}": dataset.digest for dataset in record.datasets}


def software_here() -> dict[str, str]:
    """Versions of what computes, by package."""
    found: dict[str, str] = {}
    for name in _SOFTWARE:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


@dataclass(frozen=True, slots=True)
class NamedFigure:
    """A figure under its name in MLflow. ``of_candidate``: it tells of the candidate, alone or beside a baseline."""

    name: str
    value: float
    evaluator: str
    of_candidate: bool


def mlflow_metrics(record: DecisionRecord) -> dict[str, float]:
    """``classification.accuracy`` is the candidate's; ``base/...`` a baseline's, ``vs_base/...`` the difference.

    ``low/...`` and ``high/...`` are the ends of the intervals of what rules look at. The candidate's own name is the
    same for every version, so that MLflow's UI compares and plots versions.
    """
    return {figure.name: figure.value for figure in named_figures(record)}


def named_figures(record: DecisionRecord) -> Iterator[NamedFigure]:
    """Those of `mlflow_metrics`. What could not be measured is left out. Intervals, as ``low/...`` and ``high/...``,
    only of what rules look at: they are for histories."""
    looked_at = (record.measurements[rule.measurement] for rule in record.rules if rule.measurement is not None)
    ruled = [(one.metric, one.slice) for one in looked_at]
    for measurement in record.measurements:
        if measurement.confidence != 0.95:
            continue
        name = figure_name(measurement.metric, measurement.slice)
        measured = [(name, measurement.candidate, True)]
        for role, comparison in measurement.comparisons.items():
            measured += [
                (f"{role}/{name}", comparison.baseline, False),
                (f"vs_{role}/{name}", comparison.difference, True),
            ]
        for named, found, of_candidate in measured:
            if isinstance(found, EstimateRecord):
                evaluator = measurement.metric.partition(".")[0]
                yield NamedFigure(named, found.value, evaluator, of_candidate)
                if of_candidate and (measurement.metric, measurement.slice) in ruled:
                    yield NamedFigure(low_name(named), found.low, evaluator, of_candidate=False)
                    yield NamedFigure(high_name(named), found.high, evaluator, of_candidate=False)
