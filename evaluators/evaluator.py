"""The contract of an evaluator: settings in, requests out; answers in, per-example scores out.

An evaluator is a frozen pydantic model whose fields are its settings in the gate file. It holds no client, cache,
file handle or event loop, and never sees which model an answer came from.

    class AnswerLength(EvaluatorSettings):
        kind: ClassVar[str] = "answer_length"
        ...
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field

from .absent import Value
from .asking import Ability, Answer, Request
from .datasets import Dataset, Example
from .errors import Problem
from .findings import Finding
from .metrics import Metric

Datasets = Mapping[str, Dataset]
Answers = Mapping[Request, Answer]
Components = Mapping[str, Sequence[Value]]
"""Component name to one value per example, in the order of ``examples(data)``."""


class Evaluator(Protocol):
    """What the gate asks of every evaluator, built-in or not."""

    @property
    def kind(self) -> str: ...

    @property
    def version(self) -> int:
        """Raised whenever the same answers would be scored differently."""
        ...

    @property
    def title(self) -> str:
        """The prefix of its metrics: ``name`` where the gate file gives one, else ``kind``."""
        ...

    @property
    def needs(self) -> frozenset[Ability]: ...

    def metrics(self) -> tuple[Metric, ...]: ...

    def reads(self) -> tuple[str, ...]:
        """Names of the datasets it reads."""
        ...

    def check(self, data: Datasets) -> list[Problem]:
        """Faults of the data for this evaluator, such as a missing column; asked before anything is spent."""
        ...

    def examples(self, data: Datasets) -> Sequence[Example]: ...

    def requests(self, data: Datasets) -> Sequence[Request]: ...

    def score(self, data: Datasets, answers: Answers) -> Components: ...

    def settings(self) -> Mapping[str, object]:
        """Every setting as JSON values, defaults included; goes into the record."""
        ...


@runtime_checkable
class JudgedEvaluator(Evaluator, Protocol):
    """An evaluator with a second round: judges read what the models answered, and are asked in the same vocabulary.

    Answers and components are by the part a model plays in the run (``candidate``, ``base``, ``champion``), verdicts
    by judge. ``score`` gives the components that need no judge, and may give none.
    """

    def judges(self) -> tuple[str, ...]:
        """Addresses of the judges, such as ``openai:/gpt-4o`` or ``models:/judge/3``."""
        ...

    def judge_calls(self, data: Datasets) -> Mapping[str, int]:
        """At most how many requests each judge will get, said before any model has answered."""
        ...

    def second_requests(self, data: Datasets, answers: Mapping[str, Answers]) -> Mapping[str, Sequence[Request]]:
        """What to ask each judge. The same answers make the same requests."""
        ...

    def score_judged(
        self, data: Datasets, answers: Mapping[str, Answers], verdicts: Mapping[str, Answers]
    ) -> Mapping[str, Components]: ...


@runtime_checkable
class ComparedEvaluator(Evaluator, Protocol):
    """An evaluator some of whose components read several models' answers side by side: how far an answer departs from
    the base's, or how much better than the base a model knows a text. ``score`` gives the other components."""

    def score_compared(self, data: Datasets, answers: Mapping[str, Answers]) -> Mapping[str, Components]:
        """By the part a model plays in the run. Every role gets the same components; where one has no meaning for a
        role, such as the base compared with itself, its values are Unmeasured with that reason."""
        ...


@runtime_checkable
class ExplainedEvaluator(Evaluator, Protocol):
    """An evaluator with more to show than numbers: the pairs that leaked, the terms that are new, a heat map."""

    def findings(
        self, data: Datasets, answers: Mapping[str, Answers], verdicts: Mapping[str, Answers]
    ) -> Sequence[Finding]:
        """For the report, from the same answers that were scored. Never part of the decision."""
        ...


@runtime_checkable
class DivisibleEvaluator(Evaluator, Protocol):
    """An evaluator that can look at some rows before the others. What it says of a row depends on no other row, but for
    judges' controls, which are made of the rows that there are. Other evaluators see all of their data at once."""

    def in_parts(self) -> tuple[str, ...]:
        """Names of the datasets of which it may be given some rows only."""
        ...


