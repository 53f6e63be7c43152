"""Perplexity: how surprised a model is by text, as it should be computed.

The log-likelihoods of all tokens of all documents are summed once and divided once:
``perplexity = exp(-sum(log p) / tokens)``, with the first token scored after BOS (else EOS) and long documents taken
through windows in which every token is scored exactly once. A mean of per-document perplexities is another quantity,
and so is ``loss * n`` where the loss averaged over ``n - 1`` tokens.

Per-token perplexity depends on the tokenizer. Where candidate and baseline split the same text into different tokens,
their perplexities are not compared; ``bits_per_byte`` is, because bytes are the same for both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from .absent import Unmeasured, Value
from .asking import Ability, Failed, Request, ScoreRequest, TokenLogprobs
from .errors import Problem
from .estimators import Ratio
from .evaluator import Answers, Components, Datasets, OneDataset, text_column_problems
from .metrics import Metric

_METRICS = (
    Metric(
        "perplexity",
        higher_is_better=False,
        estimator=Ratio("nll", "tokens", transform="exp", same_denominator="tokens (the tokenizers differ)"),
        low=1.0,
        unit="per token",
        description="exp of the mean negative log-likelihood per token, over the whole corpus",
    ),
    Metric(
        "bits_per_byte",
        higher_is_better=False,
        estimator=Ratio("bits", "bytes"),
        low=0.0,
        unit="bits/byte",
        description="negative log2-likelihood per UTF-8 byte; comparable across tokenizers",
    ),
    Metric(
        "byte_perplexity",
        higher_is_better=False,
        estimator=Ratio("nll", "bytes", transform="exp"),
        low=1.0,
        unit="per byte",
        description="exp of the mean negative log-likelihood per UTF-8 byte",
    ),
    Metric(
        "word_perplexity",
        higher_is_better=False,
        estimator=Ratio("nll", "words", transform="exp"),
        low=1.0,
        unit="per word",
        description="exp of the mean negative log-likelihood per whitespace-separated word",
    ),
)


class Perplexity(OneDataset):
    """``- perplexity: {data: holdout}``

    Components per example: ``nll`` (nats, summed over tokens), ``bits``, ``tokens``, ``bytes``, ``words``.
    Names and definitions follow EleutherAI/lm-evaluation-harness (word_perplexity, byte_perplexity, bits_per_byte).
    """

    kind: ClassVar[str] = "perplexity"
    needs: ClassVar[frozenset[Ability]] = frozenset({"scores_tokens"})

    text: str = Field(default="text", description="column of the documents")

    def metrics(self) -> tuple[Metric, ...]:
        return _METRICS

    def check(self, data: Datasets) -> list[Problem]:
        problems = text_column_problems(self.title, data[self.data], self.text)
        if not problems and not any(self._document(row.row[self.text]) for row in self.examples(data)):
            where = f"{self.title}: dataset {self.data!r}"
            problems.append(Problem(where, f"every {self.text!r} is empty", "at least one document with text"))
        return problems

    def requests(self, data: Datasets) -> Sequence[Request]:
        return [self._request(example.row[self.text]) for example in self.examples(data)]

    def score(self, data: Datasets, answers: Answers) -> Components:
        columns: dict[str, list[Value]] = {name: [] for name in ("nll", "bits", "tokens", "bytes", "words")}
        for example in self.examples(data):
            text = self._document(example.row[self.text])
            answer = answers[self._request(text)]
            values: dict[str, Value]
            if isinstance(answer, TokenLogprobs):
                nll = -math.fsum(answer.logprobs)
                values = {
                    "nll": nll,
                    "bits": nll / math.log(2),
                    "tokens": float(len(answer.logprobs)),
                    "bytes": float(len(text.encode("utf-8", "surrogatepass"))),
                    "words": float(len(text.split())),
                }
            else:
                reason = answer.reason if isinstance(answer, Failed) else "the model gave no log-probabilities"
                values = dict.fromkeys(columns, Unmeasured(reason))
            for name, value in values.items():
                columns[name].append(value)
        return columns

    def _request(self, text: object) -> ScoreRequest:
        return ScoreRequest(prompt="", continuation=self._document(text))

    @staticmethod
    def _document(text: object) -> str:
        return text if isinstance(text, str) else ""
