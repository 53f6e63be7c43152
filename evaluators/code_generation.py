"""Code generation: of k programs that a model writes, does one pass the tests?

Programs of a model are run by a judge that is a sandbox, and only there; what a task expects is never inside it with
the program. Where there is no sandbox nothing is run, and all metrics are unmeasured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import comb
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from .absent import Unmeasured, Value
from .asking import Ability, Answer, ExecuteRequest, Execution, GenerateRequest, Request, unanswered
from .code_outcomes import Tried, outcome_table, shown_problem
from .code_programs import Extract, program_of
from .code_tasks import Fault, Task, task_of
from .datasets import Row
from .errors import DatasetError, Problem
from .estimators import Mean
from .evaluator import Answers, Components, Datasets
from .findings import Finding
from .metrics import Metric
from .prompting import GeneratingOnDataset
from .references import text_of
from .showing import Shown
from .shown_answers import NOT_ASKED, prompt_text

ROLES = 3
"""Most models in one run: candidate, base, champion."""
_MOST_FAULTS = 5


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
    """``- code_generation: {data: tasks, k: [1, 10], samples: 20, temperature: 0.8}``

    Asks for ``samples`` programs per example, drawn at ``temperature`` by ``seed``, and has a sandbox run them against
    the example's tests (layouts: `code_tasks`; from answer to program: `code_programs`).

    Components per example: ``passed`` (how many programs do), ``pass_at_1``, ... for every ``k``, ``timeouts`` and
    ``out_of_memory`` (shares of its programs). An example is unmeasured where one program failed to come or could not
    be judged: fewer samples are not the same estimate, and a sandbox's fault is no program's.
    """

    kind: ClassVar[str] = "code_generation"
    version: ClassVar[int] = 2
    row_by_row: ClassVar[bool] = True
    needs: ClassVar[frozenset[Ability]] = frozenset({"generates"})

    prompt: str = Field(default="", description="prompt with {column} slots; empty: as the data's layout asks")
    max_new_tokens: int = Field(default=512, ge=1, le=4096, description="longest answer, in tokens")
    extract: Extract = Field(
        default="auto", description="which part of an answer is the program: completion (all), fenced (a code block)"
    )
    k: tuple[int, ...] = Field(default=(1,), min_length=1, strict=False, description="which pass@k to measure")
    samples: int = Field(default=1, ge=1, le=1000, description="programs per example")
    temperature: float = Field(default=0.0, ge=0.0, le=2.0, description="0 is greedy, and has one sample")
    top_p: float = Field(default=1.0, gt=0.0, le=1.0, description="share of likeliest tokens that is drawn from")
    seed: int = Field(default=0, ge=0, description="of the draws")
    sandbox: Literal["auto", "bwrap", "docker"] = Field(
        default="auto", description="what programs are kept in; auto: the first that holds on this machine"
    )
    image: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_./:-]{0,254}@sha256:[0-9a-f]{64}$",
        description="Docker's image with Python in it, by digest",
    )
    seconds: float = Field(default=10.0, gt=0.0, le=3600.0, description="time of one program, at least")
    times_reference: float = Field(
        default=10.0, ge=1.0, le=1000.0, description="its time, as a multiple of the reference's, where that is more"
    )
    memory_mib: int = Field(default=512, ge=64, le=65536, description="memory of one program")

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

    @model_validator(mode="after")
    def _image_for_docker(self) -> CodeGeneration:
        if self.sandbox == "docker" and self.image is None:
            raise ValueError("sandbox docker needs an `image` with Python in it, by digest: python@sha256:...")
        if self.sandbox == "bwrap" and self.image is not None:
            raise ValueError("an `image` is Docker's: of no use with sandbox bwrap")
        return self

    def metrics(self) -> tuple[Metric, ...]:
        passing = tuple(
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
        return (
            *passing,
            _share("timeouts", "share of programs that took too long"),
            _share("out_of_memory", "share of programs that wanted too much memory"),
        )

    def check(self, data: Datasets) -> list[Problem]:
        dataset = data[self.data]
        where = f"{self.title}: dataset {self.data!r} ({dataset.path})"
        faults = [(example.id, fault) for example in dataset.examples for fault in self._faults(example.row)]
        problems = [
            Problem(f"{where} example {id!r}", found, expected, "correct the row or leave it out")
            for id, (found, expected) in faults[:_MOST_FAULTS]
        ]
        if len(faults) > _MOST_FAULTS:
            problems.append(Problem(where, f"{len(faults) - _MOST_FAULTS} more faults of this kind"))
        return problems + (self.prompt_problems(dataset) if self.prompt else [])

    def requests(self, data: Datasets) -> Sequence[Request]:
        rows = [example.row for example in self.examples(data)]
        return [request for row in rows for request in self._asked(row, self._task(row))]

    def judges(self) -> tuple[str, ...]:
        return (self._sandbox_address(),)

    def judge_calls(self, data: Datasets) -> Mapping[str, int]:
        return {self._sandbox_address(): ROLES * self.samples * len(self.examples(data))}

    def second_requests(self, data: Datasets, answers: Mapping[str, Answers]) -> Mapping[str, Sequence[Request]]:
        wanted: dict[Request, None] = {}
        for example in self.examples(data):
            task = self._task(example.row)
            asked = self._asked(example.row, task)
            for given in answers.values():
                runs = [self._run(task, given.get(request, NOT_ASKED)) for request in asked]
                wanted.update(dict.fromkeys(run for run in runs if isinstance(run, ExecuteRequest)))
        return {self._sandbox_address(): tuple(wanted)}

    def score(self, data: Datasets, answers: Answers) -> Components:
        return {}

    def score_judged(
        self, data: Datasets, answers: Mapping[str, Answers], verdicts: Mapping[str, Answers]
    ) -> Mapping[str, Components]:
        tried = self._tried(data, answers, verdicts)
        return {role: self._scored([by_role[role] for _, by_role in tried]) for role in answers}

    def findings(
        self, data: Datasets, answers: Mapping[str, Answers], verdicts: Mapping[str, Answers]
    ) -> Sequence[Finding]:
        return (outcome_table(self._tried(data, answers, verdicts)),)

    def shown(self, data: Datasets, answers: Mapping[str, Answers], verdicts: Mapping[str, Answers]) -> Sequence[Shown]:
        found: list[Shown] = []
        tried = self._tried(data, answers, verdicts)
        for example, (id, by_role) in zip(self.examples(data), tried, strict=True):
            task = self._task(example.row)
            asked = prompt_text(self._asked(example.row, task)[0].prompt)
            found.append(shown_problem(id, asked, task.code.reference, by_role))
        return found

    def _sandbox_address(self) -> str:
        return f"sandbox:{self.sandbox}" + (f"/{self.image}" if self.image else "")

    def _faults(self, row: Row) -> list[Fault]:
        task = task_of(row)
        if not isinstance(task, Task):
            return task
        if task.prompt is None and not self.prompt:
            return [("no text in column 'prompt'", "what to ask for; or a `prompt` in the gate file")]
        return []

    def _task(self, row: Row) -> Task:
        """Raises DatasetError for a row that `check` finds fault with."""
        task = task_of(row)
        if isinstance(task, Task):
            return task
        raise DatasetError(*(Problem(f"{self.title}: dataset {self.data!r}", *fault) for fault in task))

    def _asked(self, row: Row, task: Task) -> list[GenerateRequest]:
        prompt = self.prompt_of(row) if self.prompt else self.as_prompt(task.prompt or "")
        greedy = self.asking_for(prompt)
        if self.extract == "completion":
            greedy = replace(greedy, stop=tuple(dict.fromkeys((*self.stop, *task.stops))))
        if self.temperature == 0:
            return [greedy]
        drawn = replace(greedy, temperature=self.temperature, top_p=self.top_p, seed=self.seed)
        return [replace(drawn, sample=sample) for sample in range(self.samples)]

    def _run(self, task: Task, answer: Answer) -> ExecuteRequest | Unmeasured:
        text = text_of(answer)
        if isinstance(text, Unmeasured):
            return text
        program = program_of(text, task, self.extract)
        return ExecuteRequest(program, task.code, self.seconds, self.times_reference, self.memory_mib)

    def _tried(
        self, data: Datasets, answers: Mapping[str, Answers], verdicts: Mapping[str, Answers]
    ) -> list[tuple[str, Mapping[str, Tried]]]:
        """By example and role: every answer, and what became of its program."""
        ran = verdicts.get(self._sandbox_address(), {})
        found: list[tuple[str, Mapping[str, Tried]]] = []
        for example in self.examples(data):
            task = self._task(example.row)
            asked = self._asked(example.row, task)

            def became(answer: Answer, task: Task = task) -> tuple[Answer, Answer]:
                run = self._run(task, answer)
                return answer, ran.get(run, NOT_ASKED) if isinstance(run, ExecuteRequest) else answer

            tried = {
                role: [became(given.get(request, NOT_ASKED)) for request in asked] for role, given in answers.items()
            }
            found.append((example.id, tried))
        return found

    def _scored(self, tried: Sequence[Tried]) -> Components:
        names = ("passed", *(f"pass_at_{k}" for k in self.k), "timeouts", "out_of_memory")
        rows = [self._row(some) for some in tried]
        return {name: [row if isinstance(row, Unmeasured) else row[name] for row in rows] for name in names}

    def _row(self, tried: Tried) -> Mapping[str, Value] | Unmeasured:
        for answer, became in tried:
            if isinstance(text := text_of(answer), Unmeasured):
                return text
            if not isinstance(became, Execution):
                return unanswered(became, "the sandbox gave no outcome")
        outcomes = [became.outcome for _, became in tried if isinstance(became, Execution)]
        passed = outcomes.count("passed")
        return {
            "passed": float(passed),
            **{f"pass_at_{k}": pass_at_k(self.samples, passed, k) for k in self.k},
            "timeouts": outcomes.count("timeout") / self.samples,
            "out_of_memory": outcomes.count("out_of_memory") / self.samples,
        }


def _share(name: str, description: str) -> Metric:
    return Metric(name, False, Mean(name, 0.0, 1.0, higher_is_better=False), 0.0, 1.0, description=description)
