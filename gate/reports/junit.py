"""A decision as JUnit XML, which GitLab, Jenkins, GitHub actions and most other CI systems show as test results.

    Path("gate.xml").write_text(render_junit(record), encoding="utf-8")

Every rule is a test case, and so is the decision itself, the last one. There is a failure where, and only where, the
gate does not promote: of the decision, and of each rule that keeps it from promoting.

    outcome                     rule that blocks            rule that only warns
    passed                      passed                      passed
    failed                      failure, type failed        skipped
    inconclusive, unmeasured    failure, of that type       skipped
    waived                      skipped, with the waiver    skipped, with the waiver

There are no errors: a run that could not evaluate leaves no record. Elements and attributes are those of the schema of
Jenkins' xUnit plugin, which pytest writes too (``junit-10.xsd``).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal
from xml.etree import ElementTree

from ..record import DecisionRecord
from .inert import inert_text
from .rows import RuleRow, reason_of, remarks_of, rows_of_rules, summary_of

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?")


@dataclass(frozen=True, slots=True)
class _Case:
    """``became`` is None where it passed. ``lines`` are shown beneath the message, ``figures`` whatever it became."""

    group: str
    name: str
    seconds: float
    became: Literal["failure", "skipped"] | None
    kind: str
    message: str
    lines: tuple[str, ...]
    figures: tuple[str, ...]


def render_junit(record: DecisionRecord) -> str:
    """One suite, named by the model, so that CI systems can follow a rule over its versions. Ends in a line break.

    The time is that of the run, and stands with the decision: rules take none. Characters that XML cannot hold are
    spelled out.
    """
    cases = [*_named_apart(_rule_case(record, row) for row in rows_of_rules(record)), _decision_case(record)]
    counts = Counter(case.became for case in cases)
    totals = {
        "name": f"finetune-gate: {_shown(record.model)}",
        "tests": str(len(cases)),
        "failures": str(counts["failure"]),
        "errors": "0",
    }
    whole = ElementTree.Element("testsuites", {**totals, "time": _time(_seconds(record))})
    suite = ElementTree.SubElement(
        whole, "testsuite", {**totals, "skipped": str(counts["skipped"]), "time": _time(_seconds(record))}
    )
    if _MOMENT.fullmatch(record.run.started_at):
        suite.set("timestamp", record.run.started_at)
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in _properties(record):
        ElementTree.SubElement(properties, "property", {"name": _shown(name), "value": _shown(value)})
    for case in cases:
        _add(suite, case)
    ElementTree.indent(whole)
    text = ElementTree.tostring(whole, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _rule_case(record: DecisionRecord, row: RuleRow) -> _Case:
    rule = row.rule
    return _Case(
        group=f"{_shown(record.model)}.{_shown(rule.metric.partition('.')[0])}",
        name=_shown(row.text),
        seconds=0.0,
        became=_became(row),
        kind=rule.outcome,
        message=_shown(f"{'warning only, ' if row.warns else ''}{rule.outcome}: {rule.sentence}"),
        lines=tuple(map(_shown, row.notes)),
        figures=tuple(map(_shown, _figures(row))),
    )


def _became(row: RuleRow) -> Literal["failure", "skipped"] | None:
    if row.rule.outcome == "passed":
        return None
    return "skipped" if row.warns or row.rule.outcome == "waived" else "failure"


def _decision_case(record: DecisionRecord) -> _Case:
    return _Case(
        group=f"{_shown(record.model)}.gate",
        name="decision",
        seconds=_seconds(record),
        became=None if record.decision == "promote" else "failure",
        kind=record.decision,
        message=_shown(f"{record.decision}: {reason_of(record)}"),
        lines=(f"{summary_of(record)}.", *map(_shown, remarks_of(record))),
        figures=(),
    )


def _named_apart(cases: Iterable[_Case]) -> Iterator[_Case]:
    """Two rules may read alike and differ in their confidence; CI systems know a case by its name."""
    seen: Counter[tuple[str, str]] = Counter()
    for case in cases:
        seen[case.group, case.name] += 1
        again = seen[case.group, case.name]
        yield case if again == 1 else replace(case, name=f"{case.name} ({again})")


def _figures(row: RuleRow) -> Iterator[str]:
    if row.candidate.value:
        yield f"candidate {row.candidate.value} {row.candidate.interval}"
    for role, own in row.baselines.items():
        yield f"{role} {own.value}"
    word = "against" if row.of_pairs else "candidate minus"
    for change in row.changes:
        yield f"{word} {change.against} {change.figure.value} {change.figure.interval}"


def _properties(record: DecisionRecord) -> Iterator[tuple[str, str]]:
    """In one order for every record: property lists are compared by eye."""
    yield "model", record.model
    for role in ("candidate", "base", "champion"):
        model = record.role(role)
        if model is not None:
            yield role, model.label
            yield f"{role}.digest", model.digest
            if model.version is not None:
                yield f"{role}.version", model.version
    yield "decision", record.decision
    yield "sentence", record.sentence
    yield "dry_run", str(record.run.dry_run).lower()
    yield "trigger", record.run.trigger
    yield "actor", record.run.actor
    yield "record.digest", record.digest()
    yield "gate_file.digest", record.gate_file.digest
    yield "score_table.digest", record.score_table.digest
    for dataset in record.datasets:
        yield f"data.{dataset.name}.digest", dataset.digest
    yield "finetune-gate", record.run.software.get("finetune-gate", "unknown")


def _add(suite: ElementTree.Element, case: _Case) -> None:
    element = ElementTree.SubElement(
        suite, "testcase", {"classname": case.group, "name": case.name, "time": _time(case.seconds)}
    )
    if case.became is not None:
        told = ElementTree.SubElement(element, case.became, {"type": case.kind, "message": case.message})
        told.text = "\n".join((case.message, *case.lines))
    said = case.figures if case.became is not None else (case.message, *case.lines, *case.figures)
    if said:
        ElementTree.SubElement(element, "system-out").text = "\n".join(said)


def _seconds(record: DecisionRecord) -> float:
    return sum(record.run.seconds.values())


def _time(seconds: float) -> str:
    return f"{max(seconds, 0.0):.3f}"


def _shown(text: str) -> str:
    """On one line, and nothing in it that XML cannot hold."""
    return inert_text(text, limit=1000)
