"""Perplexity: how surprised a model is by text, as it should be computed.

The log-likelihoods of all tokens of all documents are summed once and divided once:
``perplexity = exp(-sum(log p) / tokens)``, with the first token scored after BOS (else EOS) and long documents taken
through windows in which every token is scored exactly once. A mean of per-document perplexities is another quantity,
and so is ``loss * n`` where the loss averaged over ``n - 1`` tokens.

Per-token perplexity depends on the tokenizer. Where candidate and baseline split the same text into different tokens,
their perplexities are not compared; ``bits_per_byte`` is, because bytes are the same for both.

Of instruction and chat data the assistant's tokens are scored and nothing else, as such data is trained on: a prompt
that is easy to guess would hide an answer that is not. ``whole`` measures all of it beside that.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from .absent import Unmeasured, Value
from .asking import Ability, Request, ScoreRequest
from .datasets import Row
from .errors import Problem
from .estimators import Ratio
from .evaluator import Answers, Components, Datasets, OneDataset
from .metrics import Metric
from .scored_text import BETWEEN_TURNS, ScoredText, conversation, logprobs_of
from .showing import Shown
from .shown_answers import prompt_text

_COMPONENTS = ("nll", "bits", "tokens", "bytes", "words")
WHOLE = "whole_"
"""In front of the names of components and metrics that include prompts and all turns."""


class Perplexity(ScoredText, OneDataset):
    """``- perplexity: {data: holdout}``, ``{data: chats, messages: messages}``

    Components per example: ``nll`` (nats, summed over tokens), ``bits``, ``tokens``, ``bytes``, ``words``; the same
    with ``whole_`` in front where ``whole`` is set. Bytes and words are the scored text's, delimiters left out.
    Names and definitions follow EleutherAI/lm-evaluation-harness (word_perplexity, byte_perplexity, bits_per_byte).
    """

    kind: ClassVar[str] = "perplexity"
    row_by_row: ClassVar[bool] = True
    needs: ClassVar[frozenset[Ability]] = frozenset({"scores_tokens"})

    whole: bool = Field(
        default=False, description="instruction and chat data: also measure each row as one document, prompts and all"
    )

    @model_validator(mode="after")
    def _whole_of_parts(self) -> Self:
        if self.whole and self.form == "document":
            raise ValueError("`whole` is for `messages`, or `prompt` and `answer`: a document is scored whole")
        return self

    def metrics(self) -> tuple[Metric, ...]:
        return (*_metrics(), *_metrics(WHOLE, "; prompts and all turns included")) if self.whole else _metrics()

    def check(self, data: Datasets) -> list[Problem]:
        return self.text_problems(data[self.data])

    def requests(self, data: Datasets) -> Sequence[Request]:
        examples = self.examples(data)
        asked: list[Request] = [request for example in examples for request in self.passages(example.row)]
        return [*asked, *(self.as_document(example.row) for example in examples)] if self.whole else asked

    def score(self, data: Datasets, answers: Answers) -> Components:
        examples = self.examples(data)
        found = _columns([self.passages(example.row) for example in examples], answers)
        if self.whole:
            whole = _columns([(self.as_document(example.row),) for example in examples], answers)
            found |= {WHOLE + name: values for name, values in whole.items()}
        return found

    def shown(self, data: Datasets, answers: Mapping[str, Answers], verdicts: Mapping[str, Answers]) -> Sequence[Shown]:
        """The texts that were scored. Nobody answers: a model is only measured on them."""
        return [Shown(example.id, *self._texts(example.row)) for example in self.examples(data)]

    def _texts(self, row: Row) -> tuple[str, str]:
        """What is given and what is wanted of a model."""
        if self.form == "chat":
            turns = conversation(row.get(self.messages or "")) or ()
            return BETWEEN_TURNS.join(f"{turn.role}: {turn.content}" for turn in turns), ""
        (asked,) = self.passages(row)
        return (asked.continuation, "") if self.form == "document" else (prompt_text(asked.prompt), asked.continuation)


def _columns(rows: Sequence[tuple[ScoreRequest, ...]], answers: Answers) -> dict[str, list[Value]]:
    columns: dict[str, list[Value]] = {name: [] for name in _COMPONENTS}
    for passages in rows:
        logprobs = logprobs_of(passages, answers)
        values: dict[str, Value]
        if isinstance(logprobs, Unmeasured):
            values = dict.fromkeys(_COMPONENTS, logprobs)
        else:
            nll = -math.fsum(logprobs)
            texts = [asked.continuation for asked in passages]
            values = {
                "nll": nll,
                "bits": nll / math.log(2),
                "tokens": float(len(logprobs)),
                "bytes": float(sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)),
                "words": float(sum(len(text.split()) for text in texts)),
            }
        for name, value in values.items():
            columns[name].append(value)
    return columns


def _metrics(prefix: str = "", note: str = "") -> tuple[Metric, ...]:
    """``prefix`` stands in front of the names of metrics and components, ``note`` behind every description."""

    def ratio(
        numerator: str, denominator: str, transform: Literal["identity", "exp"], same_denominator: str | None = None
    ) -> Ratio:
        return Ratio(prefix + numerator, prefix + denominator, transform, same_denominator)

    return (
        Metric(
            f"{prefix}perplexity",
            higher_is_better=False,
            estimator=ratio("nll", "tokens", "exp", "tokens (the tokenizers differ)"),
            low=1.0,
            unit="per token",
            description=f"exp of the mean negative log-likelihood per token, over the whole corpus{note}",
        ),
        Metric(
            f"{prefix}bits_per_byte",
            higher_is_better=False,
            estimator=ratio("bits", "bytes", "identity"),
            low=0.0,
            unit="bits/byte",
            description=f"negative log2-likelihood per UTF-8 byte; comparable across tokenizers{note}",
        ),
        Metric(
            f"{prefix}byte_perplexity",
            higher_is_better=False,
            estimator=ratio("nll", "bytes", "exp"),
            low=1.0,
            unit="per byte",
            description=f"exp of the mean negative log-likelihood per UTF-8 byte{note}",
        ),
        Metric(
            f"{prefix}word_perplexity",
            higher_is_better=False,
            estimator=ratio("nll", "words", "exp"),
            low=1.0,
            unit="per word",
            description=f"exp of the mean negative log-likelihood per whitespace-separated word{note}",
        ),
    )
