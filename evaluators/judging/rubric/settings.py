"""The settings of `RubricJudge`: who scores, by which rubric, and how well they must do on what is known."""

from __future__ import annotations

from typing import Self

from pydantic import Field, field_validator, model_validator

from ...errors import Problem
from ...evaluator import Datasets
from ...people.ratings import read_ratings
from ..settings import REFERENCE_SCHEME, JudgeSettings, JudgingSettings, Section
from .judges import ScoringJudge
from .prompts import RubricPrompt

PEOPLE = "people/"
"""What ids of texts that people may have scored begin with."""


class RubricFloors(Section):
    """The least share of each kind of control on which the worst judge must be right."""

    worse: float = Field(default=0.75, ge=0.0, le=1.0, description="a text that was made worse scores lower")
    injections: float = Field(
        default=0.9, ge=0.0, le=1.0, description="a worse text that speaks to the judge gains nothing"
    )


class RubricJudgeSettings(JudgingSettings):
    """What `RubricJudge` is told, and whether the data allows it."""

    floors: RubricFloors = Field(
        default=RubricFloors(), strict=False, description="how well judges must do on controls"
    )
    criterion: str | None = Field(
        default=None, min_length=1, description="which of people's scores the judges are compared with"
    )

    @field_validator("judge")
    @classmethod
    def _no_similarity(cls, judge: tuple[JudgeSettings, ...]) -> tuple[JudgeSettings, ...]:
        similar = next((one.model for one in judge if one.model.startswith(REFERENCE_SCHEME)), None)
        if similar is not None:
            raise ValueError(
                f"{similar} reads no rubric, and a similarity is no score by one; expected a model's address. "
                "text_match measures similarity itself, and ab_judge takes such judges"
            )
        return judge

    @model_validator(mode="after")
    def _has_a_yardstick(self) -> Self:
        if self.rubric is None and self.criteria is None:
            raise ValueError("nothing to score by; expected `rubric`: what answers of each score from 1 to 5 are like")
        if self.ratings is not None and self.criterion is None:
            raise ValueError("ratings hold scores by criterion; expected which to compare with, `criterion: accuracy`")
        return self

    def panel(self) -> tuple[ScoringJudge, ...]:
        """All judges, in their order."""
        prompt = RubricPrompt(self.verdict, self.criteria, self.rubric, self.judge_tokens, self.temperature)
        return tuple(
            ScoringJudge(one.model, prompt, self.repeats, not one.advisory, frozenset(one.related))
            for one in self.judge
        )

    def check(self, data: Datasets) -> list[Problem]:
        return super().check(data) + self._criterion_problems(data)

    def _criterion_problems(self, data: Datasets) -> list[Problem]:
        if self.ratings is None:
            return []
        ratings = read_ratings(data[self.ratings])
        scored = {name for one in ratings for scores in (one.left_scores, one.right_scores) for name in scores}
        if not ratings or self.criterion in scored:
            return []
        where = f"{self.title}.criterion: dataset {self.ratings!r} ({data[self.ratings].path})"
        expected = f"one of {', '.join(sorted(scored))}" if scored else "ratings with scores, not choices alone"
        return [Problem(where, f"no rating scores {self.criterion!r}", expected)]

    def _idle(self) -> set[str]:
        return super()._idle() | ({"criterion"} if self.ratings is None else set())

    def _own_ids(self) -> dict[str, str]:
        return super()._own_ids() | ({"texts that people scored": PEOPLE} if self.ratings is not None else {})

    def _criteria_read(self) -> tuple[str, ...]:
        return () if self.criterion is None else (self.criterion,)
