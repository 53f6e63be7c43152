"""From what was found to what the file will say. Every evaluator is tried on the data before it is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import cast

from pydantic import ValidationError

from finetune_gate.evaluators.catalog import evaluator_class
from finetune_gate.evaluators.datasets import Dataset
from finetune_gate.evaluators.detectable import Sample
from finetune_gate.evaluators.errors import ConfigurationError, Problem
from finetune_gate.evaluators.evaluator import Evaluator
from finetune_gate.evaluators.measurement import cluster_count

from ..gate_file.rules import LEAST_IN_A_SLICE
from .columns import Columns, source_of
from .found import DataLine, Entry, Measured, RuleLine, Start
from .power import change_of_other, change_of_share, floor
from .registered import RegisteredModel
from .shapes import HOLDOUT, Shape, shapes_of
from .trained import TRAIN, beside_training

PLACEHOLDER = "my-model"
_NAMED_VALUES = 8


def start_from(
    holdout: Dataset,
    train: Dataset | None,
    registered: RegisteredModel | None,
    unknown: str = "",
    *,
    model: str | None = None,
    paths: Mapping[str, str] | None = None,
) -> Start:
    """The first gate file for these data. ``unknown``: why there is no ``registered``. ``paths``: of the datasets, from
    where the file will lie; their own by default.

    Raises ConfigurationError where nothing can be measured with the data, and says what was tried.
    """
    columns = Columns(holdout)
    data = {HOLDOUT: holdout} if train is None else {HOLDOUT: holdout, TRAIN: train}
    scores_tokens = registered is None or registered.scores_tokens
    shape, main, refused = _fitting(columns, data, scores_tokens)
    files = {name: (paths or {}).get(name, str(one.path)) for name, one in data.items()}
    remarks = [f"{files[HOLDOUT]}: taken for {shape.name}, {len(holdout.examples):,} examples", *refused]
    if not scores_tokens and main.evaluator.needs & {"scores_tokens"}:
        remarks.append(
            f"{main.entry.kind} needs log-probabilities, which such a model does not give: its rules will be"
            " unmeasured, and the gate will hold; give it data with a label or a reference"
        )
    beside = [one for entry in shape.beside if (one := _tried(entry, data)) is not None]
    entries = [main.entry, *(one.entry for one in beside)]
    rules = [*_rules(shape, main, columns), *(_beside(one, columns) for one in beside)]
    if train is not None:
        more = beside_training(shape, data, _tried, scores_tokens=scores_tokens)
        entries += more.entries
        rules += more.rules
        remarks += more.remarks
    rules += _slices(shape, main, columns)
    lines = tuple(_data_line(name, one, files[name]) for name, one in data.items())
    name = model or (registered.name if registered else PLACEHOLDER)
    return Start(name, shape.name, lines, tuple(entries), tuple(rules), tuple(remarks), registered, unknown)


def _fitting(columns: Columns, data: Mapping[str, Dataset], scores_tokens: bool) -> tuple[Shape, Measured, list[str]]:
    """The first shape whose evaluator accepts the data, and why others were passed over."""
    refused: list[str] = []
    for shape in shapes_of(columns, scores_tokens=scores_tokens):
        problems = _problems(shape.main, data)
        if isinstance(problems, Measured):
            return shape, problems, refused
        refused.append(f"not {shape.name}: {problems[0].where}: {problems[0].found}")
    raise ConfigurationError(
        Problem(
            str(columns.dataset.path),
            "; ".join([f"columns {', '.join(columns.dataset.columns)}", *refused]),
            "texts and labels, questions and answers, texts and summaries, prompts and completions, chats, or texts",
            "name the columns that way, or write the gate file by hand: docs/gate-file.md",
        )
    )


def _tried(entry: Entry, data: Mapping[str, Dataset]) -> Measured | None:
    found = _problems(entry, data)
    return found if isinstance(found, Measured) else None


def _problems(entry: Entry, data: Mapping[str, Dataset]) -> Measured | list[Problem]:
    """The evaluator built as the gate file's loader does, or what it has against its settings or the data."""
    try:
        evaluator = cast("Evaluator", evaluator_class(entry.kind).model_validate(entry.settings))
    except ValidationError as error:
        return [Problem(entry.kind, one["msg"].removeprefix("Value error, ")) for one in error.errors()]
    return evaluator.check(data) or Measured(entry, evaluator)


