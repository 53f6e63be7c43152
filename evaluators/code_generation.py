"""Code generation: of k programs that a model writes, does one pass the tests?

**No program is run in this version**: there is no sandbox, and code that a model wrote is not executed without one. All
metrics are unmeasured and say so. What is here is complete up to that one seam, `Sandbox`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import comb
from typing import ClassVar, Protocol

from pydantic import Field, model_validator

from .absent import Unmeasured, Value
from .asking import Ability, Answer, GenerateRequest, Request
from .datasets import Example, Row
from .errors import Problem
from .estimators import Mean
from .evaluator import Answers, Components, Datasets
from .metrics import Metric
from .prompting import GeneratingOnDataset
from .references import text_of
from .showing import Shown
from .shown_answers import prompt_text, said, said_in_turn

NO_SANDBOX = Unmeasured(
    "no sandbox: model-written code is not run by this version. Run the samples where code may run, put pass rates "
    "into an evaluator of your own, or subclass CodeGeneration and give it a Sandbox"
)


class Sandbox(Protocol):
    """Where programs of strangers can be run. An implementation must hold against a program that fights it: one that
    forges the result, reads the tests, or never ends."""

    def passed(self, row: Row, samples: Sequence[str]) -> int | Unmeasured:
        """How many of ``samples``, which are a model's answers as they are, pass the tests of the example ``row``.
        Unmeasured where that could not be found out; a program that fails or takes too long just does not pass."""
        ...


def pass_at_k(n: int, c: int, k: int) -> float | Unmeasured:
    """The chance that at least one of k samples passes, where c of n do: ``1 - C(n-c, k) / C(n, k)``, exact.

    It is unbiased, which ``1 - (1 - c/n)^k`` is not. Unmeasured for n < k. Raises ValueError where there are no such
    numbers of samples. Source: Chen et al. 2021 (arXiv 2107.03374).
    """
    if k < 1 or n < 0 or not 0 <= c <= n:
        raise ValueError(f"found n={n}, c={c}, k={k}; expected 0 <= c <= n and k >= 1")
    if n < k:
        return Unmeasured(f"pass@{k} needs at least {k} samples, and there are {n}")
    drawn = comb(n, k)
    return (drawn - comb(n - c, k)) / drawn


class CodeGeneration(GeneratingOnDataset):
    """``- code_generation: {data: tasks, prompt: "{prompt}", k: [1, 10], samples: 20, temperature: 0.8}``

    Asks for ``samples`` programs per example, drawn at ``temperature`` by ``seed``. Components per example: ``passed``
    (how many do), and ``pass_at_1``, ... for every ``k``. An example is unmeasured where one sample failed to come:
    fewer samples are not the same estimate.
    """

    kind: ClassVar[str] = "code_generation"
    row_by_row: ClassVar[bool] = True
    needs: ClassVar[frozenset[Ability]] = frozenset({"generates"})

    prompt: str = Field(default="{prompt}", min_length=1, description="prompt with {column} slots")
    max_new_tokens: int = Field(default=512, ge=1, le=4096, description="longest program, in tokens")
    k: tuple[int, ...] = Field(default=(1,), min_length=1, strict=False, description="which pass@k to measure")
    samples: int = Field(default=1, ge=1, le=1000, description="programs per example")
    temperature: float = Field(default=0.0, ge=0.0, le=2.0, description="0 is greedy, and has one sample")
    top_p: float = Field(default=1.0, gt=0.0, le=1.0, description="share of likeliest tokens that is drawn from")
    seed: int = Field(default=0, ge=0, description="of the draws")

    @model_validator(mode="after")
    def _enough_samples(self) -> CodeGeneration:
        if min(self.k) < 1 or len(set(self.k)) < len(self.k):
            raise ValueError("k: whole numbers from 1, each once")
        if max(self.k) > self.samples:
            raise ValueError(f"pass@{max(self.k)} needs at least {max(self.k)} samples; `samples` is {self.samples}")
        if self.temperature == 0 and self.samples > 1:
            raise ValueError("temperature 0 writes the same program every time: one sample, or a temperature above 0")
        if self.temperature == 0 and self.model_fields_set & {"top_p", "seed"}:
            raise ValueError("top_p and seed are of no use at temperature 0")
        return self

    def sandbox(self) -> Sandbox | None:
        """Where programs run; none in this version."""
        return None

    def metrics(self) -> tuple[Metric, ...]:
        return tuple(
            Metric(
                f"pass_at_{k}",
                True,
                Mean(f"pass_at_{k}", 0.0, 1.0),
                0.0,
                1.0,
                description=f"pass@{k}: chance that one of {k} programs passes the tests, mean over examples",
            )
            for k in self.k
        )

    def check(self, data: Datasets) -> list[Problem]:
        return self.prompt_problems(data[self.data])

    def requests(self, data: Datasets) -> Sequence[Request]:
        return [request for example in self.examples(data) for request in self._asked(example.row)]

    def score(self, data: Datasets, answers: Answers) -> Components:
        sandbox = self.sandbox()
        passed = [
            self._passed(sandbox, example.row, [answers[request] for request in self._asked(example.row)])
            for example in self.examples(data)
        ]
        columns: dict[str, list[Value]] = {
            f"pass_at_{k}": [
                count if isinstance(count, Unmeasured) else pass_at_k(self.samples, count, k) for count in passed
            ]
            for k in self.k
        }
        counts: list[Value] = [count if isinstance(count, Unmeasured) else float(count) for count in passed]
        return {"passed": counts, **columns}

    def shown(self, data: Datasets, answers: Mapping[str, Answers], verdicts: Mapping[str, Answers]) -> Sequence[Shown]:
        return [self._shown_one(example, answers) for example in self.examples(data)]

    def _shown_one(self, example: Example, answers: Mapping[str, Answers]) -> Shown:
        asked = self._asked(example.row)
        programs = {role: [given[request] for request in asked] for role, given in answers.items()}
        texts = {
            role: said(some[0])
            if len(some) == 1
            else said_in_turn((f"program {number}", one) for number, one in enumerate(some, 1))
            for role, some in programs.items()
        }
        return Shown(example.id, prompt_text(asked[0].prompt), "", texts)

    def _asked(self, row: Row) -> list[GenerateRequest]:
        greedy = self.ask(row)
        if self.temperature == 0:
            return [greedy]
        drawn = replace(greedy, temperature=self.temperature, top_p=self.top_p, seed=self.seed)
        return [replace(drawn, sample=sample) for sample in range(self.samples)]

    def _passed(self, sandbox: Sandbox | None, row: Row, replies: Sequence[Answer]) -> int | Unmeasured:
        if sandbox is None:
            return NO_SANDBOX
        texts = [text_of(reply) for reply in replies]
        missing = next((text for text in texts if isinstance(text, Unmeasured)), None)
        return missing or sandbox.passed(row, [text for text in texts if isinstance(text, str)])
