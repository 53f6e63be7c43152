"""Question answering: does a short answer say what a reference says?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from pydantic import Field

from .asking import Ability, Request
from .errors import Problem
from .estimators import Mean
from .evaluator import Answers, Components, Datasets
from .metrics import Metric
from .prompting import GeneratingOnDataset
from .references import compare_each, reference_problems
from .showing import Shown
from .shown_answers import shown_texts
from .texts.question_answers import exact_match, token_f1

_METRICS = (
    Metric(
        "exact_match",
        True,
        Mean("exact_match", 0.0, 1.0),
        0.0,
        1.0,
        description="share of answers equal to a reference, but for case, punctuation and articles",
    ),
    Metric("f1", True, Mean("f1", 0.0, 1.0), 0.0, 1.0, description="words shared with the best reference, mean F1"),
)


class QuestionAnswering(GeneratingOnDataset):
    """``- question_answering: {data: holdout, prompt: "{context}\\n\\n{question}\\nAnswer:", stop: ["\\n"]}``

    ``reference`` is a column of texts, or of lists of texts that are all right. Components per example:
    ``exact_match`` (0 or 1) and ``f1`` over multisets of words, each the best over the references. Everything the model
    writes is its answer: ask for a short one, and end it with ``stop``.
    """

    kind: ClassVar[str] = "question_answering"
    row_by_row: ClassVar[bool] = True
    needs: ClassVar[frozenset[Ability]] = frozenset({"generates"})

    prompt: str = Field(
        default="{question}\n\nAnswer in as few words as possible.\nAnswer:",
        min_length=1,
        description="prompt with {column} slots",
    )
    reference: str = Field(default="answer", description="column of the right answer, or of a list of them")

    def metrics(self) -> tuple[Metric, ...]:
        return _METRICS

    def check(self, data: Datasets) -> list[Problem]:
        dataset = data[self.data]
        return [
            *self.prompt_problems(dataset),
            *reference_problems(f"{self.title}.reference", dataset, self.reference),
        ]

    def requests(self, data: Datasets) -> Sequence[Request]:
        return [self.ask(example.row) for example in self.examples(data)]

    def score(self, data: Datasets, answers: Answers) -> Components:
        replies = [answers[request] for request in self.requests(data)]
        cells = [example.row.get(self.reference) for example in self.examples(data)]
        return compare_each(
            ("exact_match", "f1"),
            replies,
            cells,
            lambda text, references: (exact_match(text, references), token_f1(text, references)),
        )

    def shown(self, data: Datasets, answers: Mapping[str, Answers], verdicts: Mapping[str, Answers]) -> Sequence[Shown]:
        return shown_texts(self.examples(data), self.ask, answers, self.reference)
