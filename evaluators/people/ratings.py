"""Ratings: what people said of two answers, in one line of JSON each.

    {"id": "5f1c...", "example": "17", "rater": "ana", "left": "9b0d...", "right": "c41e...", "choice": "left",
     "left_scores": {"accuracy": 4}, "right_scores": {"accuracy": 2}, "notes": "the right one invents a fee"}

``left`` and ``right`` are keys of texts, made of prompt and answer (`text_key`): a line says nothing about whose answer
was whose, and speaks of exactly the texts that its rater saw. Ratings of other texts do not count.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Preferred = Literal["left", "right", "tie"]

LOWEST, HIGHEST = 1, 5
"""The scale of every criterion."""


@dataclass(frozen=True, slots=True)
class Rating:
    """One rater on one pair. Any part may be missing: ``choice`` None, a criterion not in ``..._scores``."""

    example: str
    rater: str
    left: str
    right: str
    choice: Preferred | None = None
    left_scores: Mapping[str, int] = ...  # type: ignore[assignment]
    right_scores: Mapping[str, int] = ...  # type: ignore[assignment]
    notes: str = ""


def text_key(prompt: str, answer: str) -> str:
    """What stands for an answer to a prompt in ratings: 128 bits of SHA-256."""
    return hashlib.sha256(json.dumps([prompt, answer]).encode()).hexdigest()[:32]
