"""What MLflow's own pages show of a gate run: figures with the model and the data they are of, inputs, the examples as
a table, and the verdict in the version's description.

    tell_mlflow(resolved, record, scored, run_id)      # a run that is killed and repeated says it all once
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from finetune_gate.evaluators.datasets import Cell, Dataset
from finetune_gate.evaluators.evaluator import Evaluator, RatedEvaluator

from ..record import DecisionRecord, write_bytes_atomically
from ..registry import Tracking
from ..registry.figures import Figure, UsedData
from ..registry.registered import RegisteredVersion
from ..registry.tracking import MAX_RUN_NAME
from ..registry.writing import Writer
from ..reports.evaluation_table import FILE, evaluation_table, tag_of
from ..reports.version_description import version_section, with_section
from .recording import named_figures, run_name, run_params, run_tags
from .states import REPORT_FILE, Resolved, Scored

ROWS_TAG = "finetune_gate.table_rows"
"""Run tag: how many of the examples the evaluation table shows."""

_TABLES = "mlflow.loggedArtifacts"
_RUN_NAME = "mlflow.runName"
_KINDS: Mapping[type, str] = {str: "string", bool: "boolean", int: "long", float: "double"}


def tell_mlflow(resolved: Resolved, record: DecisionRecord, scored: Scored, run_id: str) -> None:
    """Log to the run and, unless it is a dry run, to the pages of the candidate's logged model and version. Raises
    RegistryError."""
    tracking, pin, dry_run = Tracking(resolved.registry), resolved.pins.candidate, resolved.request.dry_run
    if pin.name is None or pin.version is None:
        raise ValueError(f"{pin.label} is no registered version")
    version = resolved.registry.version(pin.name, pin.version)
    model_id = tracking.logged_model(version)
    data = {name: _used(name, found, resolved) for name, found in resolved.data.items()}
    tracking.log_inputs(run_id, list(data.values()), model_id)
    # the name again: the run was named before it was known whether the alias could still be moved
    tags = {**run_tags(record), _RUN_NAME: run_name(record)[:MAX_RUN_NAME]}
    table = evaluation_table(scored.table, scored.examples)
    if table is not None:
        path = resolved.folder / FILE
        write_bytes_atomically(path, table.content)
        tracking.log_files(run_id, [path], "")
        tags |= {_TABLES: tag_of(FILE), ROWS_TAG: f"{table.rows} of {table.of}"}
    figures = _figures(record, resolved.gate.evaluators, data, None if dry_run else model_id)
    tracking.log_results(run_id, figures, run_params(record), tags)
    if not dry_run and resolved.gate.file.report.describe_version:
        _describe(version, record, resolved, tracking.file_page(run_id, REPORT_FILE))


def _describe(version: RegisteredVersion, record: DecisionRecord, resolved: Resolved, report: str) -> None:
    text = with_section(version.description, version_section(record, report_address=report))
    if text is not None:
        Writer(resolved.registry).describe(version, text)


def _figures(
    record: DecisionRecord,
    evaluators: Mapping[str, Evaluator],
    data: Mapping[str, UsedData],
    model_id: str | None,
) -> dict[str, float | Figure]:
    """Those that tell of the candidate are said to be of its logged model. An evaluator of several datasets has no
    one dataset to name."""
    read = {title: _measured_on(evaluator) for title, evaluator in evaluators.items()}
    return {
        figure.name: Figure(
            figure.value,
            model_id if figure.of_candidate else None,
            data[only[0]] if len(only := read.get(figure.evaluator, ())) == 1 else None,
        )
        for figure in named_figures(record)
    }


def _measured_on(evaluator: Evaluator) -> tuple[str, ...]:
    ratings = evaluator.reads_ratings() if isinstance(evaluator, RatedEvaluator) else ()
    return tuple(dict.fromkeys(name for name in evaluator.reads() if name not in ratings))


def _used(name: str, found: Dataset, resolved: Resolved) -> UsedData:
    return UsedData(
        name,
        resolved.gate.file.data[name].path,
        found.digest,
        len(found.examples),
        {column: _kind(example.row.get(column) for example in found.examples) for column in found.columns},
    )


def _kind(cells: Iterable[Cell]) -> str:
    """MLflow's word for what is in a column; ``any`` where it is not of one simple type."""
    kinds = {type(cell) for cell in cells if cell is not None}
    return _KINDS.get(kinds.pop(), "any") if len(kinds) == 1 else "any"
