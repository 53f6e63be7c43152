"""Memorisation: are training rows continued word for word? One look of the overfitting evaluator."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from ..absent import Unmeasured, Value
from ..asking import Answer, GenerateRequest, Generation, unanswered
from ..datasets import Example
from ..drawing import drawn
from ..estimators import Mean, Part
from ..evaluator import Answers
from ..metrics import Metric
from ..scored_text import ScoredText
from ..texts.memorising import Unit, cut, edit_similarity, found_among, joined, ngrams, shared_prefix, units_of

CONTINUED = "continued"
"""Component: 1 for rows that are asked for, 0 for others."""

_OF_ONE_ANSWER = ("verbatim", "common_prefix", "edit_similarity")


@dataclass(frozen=True, slots=True)
class Continued:
    """One training row: what is asked, and what a model that knows it by heart would write."""

    request: GenerateRequest
    expected: str


class Memorisation(BaseModel):
    """``memorisation: {prefix: 16, continuation: 16}``: lengths are in the evaluator's ``unit``.

    A document's first ``prefix`` units are the prompt. Instruction data has prompts of its own, and of a conversation
    the last turn of the assistant is asked for.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    rows: int = Field(default=200, ge=2, le=100_000, description="most training rows that are continued")
    prefix: int = Field(default=32, ge=1, description="documents: how much of a row is given")
    continuation: int = Field(default=32, ge=1, description="how much must come back; shorter rows are not asked")
    max_new_tokens: int = Field(default=96, ge=1, le=4096, description="longest continuation, in tokens")
    ngram: int = Field(default=8, ge=1, le=50, description="length of the n-grams looked for in all training rows")

    def asked(self, train: Sequence[Example], scored: ScoredText, unit: Unit) -> dict[int, Continued]:
        """By position in ``train``, for the rows that are long enough and drawn."""
        every = {at: found for at, example in enumerate(train) if (found := self._asked(example, scored, unit))}
        chosen = drawn((train[at].id for at in every), self.rows)
        return {at: found for at, found in every.items() if train[at].id in chosen}

    def score(self, asked: Iterable[Continued], answers: Answers, unit: Unit) -> dict[str, list[Value]]:
        """``verbatim`` 0 or 1, ``common_prefix`` in units, ``edit_similarity`` of texts of equal length in units."""
        columns: dict[str, list[Value]] = {name: [] for name in _OF_ONE_ANSWER}
        for one in asked:
            for name, value in self._compared(one, answers, unit).items():
                columns[name].append(value)
        return columns

    def score_ngrams(
        self,
        asked: Sequence[Continued],
        answers: Mapping[str, Answers],
        train: Iterable[Sequence[str]],
        unit: Unit,
    ) -> dict[str, dict[str, list[Value]]]:
        """The share of each output's n-grams that ``train`` (rows cut into units) holds, 0 for an output with none; by
        role. All roles at once, because what costs is going through the training data."""
        grams = {
            role: [
                text if isinstance(text, Unmeasured) else ngrams(units_of(text, unit), self.ngram)
                for text in (text_of(given[one.request]) for one in asked)
            ]
            for role, given in answers.items()
        }
        every = (gram for outputs in grams.values() for some in outputs if isinstance(some, list) for gram in some)
        known = found_among(set(every), train, self.ngram)
        return {
            role: {
                "train_ngram_share": [
                    some if isinstance(some, Unmeasured) else sum(gram in known for gram in some) / max(1, len(some))
                    for some in outputs
                ]
            }
            for role, outputs in grams.items()
        }

    def metrics(self, unit: Unit) -> tuple[Metric, ...]:
        def over(component: str, high: float) -> Part:
            mean = Mean(component, low=0.0, high=high, higher_is_better=False)
            return Part(mean, CONTINUED, 1.0, "continued training rows")

        longest = float(self.continuation)
        return (
            Metric(
                "memorised_share", False, over("verbatim", 1.0), 0.0, 1.0,
                description=f"share of training rows whose next {self.continuation} {unit} come back word for word",
            ),
            Metric(
                "longest_common_prefix", False, over("common_prefix", longest), 0.0, longest, unit,
                description=f"how far training rows are continued as they were written, of {self.continuation} {unit}",
            ),
            Metric(
                "edit_similarity", False, over("edit_similarity", 1.0), 0.0, 1.0,
                description="1 - edit distance of continuation and training text, over the longer's length",
            ),
            Metric(
                "train_ngram_share", False, over("train_ngram_share", 1.0), 0.0, 1.0,
                description=f"share of a continuation's {self.ngram}-grams that occur in the training data",
            ),
        )  # fmt: skip

    def _asked(self, example: Example, scored: ScoredText, unit: Unit) -> Continued | None:
        passages = scored.passages(example.row)
        if not passages:
            return None
        prompt, text = passages[-1].prompt, passages[-1].continuation
        if scored.form == "document":
            found = cut(text, unit, self.prefix, self.continuation)
            if found is None:
                return None
            prompt, expected = found
        else:
            units = units_of(text, unit)
            if len(units) < self.continuation:
                return None
            expected = joined(units[: self.continuation], unit)
        return Continued(GenerateRequest(prompt, max_new_tokens=self.max_new_tokens), expected)

    def _compared(self, asked: Continued, answers: Answers, unit: Unit) -> Mapping[str, Value]:
        answer = answers[asked.request]
        text = text_of(answer)
        if isinstance(text, Unmeasured):
            return dict.fromkeys(_OF_ONE_ANSWER, text)
        expected, written = units_of(asked.expected, unit), units_of(text, unit)
        so_far = joined(written, unit)
        cut_off = isinstance(answer, Generation) and answer.finish == "length" and len(written) <= len(expected)
        if cut_off and so_far and so_far != asked.expected and asked.expected.startswith(so_far):
            reason = f"word for word so far, and cut at {self.max_new_tokens} tokens (max_new_tokens)"
            return dict.fromkeys(_OF_ONE_ANSWER, Unmeasured(reason))
        written = written[: len(expected)]
        return {
            "verbatim": float(written == expected),
            "common_prefix": float(shared_prefix(written, expected)),
            "edit_similarity": edit_similarity(joined(written, unit), asked.expected),
        }


def text_of(answer: Answer) -> str | Unmeasured:
    """What was generated, or why there is nothing."""
    if isinstance(answer, Generation):
        return answer.text
    return unanswered(answer, "the model gave no text")
