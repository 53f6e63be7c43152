"""The contract of an evaluator: settings in, requests out; answers in, per-example scores out.

An evaluator is a frozen pydantic model whose fields are its settings in the gate file. It holds no client, cache,
file handle or event loop, and never sees which model an answer came from.

    class AnswerLength(EvaluatorSettings):
        kind: ClassVar[str] = "answer_length"
        ...
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field

from .absent import Value
from .asking import Ability, Answer, Request
from .datasets import Dataset, Example
from .errors import Problem
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


class EvaluatorSettings(BaseModel):
    """The fields every built-in evaluator shares. Unknown settings are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    kind: ClassVar[str]
    version: ClassVar[int] = 1
    needs: ClassVar[frozenset[Ability]]

    data: str = Field(description="name of a dataset under `data:`")
    name: str | None = Field(
        default=None,
        pattern=r"^[a-z][a-z0-9_]{0,63}$",
        description="prefix of its metrics, where one kind of evaluator runs twice",
    )

    @property
    def title(self) -> str:
        return self.name or self.kind

    def reads(self) -> tuple[str, ...]:
        return (self.data,)

    def examples(self, data: Datasets) -> Sequence[Example]:
        return data[self.data].examples

    def settings(self) -> Mapping[str, object]:
        return self.model_dump(mode="json")

    def text_column_problems(self, data: Datasets, column: str) -> list[Problem]:
        """Rows of this evaluator's dataset in which ``column`` is missing or no text."""
        dataset = data[self.data]
        where = f"{self.title}: dataset {self.data!r} ({dataset.path})"
        if column not in dataset.columns:
            return [Problem(where, f"no column {column!r}", f"one of {', '.join(dataset.columns)}")]
        wrong = [example for example in dataset.examples if not isinstance(example.row.get(column), str)]
        return [
            Problem(f"{where} example {example.id!r}", f"{column}={example.row.get(column)!r}", "a text")
            for example in wrong[:5]
        ]
