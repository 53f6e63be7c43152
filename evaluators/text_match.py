"""Text match: overlap with references (BLEU, chrF), and form: a pattern, JSON, a JSON schema."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from .absent import Unmeasured, Value
from .asking import Ability, Answer, Request
from .errors import Problem
from .estimators import Corpus, Mean
from .evaluator import Answers, Components, Datasets
from .metrics import Metric
from .prompting import GeneratingOnDataset
from .references import NO_REFERENCE, reference_problems, references_of, text_of
from .showing import Shown
from .shown_answers import shown_texts
from .texts.overlap import (
    BLEU_COUNTS,
    CHRF_COUNTS,
    BleuTokenizer,
    bleu_counts,
    chrf_counts,
    corpus_bleu,
    corpus_chrf,
)
from .texts.structured import Json, Pattern, Schema, read_json

_OVERLAP = (
    Metric(
        "bleu",
        True,
        Corpus(corpus_bleu, BLEU_COUNTS, 0.0, 100.0),
        0.0,
        100.0,
        description="corpus BLEU: n-grams of 1 to 4 words that a reference has, 0 to 100",
    ),
    Metric(
        "chrf",
        True,
        Corpus(corpus_chrf, CHRF_COUNTS, 0.0, 100.0),
        0.0,
        100.0,
        description="corpus chrF2: n-grams of 1 to 6 characters shared with a reference, 0 to 100",
    ),
)


class TextMatch(GeneratingOnDataset):
    """``- text_match: {data: holdout, prompt: "Translate: {text}", reference: translation}``
    ``- text_match: {data: orders, prompt: "{text}\\nJSON:", json: true, json_schema: {type: object, required: [id]}}``

    Measures what its settings ask for, at least one of: ``reference`` (corpus BLEU and chrF, equal to sacrebleu's),
    ``pattern`` (share of answers in which it is found, or with ``match: whole`` that it describes), ``json`` (share of
    answers that are one JSON value and nothing else), ``json_schema`` (share that keeps to the schema; what is no JSON
    does not).

    Components per example: the counts of ``BLEU_COUNTS`` and ``CHRF_COUNTS``, ``pattern_match``, ``json_valid``,
    ``json_schema_valid``.
    """

    kind: ClassVar[str] = "text_match"
    row_by_row: ClassVar[bool] = True
    example: ClassVar[Mapping[str, object]] = {"data": "holdout", "reference": "translation"}
    needs: ClassVar[frozenset[Ability]] = frozenset({"generates"})

    prompt: str = Field(default="{text}", min_length=1, description="prompt with {column} slots")
    max_new_tokens: int = Field(default=128, ge=1, le=4096, description="longest answer, in tokens")
    reference: str | None = Field(default=None, description="column of the right text, or of a list of them")
    bleu_tokenizer: BleuTokenizer = Field(default="13a", description="sacrebleu's: zh for Chinese, char for Japanese")
    pattern: str | None = Field(default=None, min_length=1, description="regular expression that answers should match")
    match: Literal["search", "whole"] = Field(default="search", description="whole: the pattern is the whole answer")
    json_valid: bool = Field(default=False, alias="json", description="count answers that are JSON")
    json_schema: dict[str, object] | None = Field(default=None, description="JSON schema that answers should keep to")

    @field_validator("pattern")
    @classmethod
    def _pattern_compiles(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            Pattern(pattern)
        return pattern

    @field_validator("json_schema")
    @classmethod
    def _schema_is_one(cls, schema: dict[str, object] | None) -> dict[str, object] | None:
        if schema is not None:
            Schema(schema)
        return schema

    @model_validator(mode="after")
    def _something_is_asked_for(self) -> TextMatch:
        if self.reference is None and self.pattern is None and not self.json_valid and self.json_schema is None:
            raise ValueError("nothing to measure: give `reference`, `pattern`, `json: true` or `json_schema`")
        if self.reference is None and "bleu_tokenizer" in self.model_fields_set:
            raise ValueError("bleu_tokenizer is of no use without `reference`")
        if self.pattern is None and "match" in self.model_fields_set:
            raise ValueError("match is of no use without `pattern`")
        return self

    def settings(self) -> Mapping[str, object]:
        return self.model_dump(mode="json", by_alias=True)

    def metrics(self) -> tuple[Metric, ...]:
        asked = [*_OVERLAP] if self.reference is not None else []
        return (*asked, *(_share(name, description) for name, description in self._shares().items()))

    def check(self, data: Datasets) -> list[Problem]:
        dataset = data[self.data]
        problems = self.prompt_problems(dataset)
        if self.reference is not None:
            problems += reference_problems(f"{self.title}.reference", dataset, self.reference)
        return problems

    def requests(self, data: Datasets) -> Sequence[Request]:
        return [self.ask(example.row) for example in self.examples(data)]

    def score(self, data: Datasets, answers: Answers) -> Components:
        replies = [answers[request] for request in self.requests(data)]
        scored: dict[str, Sequence[Value]] = {}
        if self.reference is not None:
            cells = [example.row.get(self.reference) for example in self.examples(data)]
            scored |= self._overlap(replies, [references_of(cell) for cell in cells])
        if self.pattern is not None:
            pattern = Pattern(self.pattern)
            scored["pattern_match"] = _each(replies, lambda text: pattern.fits(text, whole=self.match == "whole"))
        if self.json_valid:
            scored["json_valid"] = _each(replies, lambda text: isinstance(read_json(text), Json))
        if self.json_schema is not None:
            schema = Schema(self.json_schema)
            scored["json_schema_valid"] = _each(replies, lambda text: _keeps_to(schema, text))
        return scored

    def shown(self, data: Datasets, answers: Mapping[str, Answers], verdicts: Mapping[str, Answers]) -> Sequence[Shown]:
        return shown_texts(self.examples(data), self.ask, answers, self.reference)

    def _shares(self) -> Mapping[str, str]:
        asked: dict[str, str] = {}
        if self.pattern is not None:
            asked["pattern_match"] = "share of answers that match the pattern"
        if self.json_valid:
            asked["json_valid"] = "share of answers that are one JSON value"
        if self.json_schema is not None:
            asked["json_schema_valid"] = "share of answers that are JSON and keep to the schema"
        return asked

    def _overlap(
        self, replies: Sequence[Answer], references: Sequence[tuple[str, ...]]
    ) -> Mapping[str, Sequence[Value]]:
        texts = [text_of(reply) for reply in replies]
        kept = [at for at, text in enumerate(texts) if isinstance(text, str) and references[at]]
        answers, against = [str(texts[at]) for at in kept], [references[at] for at in kept]
        counts = [
            (*words, *characters)
            for words, characters in zip(
                bleu_counts(answers, against, self.bleu_tokenizer), chrf_counts(answers, against), strict=True
            )
        ]
        names = (*BLEU_COUNTS, *CHRF_COUNTS)
        missing = [text if isinstance(text, Unmeasured) else NO_REFERENCE for text in texts]
        columns: dict[str, list[Value]] = {name: [*missing] for name in names}
        for at, found in zip(kept, counts, strict=True):
            for name, count in zip(names, found, strict=True):
                columns[name][at] = count
        return columns


def _each(replies: Sequence[Answer], asked: Callable[[str], bool | Unmeasured]) -> list[Value]:
    texts = map(text_of, replies)
    found = [text if isinstance(text, Unmeasured) else asked(text) for text in texts]
    return [one if isinstance(one, Unmeasured) else float(one) for one in found]


def _keeps_to(schema: Schema, text: str) -> bool | Unmeasured:
    found = read_json(text)
    return schema.fits(found.value) if isinstance(found, Json) else False


def _share(name: str, description: str) -> Metric:
    return Metric(name, True, Mean(name, 0.0, 1.0), 0.0, 1.0, description=description)