@runtime_checkable
class RatedEvaluator(Evaluator, Protocol):
    """An evaluator that reads what people said of answers. Before anyone has rated there are no ratings, and that is no
    fault; every other dataset that an evaluator reads must have rows."""

    def reads_ratings(self) -> tuple[str, ...]:
        """Names of the datasets of ratings, among those that it reads."""
        ...


class EvaluatorSettings(BaseModel):
    """What the settings of every built-in evaluator have in common. Unknown settings are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    kind: ClassVar[str]
    version: ClassVar[int] = 1
    needs: ClassVar[frozenset[Ability]]

    datasets_in: ClassVar[tuple[str, ...]] = ()
    """Which of its settings are names of datasets, as ``reads`` gives them."""

    example: ClassVar[Mapping[str, object]]
    """Settings to show it with: the shortest entry of a gate file that works."""

    name: str | None = Field(
        default=None,
        pattern=r"^[a-z][a-z0-9_]{0,63}$",
        description="prefix of its metrics, where one kind of evaluator runs twice",
    )

    @property
    def title(self) -> str:
        return self.name or self.kind

    def settings(self) -> Mapping[str, object]:
        return self.model_dump(mode="json")


class OneDataset(EvaluatorSettings):
    """The settings of an evaluator that reads one dataset, and has one score for each of its examples."""

    datasets_in: ClassVar[tuple[str, ...]] = ("data",)
    row_by_row: ClassVar[bool] = False
    """Whether a row is asked about and scored whatever other rows there are, so that some can be looked at first."""

    example: ClassVar[Mapping[str, object]] = {"data": "holdout"}

    data: str = Field(description="name of a dataset under `data:`")

    def reads(self) -> tuple[str, ...]:
        return (self.data,)

    def in_parts(self) -> tuple[str, ...]:
        return (self.data,) if self.row_by_row else ()

    def examples(self, data: Datasets) -> Sequence[Example]:
        return data[self.data].examples


class TwoDatasets(EvaluatorSettings):
    """The settings of an evaluator that compares what models do on two datasets. Subclasses name the fields that hold
    their names, in order, in ``datasets_in``.

    Its examples are those of both, the first one's first, with the dataset's name before each id: ``train/17``.
    """

    def reads(self) -> tuple[str, ...]:
        first, second = (str(getattr(self, field)) for field in self.datasets_in)
        return (first, second)

    def examples(self, data: Datasets) -> Sequence[Example]:
        return [replace(example, id=f"{name}/{example.id}") for name in self.reads() for example in data[name].examples]

    def first_side(self, data: Datasets) -> Sequence[Value]:
        """1 for the examples of the first dataset, 0 for those of the second, in the order of ``examples``."""
        first, second = (len(data[name].examples) for name in self.reads())
        return [1.0] * first + [0.0] * second


def divisible(evaluators: Iterable[Evaluator]) -> frozenset[str]:
    """Names of the datasets that everyone who reads them can be given some rows of."""
    partly, whole = set[str](), set[str]()
    for one in evaluators:
        parts = one.in_parts() if isinstance(one, DivisibleEvaluator) else ()
        partly |= set(parts)
        whole |= set(one.reads()) - set(parts)
    return frozenset(partly - whole)


def text_column_problems(where: str, dataset: Dataset, column: str) -> list[Problem]:
    """Rows of ``dataset`` in which ``column`` is missing or no text. ``where`` names the setting that wants it."""
    place = f"{where}: dataset {dataset.name!r} ({dataset.path})"
    if column not in dataset.columns:
        return [Problem(place, f"no column {column!r}", f"one of {', '.join(dataset.columns)}")]
    wrong = [example for example in dataset.examples if not isinstance(example.row.get(column), str)]
    problems = [
        Problem(f"{place} example {example.id!r}", f"{column}={example.row.get(column)!r}", "a text")
        for example in wrong[:5]
    ]
    if len(wrong) > 5:
        problems.append(Problem(place, f"{len(wrong) - 5} more rows in which {column!r} is no text"))
    return problems
