"""Scores: what each model got on each example, and the one long table that a decision is recomputed from."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from .absent import Unmeasured, Value
from .errors import EvaluationError, Problem
from .evaluator import Answers, ComparedEvaluator, Components, Datasets, Evaluator, JudgedEvaluator


@dataclass(frozen=True, slots=True)
class ScoredExample:
    """What scoring keeps of an example: its id, its cluster, and the columns that rules slice by."""

    id: str
    group: str | None
    slices: Mapping[str, str]

    def slice_value(self, column: str) -> str | None:
        return self.slices.get(column)


@dataclass(frozen=True, slots=True)
class EvaluatorScores:
    """Scores of one evaluator: ``columns[role][component][i]`` belongs to ``examples[i]``."""

    evaluator: str
    examples: tuple[ScoredExample, ...]
    columns: Mapping[str, Mapping[str, tuple[Value, ...]]]


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """One line of the long table. Exactly one of ``value`` and ``reason`` is set."""

    evaluator: str
    example_id: str
    role: str
    component: str
    value: float | None
    reason: str | None
    group: str | None
    slices: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """Scores of all evaluators of a run."""

    evaluators: tuple[EvaluatorScores, ...]

    def of(self, evaluator: str) -> EvaluatorScores:
        """Raises EvaluationError where the table has none of that evaluator, as one read from a file may."""
        for scores in self.evaluators:
            if scores.evaluator == evaluator:
                return scores
        names = ", ".join(repr(scores.evaluator) for scores in self.evaluators) or "no scores at all"
        raise EvaluationError(Problem("score table", names, f"scores of {evaluator!r}"))

    def rows(self) -> Iterator[ScoreRow]:
        """All rows, in an order that depends on nothing but the scores' own order."""
        for scores in self.evaluators:
            for role, components in scores.columns.items():
                for component, values in components.items():
                    for example, value in zip(scores.examples, values, strict=True):
                        missing = isinstance(value, Unmeasured)
                        yield ScoreRow(
                            scores.evaluator,
                            example.id,
                            role,
                            component,
                            None if missing else value,
                            value.reason if missing else None,
                            example.group,
                            example.slices,
                        )

    def digest(self) -> str:
        """SHA-256 over the rows in canonical JSON, one a line: independent of the file format they are kept in."""
        digest = hashlib.sha256()
        for row in self.rows():
            fields = [
                row.evaluator, row.example_id, row.role, row.component, row.value, row.reason, row.group,
                sorted(row.slices.items()),
            ]  # fmt: skip
            digest.update(json.dumps(fields, ensure_ascii=True, allow_nan=False).encode() + b"\n")
        return digest.hexdigest()

    @staticmethod
    def from_rows(rows: Iterable[ScoreRow]) -> ScoreTable:
        """The table that ``rows()`` came from, whatever order the rows are in by now.

        Raises EvaluationError unless each evaluator has exactly one value for every example, role and component, and
        each value is a finite float or absent with a reason.
        """
        examples: dict[str, dict[str, ScoredExample]] = {}
        columns: dict[str, dict[str, dict[str, dict[str, object]]]] = {}
        for row in rows:
            example = ScoredExample(row.example_id, row.group, row.slices)
            if examples.setdefault(row.evaluator, {}).setdefault(row.example_id, example) != example:
                raise EvaluationError(Problem(_place(row), f"{example}", "the group and columns of its other rows"))
            by_component = columns.setdefault(row.evaluator, {}).setdefault(row.role, {})
            values = by_component.setdefault(row.component, {})
            if row.example_id in values:
                raise EvaluationError(Problem(_place(row), "a second value", "one value for each example"))
            if row.value is None and row.reason:
                values[row.example_id] = Unmeasured(row.reason)
            elif row.value is not None and row.reason is None:
                values[row.example_id] = row.value
            else:
                found = f"value {row.value!r} and reason {row.reason!r}"[:200]
                raise EvaluationError(Problem(_place(row), found, "one of the two"))
        return ScoreTable(
            tuple(
                _rectangle(evaluator, tuple(examples[evaluator].values()), by_role)
                for evaluator, by_role in columns.items()
            )
        )


