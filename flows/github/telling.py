"""What a gate came to, told everywhere that GitHub has a place for it: outputs, comment, summary, annotations.

    lines = tell_decision(result, outputs_of(result, tied, 0), inputs)     # for the log, where commands are on
    lines = tell_problems(error.problems, outputs_of_no_decision(4, inputs), inputs, places)

The outputs are what later steps go by, so that they are written first, and a fault there is raised. All else is for
people: what cannot be told is said in the log, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from finetune_gate.evaluators.errors import Problem
from finetune_gate.gate.record import DecisionRecord
from finetune_gate.gate.reports import comment_marker
from finetune_gate.gate.reports.inert import inert_text
from finetune_gate.gate.run import GateResult
from finetune_gate.gate.run.states import RECORD_FILE, REPORT_FILE

from .binding import PREDICATE_TYPE, Tied
from .comments import NotTold, Thread
from .log_commands import annotation, problem_annotations, rule_annotations
from .outputs import write_outputs
from .settings import Inputs
from .summary import append_summary, decision_text, no_decision_text, room_in

NAMES: Final = (
    "decision",
    "exit-status",
    "model",
    "version",
    "champion-before",
    "champion-after",
    "record",
    "report",
    "folder",
    "record-digest",
    "run-binding",
    "statement",
    "predicate-type",
)
"""Of all outputs. Each is written in any case: what there is not is empty, and ``decision`` is then ``error``."""


@dataclass(frozen=True, slots=True)
class Places:
    """The files of this step, for where inputs are wrong and nothing else is known."""

    output: Path | None
    summary: Path | None

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Places:
        output, summary = (environ.get(name, "").strip() for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"))
        return cls(Path(output) if output else None, Path(summary) if summary else None)


def outputs_of(result: GateResult, tied: Tied, status: int) -> dict[str, str]:
    """Of a decision. ``champion-before`` and ``champion-after``: the versions that the promotion alias pointed to."""
    record, action = result.record, result.record.run.action
    known = {
        "decision": record.decision,
        "exit-status": str(status),
        "model": record.model,
        "version": _version(record),
        "champion-before": (action.before or "") if action else "",
        "champion-after": (action.after or "") if action else "",
        "record": str(result.folder / RECORD_FILE),
        "report": str(result.folder / REPORT_FILE),
        "folder": str(result.folder),
        "record-digest": record.digest(),
        "run-binding": str(tied.binding),
        "statement": str(tied.predicate),
        "predicate-type": PREDICATE_TYPE,
    }
    return {name: known[name] for name in NAMES}


def outputs_of_no_decision(status: int, inputs: Inputs | None) -> dict[str, str]:
    """The version is known there only where it was given as a number."""
    version = inputs.version if inputs is not None and inputs.version.isdecimal() else ""
    known = {"decision": "error", "exit-status": str(status), "version": version}
    known["model"] = inputs.model if inputs is not None else ""
    return {name: known.get(name, "") for name in NAMES}


def tell_decision(result: GateResult, outputs: Mapping[str, str], inputs: Inputs) -> list[str]:
    """Lines for the log. Raises EvaluationError where the outputs cannot be written."""
    record, runner = result.record, inputs.runner
    lines = _written(runner.output, outputs)
    remarks = [f"Gated by {result.elsewhere}, not by this run."] if result.elsewhere else []
    if inputs.comment:
        text = decision_text(record, page=runner.page, remarks=remarks)
        fault = _comment(text, comment_marker(record.model), inputs)
        if fault is not None:
            lines.append(fault.line)
            remarks += fault.remarks
    if inputs.tell_summary and runner.summary is not None:
        text = decision_text(record, page=runner.page, remarks=remarks, longest=room_in(runner.summary))
        lines += _summary(runner.summary, text)
    if inputs.tell_annotations:
        lines += rule_annotations(record)
    return lines


def tell_problems(
    problems: Sequence[Problem], outputs: Mapping[str, str], inputs: Inputs | None, places: Places
) -> list[str]:
    """Lines for the log. What an earlier gate said in the comment is replaced as well: it may be another decision.
    Raises EvaluationError where the outputs cannot be written."""
    lines = _written(places.output, outputs)
    page = inputs.runner.page if inputs is not None else ""
    text = no_decision_text(problems, outputs["model"], outputs["version"], page=page)
    if inputs is not None and inputs.comment and outputs["model"]:
        fault = _comment(text, comment_marker(outputs["model"]), inputs)
        lines += [fault.line] if fault is not None else []
    if places.summary is not None and (inputs is None or inputs.tell_summary):
        lines += _summary(places.summary, text)
    if inputs is None or inputs.tell_annotations:
        lines += problem_annotations(problems)
    return lines


@dataclass(frozen=True, slots=True)
class _NoComment:
    """``line`` for the log, ``remarks`` for the summary, which is read instead."""

    line: str
    remarks: tuple[str, ...]


def _comment(text: str, marker: str, inputs: Inputs) -> _NoComment | None:
    thread = Thread.of(inputs.runner, inputs.comment_author)
    if isinstance(thread, NotTold):  # nothing is wrong with that
        return _NoComment(f"no comment: {thread.sentence}", ())
    told = thread.write(text, marker)
    if isinstance(told, NotTold):
        said = f"the pull request has no comment of this: {told.sentence}"
        return _NoComment(annotation("notice", said), (said,))
    return None


def _summary(path: Path, text: str) -> list[str]:
    fault = append_summary(path, text)
    return [annotation("notice", f"the summary was not written: {fault}")] if fault else []


def _written(path: Path | None, outputs: Mapping[str, str]) -> list[str]:
    refused = write_outputs(path, outputs) if path is not None else ()
    return [annotation("notice", f"output {name} is empty: its value is no single short line") for name in refused]


def plain_outputs(outputs: Mapping[str, str]) -> list[str]:
    """For the log, one a line."""
    return [f"{name:<15} {inert_text(value)}".rstrip() for name, value in outputs.items()]


def _version(record: DecisionRecord) -> str:
    candidate = record.role("candidate")
    return (candidate.version or "") if candidate else ""
