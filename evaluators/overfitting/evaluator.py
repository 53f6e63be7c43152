"""Overfitting: does the candidate know its training data better than data like it?

Three looks at it. Log-likelihoods: the loss gap between validation and training data, and whether a row's loss tells on
which side it lies (membership). Memorisation: are training rows continued word for word? Diversity: do answers to
unseen prompts become alike? The first is always on: it costs one pass over both datasets, shares it with perplexity,
and shows overfitting long before anything comes back word for word. The other two generate text, which costs more
than all the rest, and their lengths must fit the data: they are on where the gate file sets them.

Training and validation data should be drawn alike. Where they are not, every model has a loss gap: compare with the
base, whose differences subtract what makes one part harder than the other for anybody.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, Self, cast

from pydantic import Field, model_validator

from ..absent import Unmeasured, Value
from ..asking import Ability, Request, ScoreRequest
from ..datasets import Dataset, Example
from ..drawing import drawn
from ..errors import Problem
from ..estimators import AreaUnderCurve, Part, PartDifference, Ratio
from ..evaluator import Answers, Components, Datasets, Evaluator, TwoDatasets
from ..findings import Finding
from ..metrics import Metric
from ..scored_text import ScoredText, logprobs_of
from ..texts.memorising import Unit, lowest_mean, units_of
from .diversity import ANSWERED, Diversity
from .findings import advice, continued_rows, known_rows
from .memorisation import CONTINUED, Memorisation

BASE = "base"
_TRAIN = "train"


class Overfitting(ScoredText, TwoDatasets):
    """``- overfitting: {train: train, validation: holdout, memorisation: {}, diversity: {}}``

    What is scored of a row, a document by default, is set as for perplexity (`ScoredText`). Examples are at most
    ``rows`` rows of each dataset, those with the smallest SHA-256 of their ids; rows with nothing to score are none.

    Components per example: ``train`` (1, or 0 for validation), ``nll`` (nats), ``tokens``, ``min_k`` (mean
    log-probability of the least likely tokens), ``membership`` (nats per token by which the model knows the row better
    than the base does). Those of generated text are for the rows that are asked for some, where ``continued`` or
    ``answered`` is 1.

    Sources: calibrating by the base, Watson et al., arXiv 2111.08440; Min-K% Prob, arXiv 2310.16789; extractable
    memorisation, arXiv 2202.07646.
    """

    kind: ClassVar[str] = "overfitting"
    datasets_in: ClassVar[tuple[str, ...]] = ("train", "validation")
    example: ClassVar[Mapping[str, object]] = {"train": "train", "validation": "holdout"}

    train: str = Field(description="dataset that the candidate was trained on, or a sample of it")
    validation: str = Field(description="dataset of the same kind that it was not trained on")
    rows: int = Field(default=1000, ge=2, le=1_000_000, description="most rows of each dataset that are scored")
    min_k: float = Field(default=0.2, gt=0, le=1, strict=False, description="share of least likely tokens: Min-K%")
    unit: Unit = Field(default="words", description="what texts are counted in: words, or characters")
    memorisation: Memorisation | None = Field(default=None, strict=False, description="continue training rows")
    diversity: Diversity | None = Field(default=None, strict=False, description="compare answers with one another")

    @model_validator(mode="after")
    def _two(self) -> Self:
        if self.train == self.validation:
            raise ValueError("`train` and `validation` are the same dataset")
        return self

    @property
    def needs(self) -> frozenset[Ability]:  # pyright: ignore[reportIncompatibleVariableOverride] - depends on settings
        generates = self.memorisation is not None or self.diversity is not None
        return frozenset({"scores_tokens", "generates"}) if generates else frozenset({"scores_tokens"})

    def metrics(self) -> tuple[Metric, ...]:
        memorised = () if self.memorisation is None else self.memorisation.metrics(self.unit)
        varied = () if self.diversity is None else self.diversity.metrics()
        return (*_metrics(), *memorised, *varied)

    def check(self, data: Datasets) -> list[Problem]:
        problems = [problem for name in self.reads() for problem in self.text_problems(data[name])]
        if problems:
            return problems
        for name in self.reads():
            if (count := len(self._rows(data[name]))) < 2:
                found = f"{count} row{'' if count == 1 else 's'} with anything to score"
                problems.append(Problem(f"{self.title}: dataset {name!r}", found, "at least 2"))
        train, validation = self._sides(data)
        if self.memorisation is not None and not self.memorisation.asked(train, self, self.unit):
            least = self.memorisation.continuation
            given = f"{self.memorisation.prefix} + " if self.form == "document" else ""
            problems.append(
                Problem(
                    f"{self.title}.memorisation",
                    f"no row of {self.train!r} has {given}{least} {self.unit}",
                    "rows long enough to be continued",
                    "lower `prefix` and `continuation`",
                )
            )
        if self.diversity is not None and len(self.diversity.asked(validation, self, self.unit)) < 2:
            found = f"fewer than 2 rows of {self.validation!r} have {self.diversity.prefix} {self.unit}"
            problems.append(Problem(f"{self.title}.diversity", found, "prompts", "lower `prefix`"))
        return problems

    def examples(self, data: Datasets) -> Sequence[Example]:
        return [
            replace(example, id=f"{name}/{example.id}") for name in self.reads() for example in self._rows(data[name])
        ]

    def first_side(self, data: Datasets) -> Sequence[Value]:
        train, validation = self._sides(data)
        return [1.0] * len(train) + [0.0] * len(validation)

    def requests(self, data: Datasets) -> Sequence[Request]:
        train, validation = self._sides(data)
        asked: list[Request] = [one for example in (*train, *validation) for one in self.passages(example.row)]
        if self.memorisation is not None:
            asked += [one.request for one in self.memorisation.asked(train, self, self.unit).values()]
        if self.diversity is not None:
            asked += self.diversity.asked(validation, self, self.unit).values()
        return asked

    def score(self, data: Datasets, answers: Answers) -> Components:
        train, validation = self._sides(data)
        logprobs = [logprobs_of(self.passages(example.row), answers) for example in (*train, *validation)]
        columns: dict[str, Sequence[Value]] = {_TRAIN: self.first_side(data), **_losses(logprobs)}
        columns["min_k"] = [
            _NO_TOKENS if not one else one if isinstance(one, Unmeasured) else lowest_mean(one, self.min_k)
            for one in logprobs
        ]
        if self.memorisation is not None:
            asked = self.memorisation.asked(train, self, self.unit)
            found = self.memorisation.score(asked.values(), answers, self.unit)
            columns |= _spread(found, [*asked], len(logprobs))
            columns[CONTINUED] = [float(at in asked) for at in range(len(logprobs))]
        return columns

    def score_compared(self, data: Datasets, answers: Mapping[str, Answers]) -> Mapping[str, Components]:
        train, validation = self._sides(data)
        count = len(train) + len(validation)
        columns: dict[str, dict[str, Sequence[Value]]] = {role: {} for role in answers}
        passages = [self.passages(example.row) for example in (*train, *validation)]
        losses = {role: _losses([logprobs_of(one, given) for one in passages]) for role, given in answers.items()}
        for role, own in losses.items():
            columns[role]["membership"] = _membership(role, own, losses.get(BASE), count)
        if self.memorisation is not None:
            asked = self.memorisation.asked(train, self, self.unit)
            rows = (units_of(one.continuation, self.unit) for one in self._every_passage(data[self.train]))
            by_role = self.memorisation.score_ngrams([*asked.values()], answers, rows, self.unit)
            for role, found in by_role.items():
                columns[role] |= _spread(found, [*asked], count)
        if self.diversity is not None:
            prompts = self.diversity.asked(validation, self, self.unit)
            by_role = self.diversity.score([*prompts.values()], answers, self.unit)
            places = [len(train) + at for at in prompts]
            for role, found in by_role.items():
                spread = _spread(found, places, count)
                columns[role] |= spread
                columns[role][ANSWERED] = [0.0 if one is _NOT_ASKED else one for one in spread[ANSWERED]]
        return columns

    def findings(
        self, data: Datasets, answers: Mapping[str, Answers], verdicts: Mapping[str, Answers]
    ) -> Sequence[Finding]:
        """The rows that the candidate knows best, and what is usually done about what was measured."""
        from ..measurement import measure
        from ..scores import score_evaluator

        scores = score_evaluator(cast("Evaluator", self), data, answers)
        train, _ = self._sides(data)
        found: list[Finding] = []
        if self.memorisation is not None:
            asked = self.memorisation.asked(train, self, self.unit)
            found += continued_rows([(train[at].id, at, one) for at, one in asked.items()], answers, scores)
        texts = [self.as_document(example.row).continuation for example in train]
        found += known_rows([example.id for example in train], texts, scores)
        return [*found, *advice({metric.name: measure(metric, scores) for metric in self.metrics()})]

    def _rows(self, dataset: Dataset) -> Sequence[Example]:
        """The examples of one dataset: drawn from its rows with something to score."""
        scored = [
            example for example in dataset.examples if any(one.continuation for one in self.passages(example.row))
        ]
        chosen = drawn((example.id for example in scored), self.rows)
        return [example for example in scored if example.id in chosen]

    def _sides(self, data: Datasets) -> tuple[Sequence[Example], Sequence[Example]]:
        return self._rows(data[self.train]), self._rows(data[self.validation])

    def _every_passage(self, dataset: Dataset) -> Iterator[ScoreRequest]:
        """Of all rows, not only those drawn."""
        return (one for example in dataset.examples for one in self.passages(example.row))


_NOT_ASKED = Unmeasured("no text is asked for from this row")
_NO_TOKENS = Unmeasured("the tokenizer makes no tokens of it")


def _losses(logprobs: Sequence[tuple[float, ...] | Unmeasured]) -> dict[str, list[Value]]:
    return {
        "nll": [one if isinstance(one, Unmeasured) else -math.fsum(one) for one in logprobs],
        "tokens": [one if isinstance(one, Unmeasured) else float(len(one)) for one in logprobs],
    }


def _membership(role: str, own: Components, base: Components | None, count: int) -> list[Value]:
    if role == BASE:
        return [Unmeasured("the base is the reference")] * count
    if base is None:
        return [Unmeasured("there is no base to be the reference")] * count
    values: list[Value] = []
    for nll, tokens, reference in zip(own["nll"], own["tokens"], base["nll"], strict=True):
        if isinstance(nll, Unmeasured) or isinstance(tokens, Unmeasured):
            values.append(nll)
        elif isinstance(reference, Unmeasured):
            values.append(Unmeasured(f"base: {reference.reason}"))
        else:
            values.append((reference - nll) / tokens if tokens else _NO_TOKENS)
    return values


def _spread(columns: Mapping[str, Sequence[Value]], places: Sequence[int], count: int) -> dict[str, list[Value]]:
    """Values of the rows at ``places`` among ``count`` rows; the others have none."""
    spread: dict[str, list[Value]] = {}
    for name, values in columns.items():
        row: list[Value] = [_NOT_ASKED] * count
        for at, value in zip(places, values, strict=True):
            row[at] = value
        spread[name] = row
    return spread


def _metrics() -> tuple[Metric, ...]:
    loss = Ratio("nll", "tokens", same_denominator="tokens (the tokenizers differ)")
    gap = PartDifference(loss, _TRAIN, 0.0, 1.0, ("validation", "train"))
    unit = "nats/token"
    return (
        Metric("loss_gap", False, gap, unit=unit, description="loss on validation data minus loss on training data"),
        Metric(
            "train_loss", False, Part(loss, _TRAIN, 1.0, "train"), 0.0, unit=unit,
            description="negative log-likelihood per token on training data",
        ),
        Metric(
            "validation_loss", False, Part(loss, _TRAIN, 0.0, "validation"), 0.0, unit=unit,
            description="negative log-likelihood per token on validation data",
        ),
        Metric(
            "membership_auc", False, AreaUnderCurve("membership", _TRAIN), 0.0, 1.0,
            description="how well the gain over the base tells training rows from validation rows; 0.5: not at all",
        ),
        Metric(
            "min_k_auc", False, AreaUnderCurve("min_k", _TRAIN), 0.0, 1.0,
            description="how well the least likely tokens (Min-K%) tell training rows from validation rows",
        ),
    )  # fmt: skip
