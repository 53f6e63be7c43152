"""What a gate measured as a section of a Hugging Face model card: front matter for the Hub, and a text for people.

    Path("gate-card.md").write_text(render_model_card(record), encoding="utf-8")

`huggingface_hub.ModelCard.load` reads it, and its ``data.eval_results`` go into the card of the model. The front matter
is a ``model-index`` (https://github.com/huggingface/hub-docs/blob/main/modelcard.md): numbers only, each with what its
interval was made of in ``args``. In it are metrics of the model over all examples, and of the candidate beside a
baseline. Slices, and what is about the run such as a judge's controls, are in the table alone: the Hub would show them
as the model's score. What was not measured has no number anywhere; it is listed in words.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from ..record import DatasetRecord, DecisionRecord, EstimateRecord, EvaluatorRecord, MeasurementRecord
from .inert import inert_text
from .markdown import code, markdown_table, prose
from .rows import (
    DECISION_MARKS,
    MeasurementRow,
    baselines_of,
    confidence_sentence,
    difference_sentence,
    reason_of,
    roles_of,
    rows_of_measurements,
    rows_of_rules,
)

_TASKS: Mapping[str, tuple[str, str]] = {
    "classification": ("text-classification", "Text Classification"),
    "question_answering": ("question-answering", "Question Answering"),
    "summarization": ("summarization", "Summarization"),
}
_OTHER_TASK = ("text-generation", "Text Generation")
_DATASETS = ("data", "unseen", "validation")
"""Settings of evaluators that name what a model is judged on; others name what it is compared with."""

Yaml = Mapping[str, "Yaml"] | Sequence["Yaml"] | str | bool | float | int


def render_model_card(record: DecisionRecord) -> str:
    """Front matter and section. Without a single measured metric there is no front matter: an empty index is none.

    Ends in a line break. Foreign text in it does nothing, in YAML as in markdown.
    """
    results = _results(record)
    section = "\n\n".join(_section(record)) + "\n"
    if not results:
        return section
    index: Yaml = {"model-index": [{"name": inert_text(record.model), "results": results}]}
    return "\n".join(["---", *_yaml_lines(index), "---", "", section])


def _results(record: DecisionRecord) -> list[Yaml]:
    """One for each task and dataset, as the Hub groups them, in the order of the record."""
    kinds = {evaluator.title: evaluator for evaluator in record.evaluators}
    found: dict[tuple[str, str], tuple[EvaluatorRecord, list[Yaml]]] = {}
    for row in _each_once(record):
        evaluator = kinds.get(row.measurement.metric.partition(".")[0])
        if evaluator is not None and not row.measurement.slice:
            dataset = _dataset(record, evaluator)
            key = (_task(evaluator)[0], "" if dataset is None else dataset.name)
            found.setdefault(key, (evaluator, []))[1].extend(_metrics(record, row.measurement))
    return [_result(record, evaluator, metrics) for evaluator, metrics in found.values() if metrics]


def _result(record: DecisionRecord, evaluator: EvaluatorRecord, metrics: list[Yaml]) -> Yaml:
    task, task_name = _task(evaluator)
    dataset = _dataset(record, evaluator)
    name = "no data of its own" if dataset is None else dataset.name
    about: dict[str, Yaml] = {"name": inert_text(name), "type": inert_text(name)}
    if dataset is not None:
        about["args"] = {"sha256": inert_text(dataset.digest), "rows": dataset.rows}
    return {"task": {"type": task, "name": task_name}, "dataset": about, "metrics": metrics}


def _task(evaluator: EvaluatorRecord) -> tuple[str, str]:
    return _TASKS.get(evaluator.kind, _OTHER_TASK)


def _dataset(record: DecisionRecord, evaluator: EvaluatorRecord) -> DatasetRecord | None:
    named = [evaluator.settings[key] for key in _DATASETS if evaluator.settings.get(key)]
    return next((one for name in named for one in record.datasets if one.name == name), None)


def _metrics(record: DecisionRecord, measurement: MeasurementRecord) -> Iterator[Yaml]:
    if measurement.subject == "pair":
        for role, comparison in measurement.comparisons.items():
            if isinstance(comparison.difference, EstimateRecord):
                baseline = record.role(role)
                label = role if baseline is None else baseline.label
                yield _metric(measurement, comparison.difference, against=label)
    elif measurement.subject == "model" and isinstance(measurement.candidate, EstimateRecord):
        yield _metric(measurement, measurement.candidate)


def _metric(measurement: MeasurementRecord, found: EstimateRecord, *, against: str | None = None) -> Yaml:
    args: dict[str, Yaml] = {
        "low": found.low,
        "high": found.high,
        "one_sided_confidence": measurement.confidence,
        "n": found.n,
        "clusters": found.clusters,
        "method": inert_text(found.method),
        "higher_is_better": measurement.higher_is_better,
    }
    if measurement.unit:
        args["unit"] = inert_text(measurement.unit)
    name = measurement.metric
    if against is not None:
        args["against"] = inert_text(against)
        name = f"{name} against {against}"
    metric_type = measurement.metric.partition(".")[2] or measurement.metric
    return {"type": inert_text(metric_type), "value": found.value, "name": inert_text(name), "args": args}


def _each_once(record: DecisionRecord) -> tuple[MeasurementRow, ...]:
    """A metric that a rule asked for at another confidence was measured twice; the first is at the usual one."""
    rows: dict[tuple[str, str], MeasurementRow] = {}
    for row in rows_of_measurements(record):
        rows.setdefault((row.measurement.metric, row.slice), row)
    return tuple(rows.values())


def _section(record: DecisionRecord) -> Iterator[str]:
    software = record.run.software.get("finetune-gate", "")
    when = record.run.started_at.partition("T")[0]
    yield "## Evaluation"
    yield (
        f"{DECISION_MARKS[record.decision]} **{record.decision.capitalize()}**: {prose(reason_of(record), limit=1000)}"
    )
    others = "; ".join(f"{role} {code(label)}" for role, label in roles_of(record) if role != "judge")
    yield (
        f"Gated by finetune-gate {prose(software)} on {prose(when)}: {others}. Decision record {code(record.digest())}."
    )
    baselines = baselines_of(record)
    rows = [row for row in _each_once(record) if _is_measured(row.measurement)]
    if rows:
        head = ["Metric", "Value \\[low, high\\]", *(f"Difference to {role}" for role in baselines), "Examples"]
        yield markdown_table(head, [_cells(row, baselines) for row in rows])
        yield f"{prose(confidence_sentence(record))} {difference_sentence(record)}"
    missing = list(_unmeasured(record))
    if missing:
        yield "Not measured:"
        yield "\n".join(f"* {line}" for line in missing)
    yield "What was asked of it:"
    yield markdown_table(
        ["Outcome", "Rule"],
        [[row.outcome_text, code(row.text)] for row in rows_of_rules(record)],
    )
    yield "Data:"
    yield markdown_table(
        ["Name", "Rows", "SHA-256"],
        [[code(one.name), f"{one.rows:,}", code(one.digest)] for one in record.datasets],
    )


def _is_measured(measurement: MeasurementRecord) -> bool:
    if measurement.subject == "pair":
        return any(isinstance(one.difference, EstimateRecord) for one in measurement.comparisons.values())
    return isinstance(measurement.candidate, EstimateRecord)


def _cells(row: MeasurementRow, baselines: Sequence[str]) -> list[str]:
    changes = {change.against: change.figure for change in row.changes}
    shown = [changes.get(role) for role in baselines]
    return [
        code(_name(row)),
        prose(f"{row.candidate.value} {row.candidate.interval}".strip()),
        *(prose(f"{one.value} {one.interval}".strip()) if one is not None else "" for one in shown),
        f"{row.n:,}",
    ]


def _unmeasured(record: DecisionRecord) -> Iterator[str]:
    """Metrics, then rules on metrics that nobody measured."""
    for row in _each_once(record):
        if not _is_measured(row.measurement):
            reasons = [row.candidate.reason, *(change.figure.reason for change in row.changes)]
            yield f"{code(_name(row))}: {prose(next(filter(None, reasons), 'no reason given'))}"
    for rule in record.rules:
        if rule.measurement is None and rule.outcome == "unmeasured":
            yield f"{code(rule.metric)}: {prose(rule.sentence.removeprefix(f'{rule.metric} was not measured: '))}"


def _name(row: MeasurementRow) -> str:
    return f"{row.measurement.metric} on {row.slice}" if row.slice else row.measurement.metric


def _yaml_lines(value: Yaml) -> Iterator[str]:
    """Block style, each text in double quotes: nothing of it can be taken for anything else, in any YAML."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _yaml_entry(f"{key}:", inner)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for inner in value:
            first, *others = _yaml_lines(inner)
            yield f"- {first}"
            yield from (f"  {line}" for line in others)
    else:
        yield _yaml_scalar(value)


def _yaml_entry(key: str, value: Yaml) -> Iterator[str]:
    if isinstance(value, str | float | int):
        yield f"{key} {_yaml_scalar(value)}"
    else:
        yield key
        yield from (f"  {line}" for line in _yaml_lines(value))


def _yaml_scalar(value: str | bool | float | int) -> str:
    """YAML 1.1, which most still read, takes ``1e-05`` for a text: a number needs its point."""
    shown = json.dumps(value, ensure_ascii=False, allow_nan=False)
    if isinstance(value, str):
        return shown
    return shown.replace("e", ".0e") if isinstance(value, float) and "." not in shown else shown
