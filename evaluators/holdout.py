"""Holdout: does the model know what it was trained on better than what it was not, and did anything leak?

Examples lie in tiers: *seen* in training, optionally the same *rephrased*, and *unseen*. ``gap`` is how much better a
model does on seen than on unseen ones. Seen examples may just be easier, for any model; so what a rule compares is the
difference in differences, (candidate - base) on seen minus (candidate - base) on unseen, in which that cancels.

None of this means anything where the unseen examples were trained on. They are searched for first, and the share that
is found, ``leaked_share``, blocks unless a rule says otherwise.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from threading import Lock
from typing import ClassVar, Literal, Self

from pydantic import Field, ValidationError, model_validator

from .absent import Value
from .asking import Ability, Request
from .classification import Classification
from .datasets import Example
from .errors import Problem
from .estimators import Counted, Mean, Part, PartDifference, Ratio
from .evaluator import Answers, Components, Datasets, EvaluatorSettings
from .findings import Advice, Finding, Table
from .metrics import Estimator, Metric
from .perplexity import Perplexity
from .question_answering import QuestionAnswering
from .showing import Shown
from .slots import slot_names
from .splitting.leakage import NGRAM, SHORTEST, Leak, find_leaks
from .splitting.likeness import NEAR
from .splitting.wording import normal_form, row_text

Score = Literal["accuracy", "loss", "exact_match", "f1"]
_Scorer = Classification | Perplexity | QuestionAnswering

_UNSEEN, _SEEN, _REPHRASED = 0.0, 1.0, 2.0
"""Values of the component ``tier``."""

_OWN = frozenset({"name", "seen", "unseen", "rephrased", "trained_on", "scored_by", "compare", "ngram", "near"})
_SCORERS: Mapping[Score, tuple[type[_Scorer], tuple[str, ...]]] = {
    "accuracy": (Classification, ("correct",)),
    "loss": (Perplexity, ("nll", "tokens")),
    "exact_match": (QuestionAnswering, ("exact_match",)),
    "f1": (QuestionAnswering, ("f1",)),
}
"""By which evaluator an example is scored, and in which of its components."""


class Holdout(EvaluatorSettings):
    """``- holdout: {seen: train, unseen: holdout, scored_by: accuracy, labels: [billing, bug], prompt: "{text} ->"}``

    ``scored_by`` says how an example is scored: ``accuracy`` as `Classification` does, ``loss`` (nats per token) as
    `Perplexity`, ``exact_match`` and ``f1`` as `QuestionAnswering`, with the settings of that evaluator under their own
    names. The same settings make the same requests, which are asked once.

    Components per example: those of the score (``correct``; ``nll`` and ``tokens``; ``exact_match``; ``f1``), ``tier``
    (1 seen, 0 unseen, 2 rephrased), ``leaked`` (1 for an unseen example that lies in the seen data) and ``clean`` (1
    for an unseen one that does not).
    """

    kind: ClassVar[str] = "holdout"
    example: ClassVar[Mapping[str, object]] = {
        "seen": "train",
        "unseen": "holdout",
        "scored_by": "accuracy",
        "labels": ["billing", "bug"],
        "prompt": "Ticket: {text}\nQueue:",
    }
    datasets_in: ClassVar[tuple[str, ...]] = ("seen", "unseen", "rephrased", "trained_on")

    seen: str = Field(description="dataset under `data:` that the candidate was trained on, or a sample of it")
    unseen: str = Field(description="dataset that it was not trained on")
    rephrased: str | None = Field(default=None, description="dataset with what is seen, in other words")
    trained_on: str | None = Field(
        default=None, description="dataset that is searched for leaks and not asked: where `seen` is a sample of it"
    )
    scored_by: Score = Field(description="accuracy, loss, exact_match or f1")
    compare: tuple[str, ...] = Field(
        default=(), strict=False, description="columns that are searched for leaks; those that the models read"
    )
    ngram: int = Field(default=NGRAM, ge=SHORTEST, le=100, description="words in a row that are a leak")
    near: float = Field(default=NEAR, gt=0, le=1, description="Jaccard index of near-duplicates; 1: none are searched")

    prompt: str | None = Field(default=None, min_length=1, description="prompt with {column} slots")
    system: str | None = Field(default=None, description="system message, for models with a chat template")
    chat: Literal["auto", "never"] | None = Field(default=None, description="never: send the prompt as plain text")
    labels: tuple[str, ...] | None = Field(default=None, strict=False, description="accuracy: every label")
    label: str | None = Field(default=None, description="accuracy: column of the right label")
    method: Literal["loglikelihood", "generate"] | None = Field(default=None, description="accuracy: way of asking")
    delimiter: str | None = Field(default=None, description="accuracy, loss: between plain prompt and continuation")
    text: str | None = Field(default=None, description="loss: column of documents")
    answer: str | None = Field(default=None, description="loss: column of the answer that is scored")
    messages: str | None = Field(default=None, description="loss: column with a list of {role, content}")
    reference: str | None = Field(default=None, description="exact_match, f1: column of right answers")
    max_new_tokens: int | None = Field(default=None, ge=1, le=4096, description="longest answer, in tokens")
    stop: tuple[str, ...] | None = Field(default=None, strict=False, description="texts that end an answer")

    @model_validator(mode="after")
    def _can_be_scored(self) -> Self:
        names = self._tiers()
        if len(set(names)) < len(names) or self.trained_on == self.unseen:
            raise ValueError(f"{', '.join(self.reads())}: a dataset can be one tier only")
        try:
            self._scorer(self.unseen)
        except ValidationError as error:
            faults = [_fault(self.scored_by, one["type"], one["loc"], one["msg"]) for one in error.errors()]
            raise ValueError("; ".join(faults)) from None
        return self

    @property
    def needs(self) -> frozenset[Ability]:  # pyright: ignore[reportIncompatibleVariableOverride] - depends on score
        return self._scorer(self.unseen).needs

    def settings(self) -> Mapping[str, object]:
        scored = self._scorer(self.unseen).settings()
        own = self.model_dump(mode="json", include=set(_OWN))
        return {**{key: value for key, value in scored.items() if key != "data"}, **own}

    def metrics(self) -> tuple[Metric, ...]:
        return _metrics(self.scored_by, self.rephrased is not None)

    def reads(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self._tiers(), self._trained_on)))

    def examples(self, data: Datasets) -> Sequence[Example]:
        """Those of all tiers, with the dataset's name before each id: ``train/17``."""
        return [
            replace(example, id=f"{name}/{example.id}") for name in self._tiers() for example in data[name].examples
        ]

    def check(self, data: Datasets) -> list[Problem]:
        problems = [problem for name in self._tiers() for problem in self._scorer(name).check(data)]
        for name in (self._trained_on, self.unseen):
            columns = data[name].columns
            where, expected = f"{self.title}.compare: dataset {name!r}", f"one of {', '.join(columns)}"
            wanted = self.compare or (self._columns() if name not in self._tiers() else ())
            problems += [Problem(where, f"no column {one!r}", expected) for one in wanted if one not in columns]
        return problems or self._nothing_to_compare(data)

    def requests(self, data: Datasets) -> Sequence[Request]:
        return [request for name in self._tiers() for request in self._scorer(name).requests(data)]

    def score(self, data: Datasets, answers: Answers) -> Components:
        parts = [self._scorer(name).score(data, answers) for name in self._tiers()]
        scores = {name: [value for part in parts for value in part[name]] for name in _SCORERS[self.scored_by][1]}
        leaked = {leak.unseen for leak in self._leaks(data)}
        counts = [len(data[name].examples) for name in self._tiers()]
        found: list[Value] = [float(at in leaked) for at in range(counts[1])]
        clean: list[Value] = [float(at not in leaked) for at in range(counts[1])]
        seen: list[Value] = [0.0] * counts[0]
        rephrased: list[Value] = [0.0] * sum(counts[2:])
        return {
            **scores,
            "tier": [*[_SEEN] * counts[0], *[_UNSEEN] * counts[1], *[_REPHRASED] * len(rephrased)],
            "leaked": [*seen, *found, *rephrased],
            "clean": [*seen, *clean, *rephrased],
        }

    def shown(self, data: Datasets, answers: Mapping[str, Answers], verdicts: Mapping[str, Answers]) -> Sequence[Shown]:
        return [
            replace(one, id=f"{name}/{one.id}")
            for name in self._tiers()
            for one in self._scorer(name).shown(data, answers, verdicts)
        ]

    def findings(
        self, data: Datasets, answers: Mapping[str, Answers], verdicts: Mapping[str, Answers]
    ) -> Sequence[Finding]:
        """The pairs that leaked, most alike first, and what to do about them."""
        leaks = sorted(self._leaks(data), key=lambda leak: (_KINDS.index(leak.kind), -leak.degree, leak.unseen))
        if not leaks:
            return ()
        seen, unseen = data[self._trained_on].examples, data[self.unseen].examples
        columns = self._columns()
        rows = [
            (
                unseen[leak.unseen].id,
                seen[leak.seen].id,
                leak.kind,
                round(leak.degree, 3),
                row_text(unseen[leak.unseen].row, columns),
                row_text(seen[leak.seen].row, columns),
            )
            for leak in leaks
        ]
        title = f"Examples of {self.unseen} that lie in {self._trained_on}"
        note = (
            f"{len(leaks)} of {len(unseen)}, compared in {', '.join(columns)}. Degree: of a near-duplicate the Jaccard "
            "index, of an overlap the share of the example's runs of words that lie there."
        )
        head = (f"id in {self.unseen}", f"id in {self._trained_on}", "kind", "degree", "unseen", "seen")
        return (Table.of(title, note, head, rows), *map(Advice, self._advice(len(leaks), len(unseen))))

    def _advice(self, leaked: int, count: int) -> list[str]:
        advice = [
            f"Take the {leaked} leaked examples out of {self.unseen!r} and gate again; until then clean_unseen is the "
            "score without them. finetune-gate split keeps duplicates on one side from the start."
        ]
        if leaked > count / 2:
            advice.append(
                "More than half of the examples leaked. If it is a form that all rows share, name the columns that "
                "differ in `compare`."
            )
        return advice

    def _nothing_to_compare(self, data: Datasets) -> list[Problem]:
        """A search without texts finds nothing, which would look like a clean holdout."""
        columns = self._columns()
        return [
            Problem(
                f"{self.title}: dataset {name!r} ({data[name].path})",
                f"no row has a text in {', '.join(columns)}, where leaks are searched for",
                "texts",
                "name the columns that hold them in `compare`",
            )
            for name in (self._trained_on, self.unseen)
            if not any(normal_form(row_text(one.row, columns)) for one in data[name].examples)
        ]

    @property
    def _trained_on(self) -> str:
        return self.trained_on or self.seen

    def _tiers(self) -> tuple[str, ...]:
        """Seen, unseen, rephrased: the datasets whose examples are asked."""
        return tuple(name for name in (self.seen, self.unseen, self.rephrased) if name is not None)

    def _scorer(self, dataset: str) -> _Scorer:
        """What scores the examples of one dataset."""
        given = {name: getattr(self, name) for name in type(self).model_fields if name not in _OWN}
        given = {name: value for name, value in given.items() if value is not None}
        kind = _SCORERS[self.scored_by][0]
        return kind.model_validate({**given, "data": dataset, "name": self.title})

    def _columns(self) -> tuple[str, ...]:
        """Those that are searched for leaks."""
        if self.compare:
            return self.compare
        scorer = self._scorer(self.unseen)
        slots = [slot for slot in slot_names(scorer.prompt) if slot not in ("labels", "options")]
        if not isinstance(scorer, Perplexity):
            return tuple(slots)
        if scorer.form == "document":
            return (scorer.text,)
        return tuple(name for name in (*slots, scorer.answer, scorer.messages) if name is not None)

    def _leaks(self, data: Datasets) -> tuple[Leak, ...]:
        columns = self._columns()
        texts = [
            [row_text(one.row, columns) for one in data[name].examples] for name in (self._trained_on, self.unseen)
        ]
        return _found_once(texts[0], texts[1], self.ngram, self.near)


