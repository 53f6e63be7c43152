"""What a judge's reply says: how far it prefers the first of two answers, or why that cannot be told.

read_structured(Generation('{"rationale": "It is right.", "verdict": "first"}', "stop", 12))  # Preference(1.0, ...)
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, fsum

from ...absent import Unmeasured
from ...asking import Answer, Choice, unanswered
from ..replies import read_object

_FIRST: dict[str, float] = {"first": 1.0, "tie": 0.5, "second": 0.0}

LEAST_MASS = 0.01
"""Probability that the two labels must have together. Below it the judge was about to say something else."""


@dataclass(frozen=True, slots=True)
class Preference:
    """``first``: 1 where the first answer is preferred, 0 where the second is, between them by log-probabilities.
    ``rationale`` is what the judge wrote, and hostile like everything a model wrote."""

    first: float
    rationale: str = ""


def read_structured(reply: Answer) -> Preference | Unmeasured:
    """Of a rationale and one of three words (`read_object`)."""
    found = read_object(reply, "verdict")
    if isinstance(found, Unmeasured):
        return found
    rationale, verdict = found
    if not isinstance(verdict, str) or verdict not in _FIRST:
        return Unmeasured("the judge's verdict is none of first, second, tie")
    return Preference(_FIRST[verdict], rationale)


def read_choice(reply: Answer) -> Preference | Unmeasured:
    """P(first label) / (P(first label) + P(second label)), as AlpacaEval weighs its two labels."""
    if not isinstance(reply, Choice) or len(reply.logprobs) != 2:
        return unanswered(reply, "the judge gave no log-probabilities of the two labels")
    first, second = reply.logprobs
    if fsum(map(exp, reply.logprobs)) < LEAST_MASS:
        return Unmeasured("the judge was not about to choose: neither label is likely")
    return Preference(1.0 / (1.0 + exp(min(second - first, 700.0))))
