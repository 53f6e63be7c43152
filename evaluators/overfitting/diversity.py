"""Diversity: do answers to unseen prompts become alike? One look of the overfitting evaluator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict, Field

from ..absent import Unmeasured, Value
from ..asking import GenerateRequest
from ..datasets import Example
from ..drawing import drawn
from ..estimators import Mean, Part, Ratio
from ..evaluator import Answers
from ..metrics import Metric
from ..scored_text import ScoredText
from ..texts.diversity import compressed_shares, distinct_shares, self_bleu, self_repetition
from ..texts.memorising import Unit, cut, joined, units_of
from .memorisation import text_of

ANSWERED = "answered"
"""Component: 1 for prompts, except those to which some model wrote nothing at all: no length is common to it."""

_ORDERS = (1, 2, 3)
_REPEATED = 4

Units = list[str]


class Diversity(BaseModel):
    """``diversity: {temperature: 1.0}``: answers to prompts of the validation data, or to the first ``prefix`` units of
    its documents.

    Longer answers repeat more and compress better whoever writes them, so the answers to one prompt are cut to the
    length, in units, of the shortest that any model gave to it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    rows: int = Field(default=200, ge=2, le=500, description="most validation rows that are prompted with")
    prefix: int = Field(default=16, ge=1, description="documents: how much of a row is the prompt")
    max_new_tokens: int = Field(default=64, ge=1, le=4096, description="longest answer, in tokens")
    temperature: float = Field(default=0.0, ge=0, le=5, strict=False, description="0: greedy")
    seed: int = Field(default=0, ge=0, description="of answers drawn at a temperature above 0")

    def asked(self, validation: Sequence[Example], scored: ScoredText, unit: Unit) -> dict[int, GenerateRequest]:
        """By position in ``validation``, for the rows that are long enough and drawn."""
        every = {at: found for at, example in enumerate(validation) if (found := self._asked(example, scored, unit))}
        chosen = drawn((validation[at].id for at in every), self.rows)
        return {at: found for at, found in every.items() if validation[at].id in chosen}

    def score(
        self, asked: Sequence[GenerateRequest], answers: Mapping[str, Answers], unit: Unit
    ) -> dict[str, dict[str, list[Value]]]:
        """Shares of the corpus values, see `texts.diversity`, for every prompt; by role."""
        written: dict[str, list[Units | Unmeasured]] = {
            role: [
                text if isinstance(text, Unmeasured) else units_of(text, unit)
                for text in (text_of(given[request]) for request in asked)
            ]
            for role, given in answers.items()
        }
        lengths = [
            [len(units) for units in to_one if not isinstance(units, Unmeasured)]
            for to_one in zip(*written.values(), strict=True)
        ]
        shortest = [min(some, default=0) for some in lengths]
        answered: list[Value] = [float(all(some)) for some in lengths]
        return {role: {**_columns(outputs, shortest, unit), ANSWERED: answered} for role, outputs in written.items()}

    def metrics(self) -> tuple[Metric, ...]:
        def part(estimator: Mean | Ratio) -> Part:
            return Part(estimator, ANSWERED, 1.0, "prompts that every model answered")

        def over(component: str, high: float | None) -> Part:
            return part(Mean(component, low=0.0, high=high, higher_is_better=False))

        distinct = (
            Metric(
                f"distinct_{n}", True, part(Ratio(f"distinct_{n}", f"ngrams_{n}")), 0.0, 1.0,
                description=f"different {n}-grams of all answers over all their {n}-grams",
            )
            for n in _ORDERS
        )  # fmt: skip
        return (
            *distinct,
            Metric(
                "self_bleu", False, over("self_bleu", 1.0), 0.0, 1.0,
                description="BLEU-4 of each answer against all other answers",
            ),
            Metric(
                "self_repetition", False, over("self_repetition", None), 0.0,
                description=f"mean of ln(1 + {_REPEATED}-grams of an answer that another answer has too)",
            ),
            Metric(
                "compression_ratio", False, part(Ratio("answer_bytes", "compressed_bytes")), 0.0,
                description="bytes of all answers over their bytes when compressed together",
            ),
        )  # fmt: skip

    def _asked(self, example: Example, scored: ScoredText, unit: Unit) -> GenerateRequest | None:
        passages = scored.passages(example.row)
        if not passages:
            return None
        prompt = passages[-1].prompt
        if scored.form == "document":
            found = cut(passages[-1].continuation, unit, self.prefix, 0)
            if found is None:
                return None
            prompt = found[0]
        return GenerateRequest(prompt, max_new_tokens=self.max_new_tokens, temperature=self.temperature, seed=self.seed)


def _columns(outputs: Sequence[Units | Unmeasured], lengths: Sequence[int], unit: Unit) -> dict[str, list[Value]]:
    """Components of one role. A failed answer is no part of the corpus, and has the reason everywhere."""
    answers = [[] if isinstance(one, Unmeasured) else one[:most] for one, most in zip(outputs, lengths, strict=True)]
    columns: dict[str, list[Value]] = {}
    for n in _ORDERS:
        shares = distinct_shares(answers, n)
        columns[f"distinct_{n}"] = [share for share, _ in shares]
        columns[f"ngrams_{n}"] = [count for _, count in shares]
    compressed = compressed_shares([joined(answer, unit) for answer in answers])
    columns["answer_bytes"] = [size for size, _ in compressed]
    columns["compressed_bytes"] = [share for _, share in compressed]
    columns["self_bleu"] = [*self_bleu(answers)]
    columns["self_repetition"] = [*self_repetition(answers, _REPEATED)]
    few = sum(map(bool, answers)) < 2
    alone = Unmeasured("fewer than two answers with text, at the lengths that every model reaches")
    for name, values in columns.items():
        known = [alone if few else value for value in values]
        columns[name] = [
            one if isinstance(one, Unmeasured) else value for one, value in zip(outputs, known, strict=True)
        ]
    return columns
