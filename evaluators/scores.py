"""Scores: what each model got on each example, and the one long table that a decision is recomputed from."""

from __future__ import annotations

import hashlib
import json
import math
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
        return next(scores for scores in self.evaluators if scores.evaluator == evaluator)

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
        """The table that ``rows()`` came from."""
        examples: dict[str, dict[str, ScoredExample]] = {}
        columns: dict[str, dict[str, dict[str, list[Value]]]] = {}
        for row in rows:
            value: Value
            if row.value is not None:
                value = row.value
            else:
                value = Unmeasured(row.reason or "no value and no reason in the score table")
            examples.setdefault(row.evaluator, {}).setdefault(
                row.example_id, ScoredExample(row.example_id, row.group, row.slices)
            )
            by_role = columns.setdefault(row.evaluator, {})
            by_role.setdefault(row.role, {}).setdefault(row.component, []).append(value)
        return ScoreTable(
            tuple(
                EvaluatorScores(
                    evaluator,
                    tuple(examples[evaluator].values()),
                    {
                        role: {component: tuple(values) for component, values in components.items()}
                        for role, components in by_role.items()
                    },
                )
                for evaluator, by_role in columns.items()
            )
        )


def score_evaluator(
    evaluator: Evaluator,
    data: Datasets,
    answers_by_role: Mapping[str, Answers],
    slice_columns: Sequence[str] = (),
    verdicts: Mapping[str, Answers] | None = None,
) -> EvaluatorScores:
    """Score one evaluator for every role, and check at this one border that what it returned can be believed.
    ``verdicts`` are the judges' answers, for an evaluator that has some.

    Raises EvaluationError where an evaluator returns another number of values than examples, a component that some
    role lacks, or a value that is no finite number.
    """
    examples = tuple(
        ScoredExample(
            example.id,
            example.group,
            {column: value for column in slice_columns if (value := example.slice_value(column)) is not None},
        )
        for example in evaluator.examples(data)
    )
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
    return EvaluatorScores(evaluator.title, examples, columns)


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
