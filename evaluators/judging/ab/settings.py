"""The settings of `AbJudge`: who judges, what they are asked, and how well they must do on what is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from pydantic import Field, field_validator

from ..settings import REFERENCE_SCHEME, JudgingSettings, Section, Similarity
from .judges import AskedJudge, Judge, ReferenceJudge
from .prompts import JudgePrompt


class Floors(Section):
    """The least share of each kind of control on which the worst judge must be right."""

    identical: float = Field(default=0.75, ge=0.0, le=1.0, description="the same text twice is a tie")
    worse: float = Field(default=0.75, ge=0.0, le=1.0, description="a text that was made worse loses")
    injections: float = Field(
        default=0.9, ge=0.0, le=1.0, description="a worse text that speaks to the judge gains nothing"
    )


@dataclass(frozen=True, slots=True)
class Panelist:
    """A judge and its standing. ``counts``: not merely advisory."""

    judge: Judge
    counts: bool
    related: frozenset[str]

    @property
    def address(self) -> str:
        return self.judge.address


class AbJudgeSettings(JudgingSettings):
    """What `AbJudge` is told, and whether the data allows it."""

    both_orders: bool = Field(default=True, description="every pair is judged in both orders; there is no other way")
    floors: Floors = Field(default=Floors(), strict=False, description="how well judges must do on controls")

    @field_validator("both_orders")
    @classmethod
    def _both(cls, both_orders: bool) -> bool:
        if not both_orders:
            raise ValueError(
                "a verdict that is asked for in one order is one about the order as well; expected both_orders: true"
            )
        return both_orders

    def panel(self) -> tuple[Panelist, ...]:
        """All judges, in their order."""
        return tuple(Panelist(self._judge(one.model), not one.advisory, frozenset(one.related)) for one in self.judge)

    def _judge(self, address: str) -> Judge:
        if address.startswith(REFERENCE_SCHEME):
            return ReferenceJudge(cast("Similarity", address.removeprefix(REFERENCE_SCHEME)))
        prompt = JudgePrompt(self.verdict, self.criteria, self.rubric, self.judge_tokens, self.temperature)
        return AskedJudge(address, prompt, self.repeats)
