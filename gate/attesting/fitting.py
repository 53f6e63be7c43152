"""Whether another gate file can be judged by the scores of a run: all that its rules rest on must be there, and be what
asking the models again would give.

misfits(record, settings_of(record), gate, table)     # a Problem for everything that is missing, or is another
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from finetune_gate.evaluators.datasets import DatasetSource
from finetune_gate.evaluators.errors import ConfigurationError, Problem
from finetune_gate.evaluators.evaluator import Evaluator
from finetune_gate.evaluators.scores import ScoreTable

from ..gate_file.rules import Rule
from ..gate_file.settings import Gate, GateFile
from ..record import DecisionRecord
from .differences import differences

_ASK = "gate the version with this gate file: finetune-gate run --dry-run"


def settings_of(record: DecisionRecord) -> GateFile:
    """Those of the gate file that decided. Raises ConfigurationError where the record's are no gate file's."""
    try:
        return GateFile.model_validate(record.gate_file.settings)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = f"gate_file.settings.{'.'.join(map(str, first['loc']))}"
        raise ConfigurationError(Problem(where, first["msg"], "the settings of a gate file")) from None


def misfits(record: DecisionRecord, then: GateFile, gate: Gate, table: ScoreTable) -> Iterator[Problem]:
    """``then`` are the settings that the scores were made by."""
    if gate.file.model != record.model:
        yield Problem("model", repr(gate.file.model), f"{record.model!r}, whose run it is")
    yield from _models(record, then, gate.file)
    yield from _asking(then, gate.file)
    for title, evaluator in gate.evaluators.items():
        yield from _evaluator(record, title, evaluator)
    for name in dict.fromkeys(name for one in gate.evaluators.values() for name in one.reads()):
        yield from _dataset(record, then.data.get(name), gate, name)
    known = {one.title for one in record.evaluators}
    for index, rule in enumerate(gate.rules):
        if rule.metric.partition(".")[0] in known:
            yield from _slices(record, index, rule, table)


def _models(record: DecisionRecord, then: GateFile, now: GateFile) -> Iterator[Problem]:
    """A champion may be left out; it cannot be brought in."""
    base = record.role("base")
    if now.base != then.base and (base is None or now.base != base.uri):
        uri = "" if base is None else f", which was {base.uri}"
        yield Problem("base", repr(now.base), f"{then.base!r}{uri}: scores are of that model", _ASK)
    if now.champion is not None and now.champion != then.champion:
        yield Problem("champion", repr(now.champion), f"{then.champion!r}, as it was then, or null", _ASK)


def _asking(then: GateFile, now: GateFile) -> Iterator[Problem]:
    for name in ("seed", "looks"):
        found, expected = (getattr(file.execution, name) for file in (now, then))
        if found != expected:
            yield Problem(f"execution.{name}", f"{found}", f"{expected}, by which the scores were made", _ASK)


def _evaluator(record: DecisionRecord, title: str, evaluator: Evaluator) -> Iterator[Problem]:
    where = f"evaluator {title!r}"
    known = next((one for one in record.evaluators if one.title == title), None)
    if known is None:
        titles = ", ".join(one.title for one in record.evaluators)
        yield Problem(where, "the run has no scores of it", f"one of {titles}", _ASK)
    elif (known.kind, known.version) != (evaluator.kind, evaluator.version):
        found = f"{evaluator.kind}, version {evaluator.version}"
        yield Problem(where, found, f"{known.kind}, version {known.version}, which the scores are of", _ASK)
    else:
        for one in differences(where, dict(evaluator.settings()), known.settings):
            yield Problem(one.where, one.found, f"{one.expected}, by which the scores were made", _ASK)


def _dataset(record: DecisionRecord, then: DatasetSource | None, gate: Gate, name: str) -> Iterator[Problem]:
    now, where = gate.file.data[name], f"data.{name}"
    known = next((one for one in record.datasets if one.name == name), None)
    if then is None or known is None:
        names = ", ".join(one.name for one in record.datasets)
        yield Problem(where, "the run has no scores on it", f"one of {names}", _ASK)
        return
    for one in differences(where, now.model_dump(exclude={"path"}), then.model_dump(exclude={"path"})):
        yield Problem(one.where, one.found, f"{one.expected}, by which the scores were made", _ASK)
    if now.path != then.path and _digest(gate.folder / now.path) != known.digest:
        expected = f"the same file as {then.path!r}, with digest {known.digest[:12]}"
        yield Problem(f"{where}.path", f"{now.path!r}, another file or none", expected, _ASK)


def _digest(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None


def _slices(record: DecisionRecord, index: int, rule: Rule, table: ScoreTable) -> Iterator[Problem]:
    title = rule.metric.partition(".")[0]
    examples = table.of(title).examples
    for column in sorted(rule.columns):
        where = f"rules[{index}]: column {column!r}"
        values = {example.slices[column] for example in examples if column in example.slices}
        kept = ", ".join(sorted({name for example in examples for name in example.slices})) or "none"
        if not values:
            yield Problem(where, f"the score table has none of {title}", f"a column that it has: {kept}", _ASK)
        elif column in rule.slice and rule.slice[column] not in values:
            yield Problem(where, f"no example has {rule.slice[column]!r}", f"one of {', '.join(sorted(values)[:20])}")
    if record.look is not None and rule.slice:
        looked = [one.slice for one in record.look.units if one.evaluator == title]
        if rule.slice not in looked:
            found, expected = "how many examples it has at each look was not kept", "a slice that a rule spoke of then"
            yield Problem(f"rules[{index}]: slice", found, expected, _ASK)
