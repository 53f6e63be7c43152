"""What a judge's reply says: how far it prefers the first of two answers, or why that cannot be told.

    read_structured(Generation('{"rationale": "It is right.", "verdict": "first"}', "stop", 12))  # Preference(1.0, ...)

A reply is read whole or not at all. Nothing is searched for inside it: a judge quotes what it judges, and an answer
that holds the words of a verdict must not become one.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from math import exp, fsum
from typing import cast

from ..absent import Unmeasured
from ..asking import Answer, Choice, Generation, unanswered
from ..references import text_of

_FENCED = re.compile(r"```(?:json)?[ \t]*\r?\n(.*?)\r?\n?[ \t]*```", re.DOTALL)
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
    """Of exactly one JSON object with exactly a rationale and a verdict; white space and one Markdown fence around it
    are no part of it."""
    if isinstance(reply, Generation) and reply.finish == "length":
        return Unmeasured("the judge's verdict was truncated")
    text = text_of(reply)
    if isinstance(text, Unmeasured):
        return text
    fenced = _FENCED.fullmatch(text.strip())
    try:
        found: object = json.loads(
            fenced[1] if fenced else text, object_pairs_hook=_without_twins, parse_constant=_refused
        )
    except (ValueError, RecursionError):
        return Unmeasured("the judge's reply is not one JSON object")
    if not isinstance(found, dict):
        return Unmeasured("the judge's reply is not one JSON object")
    fields = cast("dict[str, object]", found)
    if fields.keys() != {"rationale", "verdict"}:
        return Unmeasured("the judge's JSON does not hold just a rationale and a verdict")
    rationale, verdict = fields["rationale"], fields["verdict"]
    if not isinstance(rationale, str) or not isinstance(verdict, str) or verdict not in _FIRST:
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


def _without_twins(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key twice: which of them counts would be a guess")
    return found


def _refused(constant: str) -> object:
    raise ValueError(f"{constant} is no JSON")