def _rules(shape: Shape, main: Measured, columns: Columns) -> list[RuleLine]:
    """Of the evaluator that decides. A floor only where something is known that is no good: guessing."""
    metrics, sample = {one.name: one for one in main.evaluator.metrics()}, _sample(columns.dataset)
    kind = main.entry.kind
    if kind == "classification" and shape.label is not None:
        (label, count), *_ = columns.counts(shape.label).most_common(1)
        share = count / len(columns.dataset.examples)
        why = f"better than always answering {label!r}, which is right on {100 * share:.1f} % of these examples"
        name = "classification.accuracy"
        return [
            floor(name, metrics["accuracy"], sample, share, why),
            _wish(name, 0.75),
            change_of_share(name, metrics["accuracy"], sample),
        ]
    if kind == "multiple_choice":
        chance = sum(1 / max(2, one) for one in _option_counts(main, columns)) / len(columns.dataset.examples)
        why = f"better than guessing, which is right on {100 * chance:.1f} % of these examples"
        name = "multiple_choice.acc"
        return [floor(name, metrics["acc"], sample, chance, why), change_of_share(name, metrics["acc"], sample)]
    if kind == "question_answering":
        return [
            change_of_share("question_answering.f1", metrics["f1"], sample),
            _wish("question_answering.exact_match", 0.5),
        ]
    if kind == "summarization":
        return [change_of_other("summarization.rougeL", metrics["rougeL"], sample, 0.02)]
    if kind == "text_match":
        return [change_of_other("text_match.chrf", metrics["chrf"], sample, 2.0)]
    return [change_of_other("perplexity.bits_per_byte", metrics["bits_per_byte"], sample, 0.05)]


def _wish(metric: str, least: float) -> RuleLine:
    return RuleLine(
        {"metric": metric, "min": least}, ("good enough to serve: once you know what that is",), offered=True
    )


def _beside(found: Measured, columns: Columns) -> RuleLine:
    """What is shown and never in the way, or only offered."""
    if found.entry.kind == "ab_judge":
        return RuleLine({"metric": "ab_judge.win_rate", "min": 0.5}, offered=True)
    metrics = {one.name: one for one in found.evaluator.metrics()}
    name, sample = "perplexity.bits_per_byte", _sample(columns.dataset)
    rule = change_of_other(name, metrics["bits_per_byte"], sample, 0.1, against="base", severity="warn")
    return replace(rule, why=("shown, and never in the way: severity: warn", *rule.why))


def _option_counts(main: Measured, columns: Columns) -> list[int]:
    apart = main.entry.settings.get("choice_columns")
    if isinstance(apart, list):
        return [len(cast("list[object]", apart))] * len(columns.dataset.examples)
    cells = columns.cells(str(main.entry.settings["choices"]))
    return [len(cast("list[object]", cell)) for cell in cells if isinstance(cell, list)]


def _slices(shape: Shape, main: Measured, columns: Columns) -> list[RuleLine]:
    """A rule on every value of a column, offered for the columns that have a few."""
    first = next((rule for rule in _rules(shape, main, columns) if "min_change" in rule.settings), None)
    if first is None:
        return []
    used = {*shape.used, "id", "group", *source_of(columns.dataset).values()}
    return [
        RuleLine(
            {"metric": first.settings["metric"], "slices": column, "min_change": 0.0, "margin": 0.1},
            (f"every value of {column!r} by itself, from {LEAST_IN_A_SLICE} examples: {_values(values)}",),
            offered=True,
        )
        for column, values in columns.sliceable(used).items()
        if max(values.values()) >= LEAST_IN_A_SLICE
    ]


def _values(counts: Counter[str]) -> str:
    shown = ", ".join(f"{value!r} ({count:,})" for value, count in counts.most_common(_NAMED_VALUES))
    return shown + (f" and {len(counts) - _NAMED_VALUES} more" if len(counts) > _NAMED_VALUES else "")


def _sample(dataset: Dataset) -> Sample:
    return Sample(len(dataset.examples), cluster_count(one.group for one in dataset.examples))


def _data_line(name: str, dataset: Dataset, path: str) -> DataLine:
    roles = source_of(dataset)
    has_id = "id" in roles or "id" in dataset.columns
    has_group = "group" in roles or "group" in dataset.columns
    notes = ["never trained on" if name == HOLDOUT else "what the candidate was trained on"]
    notes.append("ids are those of the file" if has_id else "no column of ids: they are made from each row's content")
    if not has_group:
        notes.append("rows that belong together (a customer, a document) want a column `group`")
    sample = _sample(dataset)
    return DataLine(name, path, sample.examples, sample.units, roles, "; ".join(notes))
