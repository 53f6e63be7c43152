"""Summarization: how much of a reference summary the model's own summary has, as ROUGE counts it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from .asking import Ability, Request
from .errors import Problem
from .estimators import Mean
from .evaluator import Answers, Components, Datasets
from .findings import Finding, Table
from .metrics import Metric
from .prompting import GeneratingOnDataset
from .references import compare_each, reference_problems, references_of
from .showing import Shown
from .shown_answers import shown_texts
from .texts.rouge import TokenizerName, choose_tokenizer, rouge, tokenizer_named

_NAMES = {
    "rouge1": "words",
    "rouge2": "pairs of words",
    "rougeL": "words in common order",
    "rougeLsum": "words in common order, line by line",
}
_METRICS = tuple(
    Metric(name, True, Mean(name, 0.0, 1.0), 0.0, 1.0, description=f"{name}: F-measure over {counted}, mean")
    for name, counted in _NAMES.items()
)


class Summarization(GeneratingOnDataset):
    """``- summarization: {data: holdout, reference: summary, prompt: "Summarize:\\n{text}"}``

    Components per example: ``rouge1``, ``rouge2``, ``rougeL``, ``rougeLsum``, F-measures in [0, 1] equal to those of
    rouge_score 0.1.2; of several references the best counts. ``rougeLsum`` takes lines as sentences, so it is
    ``rougeL`` for texts of one line.

    The default tokenizer of rouge_score sees a-z and 0-9 only: identical Russian summaries score 0. ``tokenizer: auto``
    takes one that knows all scripts as soon as one reference of the dataset has a letter outside ASCII; which one ran
    is shown in the report.
    """

    kind: ClassVar[str] = "summarization"
    row_by_row: ClassVar[bool] = True
    needs: ClassVar[frozenset[Ability]] = frozenset({"generates"})

    prompt: str = Field(default="{text}\n\nSummary:", min_length=1, description="prompt with {column} slots")
    max_new_tokens: int = Field(default=128, ge=1, le=4096, description="longest answer, in tokens")
    reference: str = Field(default="summary", description="column of the right summary, or of a list of them")
    tokenizer: Literal["auto", "ascii", "unicode"] = Field(
        default="auto", description="ascii: rouge_score's own; unicode: words of any script"
    )
    stemmer: bool = Field(default=False, description="cut English endings, as rouge_score's use_stemmer does")

    @model_validator(mode="after")
    def _stemmer_has_its_tokenizer(self) -> Summarization:
        if self.stemmer and self.tokenizer == "unicode":
            raise ValueError("the stemmer is for English, and needs the ascii tokenizer")
        return self

    def metrics(self) -> tuple[Metric, ...]:
        return _METRICS

    def check(self, data: Datasets) -> list[Problem]:
        dataset = data[self.data]
        problems = [
            *self.prompt_problems(dataset),
            *reference_problems(f"{self.title}.reference", dataset, self.reference),
        ]
        return problems or self._tokenizer_problems(data)

    def requests(self, data: Datasets) -> Sequence[Request]:
        return [self.ask(example.row) for example in self.examples(data)]

    def score(self, data: Datasets, answers: Answers) -> Components:
        tokenize = tokenizer_named(self._chosen(data), stemmer=self.stemmer)
        replies = [answers[request] for request in self.requests(data)]
        cells = [example.row.get(self.reference) for example in self.examples(data)]
        return compare_each(
            tuple(_NAMES), replies, cells, lambda text, references: astuple(rouge(references, text, tokenize))
        )

    def findings(
        self, data: Datasets, answers: Mapping[str, Answers], verdicts: Mapping[str, Answers]
    ) -> Sequence[Finding]:
        note = "ROUGE counts words, and this says what it took for one. Scores of different tokenizers do not compare."
        row = (self._chosen(data), self.tokenizer, "yes" if self.stemmer else "no")
        return [Table.of("Tokenizer of ROUGE", note, ("ran", "setting", "stemmer"), [row])]

    def shown(self, data: Datasets, answers: Mapping[str, Answers], verdicts: Mapping[str, Answers]) -> Sequence[Shown]:
        return shown_texts(self.examples(data), self.ask, answers, self.reference)

    def _chosen(self, data: Datasets) -> TokenizerName:
        if self.stemmer:  # `check` refused references that it cannot read
            return "ascii"
        cells = (example.row.get(self.reference) for example in self.examples(data))
        return choose_tokenizer(self.tokenizer, (text for cell in cells for text in references_of(cell)))

    def _tokenizer_problems(self, data: Datasets) -> list[Problem]:
        """References in which the tokenizer finds no word: every answer would score 0."""
        name = self._chosen(data)
        tokenize = tokenizer_named(name)
        lost = [
            example
            for example in self.examples(data)
            if not any(tokenize(text) for text in references_of(example.row.get(self.reference)))
        ]
        if not lost:
            return []
        where = f"{self.title}.tokenizer: dataset {self.data!r} example {lost[0].id!r}"
        found = f"the {name} tokenizer finds no word in the reference, as in {len(lost)} of {len(self.examples(data))}"
        way_out = "tokenizer: unicode, without stemmer" if name == "ascii" else "correct the rows or leave them out"
        return [Problem(where, found, "at least one word", way_out)]
