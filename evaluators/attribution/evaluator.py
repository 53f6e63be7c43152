"""Token attribution: what in the prompt does the answer rest on, and is it what the model was fine-tuned for?

    - attribution: {data: holdout, prompt: "{text}\\nQueue:", continuation: label, train: tickets, against: prose}

Every model is asked how much each prompt token adds to the log-probability of the reference answer: the same text for
candidate and base, so that both are compared on one question. A part of that which speaks for the answer lies on terms
of the fine-tuning corpus; a model that learnt its domain puts more there than the model it came from.

Weights are worth no more than their check. ``comprehensiveness_gain`` and ``sufficiency_gain`` (DeYoung et al. 2020,
ERASER, arXiv 1911.03429) say how much more the tokens of highest weight matter than as many random ones; where that is
nothing, no other number here means anything. ``completeness_error`` says what the quadrature of integrated gradients
(Sundararajan et al. 2017, arXiv 1703.01365) left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, fsum
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from ..absent import Unmeasured, Value
from ..asking import Ability, AttributeRequest, Attribution, EmbedRequest, Request, unanswered
from ..datasets import Example, Row
from ..errors import Problem
from ..estimators import Mean, Part, Ratio
from ..evaluator import Answers, Components, Datasets, OneDataset, text_column_problems
from ..findings import Finding
from ..metrics import Metric
from ..prompting import Prompting
from ..slots import fill_slots
from ..texts.terms import Span, TrainingTerm, fine_tuning_terms, term_spans
from .findings import Explained, attribution_findings

MOST_ALIKE = 0.2
"""The share of prompt tokens, those most alike to the answer, that ``grounded_share`` looks at."""

COMPARED_ANSWERS = 20
"""Examples for which the nearest training rows are looked up."""

_SHARE = ("term_weight", "positive_weight")

DEFAULT_PROMPT = "{text}\n\nAnswer:"


class TokenAttribution(Prompting, OneDataset):
    """``continuation`` is a column of the data: what is attributed, the reference answer.

    Components per example: ``comprehensiveness_gain`` and ``sufficiency_gain`` in nats; with integrated gradients
    ``completeness_gap`` and ``moved``, in nats; with terms ``term_weight`` and ``positive_weight``, in nats, and
    ``holds_terms``; with ``document`` ``grounded_share``.
    """

    kind: ClassVar[str] = "attribution"
    datasets_in: ClassVar[tuple[str, ...]] = ("data", "train", "against")

    prompt: str = Field(default=DEFAULT_PROMPT, min_length=1, description="prompt with {column} slots")
    continuation: str = Field(default="reference", description="column of the answer that is attributed")
    delimiter: str = Field(default=" ", description="between plain prompt and answer")
    method: Literal["integrated_gradients", "input_x_gradient"] = Field(
        default="integrated_gradients",
        description="input_x_gradient: its first-order approximation, some eighteen times as fast",
    )
    steps: int = Field(default=32, ge=1, le=256, description="steps of integrated gradients")
    terms: tuple[str, ...] = Field(default=(), strict=False, description="fine-tuning terms, besides those of train")
    train: str | None = Field(default=None, description="dataset of the fine-tuning corpus")
    against: str | None = Field(default=None, description="dataset of other texts, to tell terms of train from")
    text: str = Field(default="text", description="column of the texts of train and against")
    document: str | None = Field(default=None, description="column of the document that the answer should rest on")
    nearest_among: int = Field(
        default=200, ge=0, le=2000, description="rows of train searched for each answer's nearest"
    )

    @model_validator(mode="after")
    def _terms_come_from_somewhere(self) -> TokenAttribution:
        if self.against is not None and self.train is None:
            raise ValueError("against without train: there is nothing to tell from it")
        if any(not term.strip() for term in self.terms):
            raise ValueError("an empty term")
        return self

    @property
    def needs(self) -> frozenset[Ability]:  # pyright: ignore[reportIncompatibleVariableOverride] - depends on train
        return frozenset({"attributes", "embeds"} if self.train and self.nearest_among else {"attributes"})

    def reads(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for name in (self.data, self.train, self.against) if name))

    def metrics(self) -> tuple[Metric, ...]:
        metrics: list[Metric] = []
        if self._has_terms:
            # sums over sums: where a model would have said the same to any prompt, the weights are small, and noise
            share = Part(Ratio(*_SHARE), "holds_terms", 1.0, "prompts that hold a fine-tuning term")
            about = "share of what speaks for the answers that lies on fine-tuning terms, where prompts hold any"
            metrics.append(Metric("term_share", True, share, 0.0, 1.0, description=about))
        for name, about in (
            ("comprehensiveness_gain", "log-probability lost without the top tokens, beyond that without random ones"),
            ("sufficiency_gain", "log-probability kept by the top tokens alone, beyond that by random ones alone"),
        ):
            metrics.append(Metric(name, True, Mean(name), unit="nats", description=about))
        if self.method == "integrated_gradients":
            error = Ratio("completeness_gap", "moved")
            about = "what the weights lack to sum to the change of log-probability, as a share of it"
            metrics.append(Metric("completeness_error", False, error, 0.0, description=about))
        if self.document is not None:
            share = Mean("grounded_share", 0.0, 1.0)
            about = "share of the prompt tokens most alike to the answer's that lie in the document"
            metrics.append(Metric("grounded_share", True, share, 0.0, 1.0, description=about))
        return tuple(metrics)

    def check(self, data: Datasets) -> list[Problem]:
        dataset = data[self.data]
        problems = [
            *self.prompt_problems(dataset),
            *text_column_problems(f"{self.title}.continuation", dataset, self.continuation),
        ]
        for name in filter(None, (self.train, self.against)):
            problems += text_column_problems(f"{self.title}.text", data[name], self.text)
        if self.document is not None:
            problems += text_column_problems(f"{self.title}.document", dataset, self.document)
        if problems:
            return problems
        where = f"{self.title}: dataset {self.data!r}"
        empty = [example.id for example in dataset.examples if not str(example.row[self.continuation])]
        if empty:
            found = f"{len(empty)} rows with an empty {self.continuation!r}, the first is {empty[0]!r}"
            problems.append(Problem(where, found, "an answer to attribute in every row"))
        if self._has_terms:
            problems += self._term_problems(where, data)
        if self.document is not None and f"{{{self.document}}}" not in self.prompt:
            found = f"{self.prompt!r} has no slot {{{self.document}}}"
            problems.append(Problem(f"{self.title}.prompt", found, "the document in the prompt"))
        return problems

    def requests(self, data: Datasets) -> Sequence[Request]:
        asked: list[Request] = [self._asked(example.row) for example in self.examples(data)]
        asked += [request for _, request in (*self._training_rows(data), *self._answers(data))]
        return list(dict.fromkeys(asked))

    def score(self, data: Datasets, answers: Answers) -> Components:
        terms = self._terms(data)
        rows = [self._score_one(example, terms, answers) for example in self.examples(data)]
        return {name: [row[name] for row in rows] for name in self._components()}

    def findings(
        self, data: Datasets, answers: Mapping[str, Answers], verdicts: Mapping[str, Answers]
    ) -> Sequence[Finding]:
        examples = self.examples(data)
        explained = Explained(
            examples={example.id: self._asked(example.row) for example in examples},
            components={role: self.score(data, given) for role, given in answers.items()},
            terms=self._found_terms(data),
            training_rows=self._training_rows(data),
            answers=self._answers(data),
        )
        return attribution_findings(explained, answers)

    @property
    def _has_terms(self) -> bool:
        return bool(self.terms) or self.against is not None

    def _components(self) -> tuple[str, ...]:
        names = ["comprehensiveness_gain", "sufficiency_gain"]
        names += [*_SHARE, "holds_terms"] if self._has_terms else []
        names += ["completeness_gap", "moved"] if self.method == "integrated_gradients" else []
        names += ["grounded_share"] if self.document is not None else []
        return tuple(names)

    def _asked(self, row: Row) -> AttributeRequest:
        return AttributeRequest(
            self.prompt_of(row), str(row[self.continuation]), self.method, self.steps, self.delimiter
        )

    def _found_terms(self, data: Datasets) -> tuple[TrainingTerm, ...]:
        if self.train is None or self.against is None:
            return ()
        return fine_tuning_terms(
            *([str(one.row[self.text]) for one in data[name].examples] for name in (self.train, self.against))
        )

    def _terms(self, data: Datasets) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.terms, *(term.text for term in self._found_terms(data)))))

    def _term_problems(self, where: str, data: Datasets) -> list[Problem]:
        terms = self._terms(data)
        if not terms:
            found = f"no word is more typical of {self.train!r} than of {self.against!r}"
            return [Problem(f"{self.title}.against", found, "texts of another domain", "name the terms in `terms:`")]
        if any(self._holds_terms(example.row, terms) for example in self.examples(data)):
            return []
        found = f"no prompt holds any of the terms {', '.join(map(repr, terms[:8]))}"
        return [Problem(where, found, "at least one prompt with a fine-tuning term")]

    def _holds_terms(self, row: Row, terms: Sequence[str]) -> bool:
        return bool(term_spans(fill_slots(self.prompt, row), terms))

    def _score_one(self, example: Example, terms: Sequence[str], answers: Answers) -> Mapping[str, Value]:
        answer = answers[self._asked(example.row)]
        known: dict[str, Value] = {"holds_terms": float(self._holds_terms(example.row, terms))}
        if not isinstance(answer, Attribution):
            missing = unanswered(answer, "the model gave no attribution")
            return {**dict.fromkeys(self._components(), missing), **known}
        document = None if self.document is None else str(example.row[self.document])
        moved = answer.logprob - answer.uninformed
        return {
            **known,
            "comprehensiveness_gain": answer.comprehensiveness - answer.random_comprehensiveness,
            "sufficiency_gain": answer.random_sufficiency - answer.sufficiency,
            "completeness_gap": abs(fsum(answer.weights) - moved),
            "moved": abs(moved),
            **_on_terms(answer, terms),
            "grounded_share": Unmeasured("no document") if document is None else _grounded_share(answer, document),
        }

    def _training_rows(self, data: Datasets) -> Sequence[tuple[str, EmbedRequest]]:
        """The rows of train that an answer may lean on, by id: spread over the dataset where they are too many."""
        if self.train is None or not self.nearest_among:
            return ()
        rows = [example for example in data[self.train].examples if str(example.row[self.text]).strip()]
        step = max(1, ceil(len(rows) / self.nearest_among))
        return [(example.id, EmbedRequest(str(example.row[self.text]))) for example in rows[::step]]

    def _answers(self, data: Datasets) -> Sequence[tuple[str, EmbedRequest]]:
        """What is compared with them: prompts with their answers."""
        if self.train is None or not self.nearest_among:
            return ()
        some = self.examples(data)[:COMPARED_ANSWERS]
        return [(example.id, EmbedRequest(self._whole(example.row))) for example in some]

    def _whole(self, row: Row) -> str:
        return fill_slots(self.prompt, row) + self.delimiter + str(row[self.continuation])


def _on_terms(answer: Attribution, terms: Sequence[str]) -> Mapping[str, Value]:
    """All weight that speaks for the answer, and what of it is on tokens that a term covers, wholly or in part."""
    covered = _covered(answer.tokens, term_spans("".join(answer.tokens), terms))
    positive = [max(0.0, weight) for weight in answer.weights]
    on_terms = fsum(weight for weight, inside in zip(positive, covered, strict=True) if inside)
    return {"term_weight": on_terms, "positive_weight": fsum(positive)}


def _grounded_share(answer: Attribution, document: str) -> Value:
    """Of the tokens most alike to the answer's (arXiv 2405.17980), the share that lie in ``document``."""
    start = "".join(answer.tokens).find(document) if document else -1
    if start < 0:
        return Unmeasured("the prompt as the model read it does not hold the whole document")
    covered = _covered(answer.tokens, [(start, start + len(document))])
    places = [at for at, token in enumerate(answer.tokens) if token.strip()]
    count = ceil(MOST_ALIKE * len(places))
    alike = sorted(places, key=lambda at: (-answer.similarity[at], at))[:count]
    return sum(covered[at] for at in alike) / count


def _covered(tokens: Sequence[str], spans: Sequence[Span]) -> list[bool]:
    """Which tokens share a character with a span. One without a text is a part of the character that follows."""
    found: list[bool] = []
    at = 0
    for token in tokens:
        end = max(at + len(token), at + 1)
        found.append(any(begin < end and at < stop for begin, stop in spans))
        at += len(token)
    return found
