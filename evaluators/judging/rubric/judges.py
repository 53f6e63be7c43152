"""Judges who score one answer at a time, and what their replies say.

judge = ScoringJudge("openai:/gpt-4o", RubricPrompt("structured", rubric="..."), repeats=1)
judge.requests(submission)                  # all repeats
judge.score(submission, replies)            # Score(4.0, spread=0.0, ...), or Unmeasured
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, fsum
from statistics import stdev

from ...absent import Unmeasured
from ...asking import Answer, Choice, Failed, Request, unanswered
from ...evaluator import Answers
from ..judged_texts import Submission
from ..replies import read_object
from .prompts import SCORES, RubricPrompt

LEAST_MASS = 0.1
"""Probability that the five digits must have together. Below it the judge was about to say something else, and what is
left of the digits, of which an endpoint may list a few only, has no shape that a mean could be taken of."""

_NOT_ASKED = Failed("the judge was not asked")


@dataclass(frozen=True, slots=True)
class Score:
    """From 1 to 5, the mean over repeats. ``spread``: their standard deviation; 0 where there is one. ``rationale`` is
    the judge's own words on the first of them, and hostile like everything a model wrote."""

    value: float
    spread: float = 0.0
    rationale: str = ""


@dataclass(frozen=True, slots=True)
class ScoringJudge:
    """A model that is asked. ``counts``: not merely advisory. ``related``: roles that it may favour."""

    address: str
    prompt: RubricPrompt
    repeats: int = 1
    counts: bool = True
    related: frozenset[str] = frozenset()

    def requests(self, submission: Submission) -> tuple[Request, ...]:
        return tuple(self.prompt.request(submission, repeat) for repeat in range(self.repeats))

    def score(self, submission: Submission, replies: Answers) -> Score | Unmeasured:
        """Unmeasured where any of its requests has no reply that can be read."""
        read = read_choice if self.prompt.verdict == "logprobs" else read_structured
        found: list[Score] = []
        for request in self.requests(submission):
            told = read(replies.get(request, _NOT_ASKED))
            if isinstance(told, Unmeasured):
                return Unmeasured(f"{self.address}: {told.reason}")
            found.append(told)
        values = [one.value for one in found]
        spread = stdev(values) if len(values) > 1 else 0.0
        return Score(fsum(values) / len(values), spread, found[0].rationale)


def read_structured(reply: Answer) -> Score | Unmeasured:
    """Of a rationale and one of the whole numbers 1 to 5 (`read_object`); 4.0, "4" and true are none."""
    found = read_object(reply, "score")
    if isinstance(found, Unmeasured):
        return found
    rationale, score = found
    if type(score) is not int or score not in SCORES:
        return Unmeasured("the judge's score is no whole number from 1 to 5")
    return Score(float(score), rationale=rationale)


def read_choice(reply: Answer) -> Score | Unmeasured:
    """Mean of the five scores, weighted by their probabilities as shares of their sum (G-Eval, arXiv 2303.16634)."""
    if not isinstance(reply, Choice) or len(reply.logprobs) != len(SCORES):
        return unanswered(reply, "the judge gave no log-probabilities of the five scores")
    shares = [exp(min(logprob, 0.0)) for logprob in reply.logprobs]
    mass = fsum(shares)
    if not mass >= LEAST_MASS:
        return Unmeasured("the judge was not about to score: none of the digits 1 to 5 is likely")
    mean = fsum(score * share for score, share in zip(SCORES, shares, strict=True)) / mass
    return Score(min(max(mean, float(SCORES[0])), float(SCORES[-1])))