def _place(row: ScoreRow) -> str:
    return f"score table, evaluator {row.evaluator!r}, {row.role}, {row.component}, example {row.example_id!r}"


def _rectangle(
    evaluator: str, examples: tuple[ScoredExample, ...], by_role: Mapping[str, Mapping[str, Mapping[str, object]]]
) -> EvaluatorScores:
    columns: dict[str, dict[str, tuple[Value, ...]]] = {}
    for role, components in by_role.items():
        where = f"score table, evaluator {evaluator!r}, {role}"
        columns[role] = {}
        for component, values in components.items():
            in_order = [values[example.id] for example in examples if example.id in values]
            columns[role][component] = _checked(where, component, in_order, examples)
    _same_components(f"score table, evaluator {evaluator!r}", columns)
    return EvaluatorScores(evaluator, examples, columns)


def score_evaluator(
    evaluator: Evaluator,
    data: Datasets,
    answers_by_role: Mapping[str, Answers],
    slice_columns: Sequence[str] = (),
    verdicts: Mapping[str, Answers] | None = None,
) -> EvaluatorScores:
    """Score one evaluator for every role, and check at this one border that what it returned can be believed.
    ``verdicts`` are the judges' answers, for an evaluator that has some.

    Raises EvaluationError where an evaluator returns two examples of one id, another number of values than examples,
    a component that some role lacks, or a value that is no finite number.
    """
    examples = tuple(
        ScoredExample(
            example.id,
            example.group,
            {column: value for column in slice_columns if (value := example.slice_value(column)) is not None},
        )
        for example in evaluator.examples(data)
    )
    twice = [name for name, count in Counter(example.id for example in examples).items() if count > 1]
    if twice:
        found = f"more than one example {twice[0]!r}"
        raise EvaluationError(Problem(f"evaluator {evaluator.title!r}", found, "an id of its own for each example"))
    compared: Mapping[str, Components] = {}
    judged: Mapping[str, Components] = {}
    if isinstance(evaluator, ComparedEvaluator):
        compared = evaluator.score_compared(data, answers_by_role)
    if isinstance(evaluator, JudgedEvaluator):
        judged = evaluator.score_judged(data, answers_by_role, verdicts or {})
    columns: dict[str, Mapping[str, tuple[Value, ...]]] = {}
    for role, answers in answers_by_role.items():
        where = f"evaluator {evaluator.title!r}, {role}"
        components = {**evaluator.score(data, answers), **compared.get(role, {}), **judged.get(role, {})}
        columns[role] = {name: _checked(where, name, values, examples) for name, values in components.items()}
    _same_components(f"evaluator {evaluator.title!r}", columns)
    return EvaluatorScores(evaluator.title, examples, columns)


def _same_components(where: str, columns: Mapping[str, Mapping[str, object]]) -> None:
    known = {component for components in columns.values() for component in components}
    for role, components in columns.items():
        lacking = sorted(known - components.keys())
        if lacking:
            raise EvaluationError(Problem(f"{where}, {role}", f"no {lacking[0]}", "the components of every other role"))


def _checked(
    where: str, component: str, values: Sequence[object], examples: Sequence[ScoredExample]
) -> tuple[Value, ...]:
    if len(values) != len(examples):
        raise EvaluationError(
            Problem(f"{where}, {component}", f"{len(values)} values", f"{len(examples)}, one per example")
        )
    checked: list[Value] = []
    for example, value in zip(examples, values, strict=True):
        if isinstance(value, Unmeasured) or (isinstance(value, float) and math.isfinite(value)):
            checked.append(value)
        else:
            raise EvaluationError(
                Problem(
                    f"{where}, {component}, example {example.id!r}",
                    repr(value)[:100],
                    "a finite float, or Unmeasured with a reason",
                )
            )
    return tuple(checked)