_KINDS = ("exact", "near-duplicate", "overlap")
_FOUND: dict[str, tuple[Leak, ...]] = {}
_FOUND_AT_MOST = 8
_SEARCHING = Lock()


def _found_once(seen: Sequence[str], unseen: Sequence[str], ngram: int, near: float) -> tuple[Leak, ...]:
    """``find_leaks``, whose search takes much longer than telling the texts from others: every model's scores and the
    findings need it."""
    digest = hashlib.sha256(json.dumps([seen, unseen, ngram, near]).encode()).hexdigest()
    with _SEARCHING:
        if digest not in _FOUND:
            while len(_FOUND) >= _FOUND_AT_MOST:
                del _FOUND[next(iter(_FOUND))]
            _FOUND[digest] = find_leaks(seen, unseen, ngram=ngram, near=near)
        return _FOUND[digest]


def _fault(scored_by: Score, kind: str, location: tuple[int | str, ...], message: str) -> str:
    where = ".".join(map(str, location))
    if kind == "extra_forbidden":
        return f"`{where}` does not go with `scored_by: {scored_by}`"
    if kind == "missing":
        return f"`scored_by: {scored_by}` needs `{where}`"
    message = message.removeprefix("Value error, ")
    return f"{where}: {message}" if where else message


def _metrics(scored_by: Score, rephrased: bool) -> tuple[Metric, ...]:
    (component, *_) = _SCORERS[scored_by][1]
    loss = scored_by == "loss"
    of: Estimator = (
        Ratio("nll", "tokens", same_denominator="tokens (the tokenizers differ)") if loss else Mean(component, 0.0, 1.0)
    )
    what, unit, high = ("mean loss", "nats/token", None) if loss else (f"mean {scored_by}", "", 1.0)

    def part(name: str, value: float, description: str, column: str = "tier") -> Metric:
        tier = name.replace("_", " ")
        return Metric(name, not loss, Part(of, column, value, tier), 0.0, high, unit, f"{what} {description}")

    def gap(name: str, better: tuple[float, str], worse: tuple[float, str], description: str) -> Metric:
        first, second = (worse, better) if loss else (better, worse)
        estimator = PartDifference(of, "tier", first[0], second[0], (first[1], second[1]))
        return Metric(name, False, estimator, None if loss else -1.0, high, unit, description)

    metrics = [
        part("seen", _SEEN, "of examples that the candidate was trained on"),
        part("unseen", _UNSEEN, "of examples that it was not trained on"),
        part("clean_unseen", 1.0, "of unseen examples but those that leaked", "clean"),
        gap("gap", (_SEEN, "seen"), (_UNSEEN, "unseen"), "how much better seen examples are known than unseen ones"),
    ]
    if rephrased:
        metrics += [
            part("rephrased", _REPHRASED, "of what is seen, in other words"),
            gap(
                "wording_gap",
                (_SEEN, "seen"),
                (_REPHRASED, "rephrased"),
                "how much better seen examples are known than the same in other words",
            ),
        ]
    leaked = Part(Counted("leaked"), "tier", _UNSEEN, "unseen")
    description = "share of unseen examples that lie in the seen data"
    return (*metrics, Metric("leaked_share", False, leaked, 0.0, 1.0, description=description, limit=0.0))
