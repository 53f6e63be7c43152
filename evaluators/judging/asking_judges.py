"""How judges are asked: one message of the user, since some chat templates know no system message."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..asking import ChooseRequest, GenerateRequest, Message, Request

VerdictKind = Literal["structured", "logprobs"]
"""Reasons and a verdict as JSON; or the log-probabilities of one token."""


@dataclass(frozen=True, slots=True)
class Asking:
    """What the settings say of it. ``max_new_tokens`` and ``temperature`` are those of structured verdicts; one by
    log-probabilities writes nothing."""

    verdict: VerdictKind
    criteria: str | None = None
    rubric: str | None = None
    max_new_tokens: int = 512
    temperature: float = 0.0

    def asked(self, text: str, labels: tuple[str, ...], schema: str, repeat: int) -> Request:
        """``labels`` are chosen from by log-probabilities; ``schema`` is that of structured verdicts."""
        messages = (Message("user", text),)
        if self.verdict == "logprobs":
            return ChooseRequest(messages, labels)
        return GenerateRequest(
            messages, self.max_new_tokens, temperature=self.temperature, sample=repeat, schema=schema
        )
