"""What the consistency evaluator asks: its settings, and the questions that they make of the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from ..asking import Ability, GenerateRequest, Request
from ..datasets import Dataset, Example, Row
from ..errors import Problem
from ..evaluator import Datasets
from ..prompting import GeneratingOnDataset
from ..slots import fill_slots, slot_names
from ..texts.new_terms import texts_in
from ..texts.sameness import Similarity

_ASKING = ("embeddings", "nli", "judge")


@dataclass(frozen=True, slots=True)
class Question:
    """One question, in all its wordings.

    ``text`` is the first wording as it stands in the prompt. ``wordings`` are asked greedily, each with the answers
    that are right for it in ``references``; ``samples`` are draws for the first. ``outside``: from the prompts outside
    the domain.
    """

    example: Example
    text: str
    wordings: tuple[GenerateRequest, ...]
    references: tuple[tuple[str, ...], ...]
    samples: tuple[GenerateRequest, ...]
    outside: bool = False

    @property
    def requests(self) -> tuple[GenerateRequest, ...]:
        return (*self.wordings, *self.samples)


class ConsistencySettings(GeneratingOnDataset):
    """The settings of `Consistency`, what they ask, and whether the data allows it."""

    needs: ClassVar[frozenset[Ability]] = frozenset({"generates"})
    datasets_in: ClassVar[tuple[str, ...]] = ("data", "retention", "train")

    prompt: str = Field(default="{prompt}", min_length=1, description="prompt with {column} slots")
    rephrasings: str | None = Field(
        default=None, description="column with a list of rephrasings, each of which fills the slot of the prompt"
    )
    slot: str | None = Field(
        default=None, description="slot that rephrasings fill; needed where the prompt has several"
    )
    fact: str | None = Field(
        default=None, description="instead of rephrasings: column that ties rows which ask the same in other words"
    )
    samples: int = Field(default=0, ge=0, le=100, description="repeated samples of each prompt, at least 2; 0: none")
    temperature: float = Field(default=1.0, gt=0.0, le=2.0, description="of the repeated samples")
    similarity: Similarity = Field(default="match", description="when two answers say the same")
    threshold: float | None = Field(
        default=None, gt=0.0, le=1.0, description="least similarity that is the same; default depends on similarity"
    )
    model: str | None = Field(default=None, min_length=1, description="address of the model for embeddings, nli, judge")
    verdict: Literal["generate", "loglikelihood"] = Field(
        default="generate", description="whether the judge writes yes or no, or its likelier word is taken"
    )
    reference: str | None = Field(default=None, description="column of the right answer, a text or a list of texts")
    k: int | None = Field(default=None, ge=1, description="for pass^k; default: all samples")
    train: str | None = Field(default=None, description="dataset that the candidate was fine-tuned on")
    bigrams: bool = Field(default=False, description="whether two neighbouring words can be a new term")
    least_uses: int = Field(default=5, ge=2, description="uses by both models together that a term must have")
    alpha: float = Field(default=0.05, gt=0.0, lt=0.5, description="false discovery rate of new terms")
    retention: str | None = Field(default=None, description="dataset of prompts outside the domain")
    retention_reference: str | None = Field(default=None, description="column of its right answers")

    @model_validator(mode="after")
    def _usable(self) -> Self:
        given = self.model_fields_set
        if self.rephrasings and self.fact:
            raise ValueError("rephrasings and fact are two ways to say the same; expected one of them")
        if self.samples == 1:
            raise ValueError("one sample agrees with itself; expected samples: 2 or more")
        if not (self.rephrasings or self.fact or self.samples):
            raise ValueError(
                "one answer to one wording says nothing about consistency; expected rephrasings (or fact), or samples"
            )
        if self.similarity in _ASKING and self.model is None:
            raise ValueError(f"similarity {self.similarity} asks another model; expected its address in `model`")
        idle = {
            "model": self.similarity not in _ASKING,
            "threshold": self.similarity == "match" or (self.similarity == "judge" and self.verdict == "generate"),
            "verdict": self.similarity != "judge",
            "temperature": not self.samples,
            "slot": not self.rephrasings,
            "k": not (self.samples and self.reference),
            "retention_reference": not self.retention,
        }
        for setting in sorted(given & {name for name, unused in idle.items() if unused}):
            if getattr(self, setting) is not None:
                raise ValueError(f"{setting} has no effect with the other settings; leave it out")
        if self.k is not None and self.k > self.samples:
            raise ValueError(f"k is {self.k} and samples {self.samples}; expected at most so many")
        if len(self.reads()) != len(set(self.reads())):
            raise ValueError("data, retention and train must be different datasets")
        if self.rephrasings:
            slots = slot_names(self.prompt)
            if self.slot is None and len(slots) != 1:
                raise ValueError(f"the prompt has {len(slots)} slots; expected `slot`: the one that rephrasings fill")
            if self.slot is not None and self.slot not in slots:
                raise ValueError(f"the prompt has no slot {{{self.slot}}}")
        return self

    @property
    def rephrased(self) -> bool:
        return bool(self.rephrasings or self.fact)

    def reads(self) -> tuple[str, ...]:
        return tuple(name for name in (self.data, self.retention, self.train) if name is not None)

    def examples(self, data: Datasets) -> Sequence[Example]:
        return [question.example for question in self.questions(data)]

    def requests(self, data: Datasets) -> Sequence[Request]:
        return [request for question in self.questions(data) for request in question.requests]

    def questions(self, data: Datasets) -> list[Question]:
        """Those of the domain, one for each row or each fact, then those outside it. Where there are both, the name of
        the dataset stands before each id."""
        inside = [self._question(rows) for rows in self._facts(data[self.data])]
        if self.retention is None:
            return inside
        outside = [self._outside(example) for example in data[self.retention].examples]
        named = [(self.data, question) for question in inside] + [(self.retention, question) for question in outside]
        return [
            replace(question, example=replace(question.example, id=f"{name}/{question.example.id}"))
            for name, question in named
        ]

    def _facts(self, dataset: Dataset) -> list[list[Example]]:
        """Rows that ask the same; each row by itself where ``fact`` is not set. A fact is one example under its name,
        with the group and category of its first row."""
        if self.fact is None:
            return [[example] for example in dataset.examples]
        facts: dict[str, list[Example]] = {}
        for example in dataset.examples:
            facts.setdefault(str(example.row.get(self.fact)), []).append(example)
        return [[replace(rows[0], id=name), *rows[1:]] for name, rows in facts.items()]

    def _question(self, rows: Sequence[Example]) -> Question:
        worded: dict[str, tuple[str, ...]] = {}  # the same wording twice would agree with itself
        for example in rows:
            for text in self._wordings(example.row):
                worded.setdefault(text, _right_answers(example.row, self.reference))
        first = next(iter(worded))
        draw = replace(self.asking_for(self.as_prompt(first)), temperature=self.temperature)
        return Question(
            example=rows[0],
            text=first,
            wordings=tuple(self.asking_for(self.as_prompt(text)) for text in worded) if self.rephrased else (),
            references=tuple(worded.values()),
            samples=tuple(replace(draw, sample=number) for number in range(self.samples)),
        )

    def _wordings(self, row: Row) -> list[str]:
        rows = [row]
        rephrased = row.get(self.rephrasings) if self.rephrasings else None
        if isinstance(rephrased, list):
            slot = self.slot or slot_names(self.prompt)[0]
            rows += [{**row, slot: str(text)} for text in rephrased]
        return [fill_slots(self.prompt, worded) for worded in rows]

    def _outside(self, example: Example) -> Question:
        text = fill_slots(self.prompt, example.row)
        greedy = self.asking_for(self.as_prompt(text))
        return Question(
            example, text, (greedy,), (_right_answers(example.row, self.retention_reference),), (), outside=True
        )

    def check(self, data: Datasets) -> list[Problem]:
        dataset = data[self.data]
        problems = [*self.prompt_problems(dataset), *self._reference_problems(dataset, "reference")]
        problems += self._rephrasing_problems(dataset)
        if self.retention is not None:
            problems += self.prompt_problems(data[self.retention])
            problems += self._reference_problems(data[self.retention], "retention_reference")
        if self.train is not None and not any(_texts(example.row) for example in data[self.train].examples):
            where = f"{self.title}.train: dataset {self.train!r} ({data[self.train].path})"
            problems.append(Problem(where, "no text in any column", "the texts that the candidate was fine-tuned on"))
        return problems

    def _rephrasing_problems(self, dataset: Dataset) -> list[Problem]:
        setting, column = ("fact", self.fact) if self.fact else ("rephrasings", self.rephrasings)
        if column is None:
            return []
        where = f"{self.title}.{setting}: dataset {dataset.name!r} ({dataset.path})"
        if column not in dataset.columns:
            return [Problem(where, f"no column {column!r}", f"one of {', '.join(dataset.columns)}")]
        wrong = [example for example in dataset.examples if not self._rephrasable(example.row.get(column))]
        wanted = "a text or whole number" if self.fact else "a list of texts, none of them blank"
        problems = _first_five(where, wrong, column, wanted)
        if problems:
            return problems
        alone = [rows[0].id for rows in self._facts(dataset) if len(self._question(rows).wordings) < 2]
        if alone:
            found = f"{len(alone)} questions have one wording only, the first is {alone[0]!r}"
            problems.append(Problem(where, found, "two wordings that differ, or more", "add some, or leave them out"))
        return problems

    def _rephrasable(self, cell: object) -> bool:
        if self.fact:
            return isinstance(cell, str | int) and not isinstance(cell, bool) and bool(str(cell).strip())
        return isinstance(cell, list) and bool(cell) and all(map(_is_text, cell))  # pyright: ignore[reportUnknownArgumentType] - cells are JSON

    def _reference_problems(
        self, dataset: Dataset, setting: Literal["reference", "retention_reference"]
    ) -> list[Problem]:
        column: str | None = getattr(self, setting)
        if column is None:
            return []
        where = f"{self.title}.{setting}: dataset {dataset.name!r} ({dataset.path})"
        if column not in dataset.columns:
            return [Problem(where, f"no column {column!r}", f"one of {', '.join(dataset.columns)}")]
        wrong = [example for example in dataset.examples if not _right_answers(example.row, column)]
        return _first_five(where, wrong, column, "a text or a list of texts, none of them blank")


def _right_answers(row: Row, column: str | None) -> tuple[str, ...]:
    """Empty where there are none, or what is there is no text."""
    cell = row.get(column) if column else None
    answers = cell if isinstance(cell, list) else [cell]
    texts = tuple(answer for answer in answers if isinstance(answer, str) and answer.strip())
    return texts if len(texts) == len(answers) else ()


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _texts(row: Row) -> list[str]:
    return [text for cell in row.values() for text in texts_in(cell)]


def _first_five(where: str, wrong: Sequence[Example], column: str, wanted: str) -> list[Problem]:
    problems = [
        Problem(f"{where} example {example.id!r}", f"{column}={example.row.get(column)!r}", wanted)
        for example in wrong[:5]
    ]
    if len(wrong) > 5:
        problems.append(Problem(where, f"{len(wrong) - 5} more such rows"))
    return problems
