"""The settings of everything that judges: who judges, what they are shown, and what they are held against."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, Self, cast, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, field_validator, model_validator

from ..asking import Ability
from ..errors import Problem
from ..evaluator import Datasets
from ..people.ratings import rating_problems, read_ratings
from ..prompting import GeneratingOnDataset
from ..references import reference_problems
from .asking_judges import VerdictKind

Part = Literal["candidate", "base", "champion"]

BASELINES: tuple[Part, Part] = ("base", "champion")
"""Whom the candidate can be compared with."""

CONTROL = "control/"
"""What ids of controls begin with."""

REFERENCE_SCHEME = "reference:/"
Similarity = Literal["token_f1", "rouge_l", "chrf"]


class Section(BaseModel):
    """A mapping among the settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class JudgeSettings(Section):
    """One judge. ``"openai:/gpt-4o"`` is short for ``{model: "openai:/gpt-4o"}``."""

    model: str = Field(min_length=1, description="address of a model; ab_judge: or reference:/token_f1, rouge_l, chrf")
    advisory: bool = Field(default=False, description="shown beside the others, and counts for nothing")
    related: tuple[Part, ...] = Field(
        default=(), strict=False, description="models of its own family, whose answers it may favour"
    )

    @field_validator("model")
    @classmethod
    def _known_similarity(cls, model: str) -> str:
        known = get_args(Similarity)
        if model.startswith(REFERENCE_SCHEME) and model.removeprefix(REFERENCE_SCHEME) not in known:
            raise ValueError(f"{REFERENCE_SCHEME}NAME with one of {', '.join(known)}")
        return model


def _listed(value: object) -> object:
    every = cast("Sequence[object]", value) if isinstance(value, list | tuple) else [value]
    return tuple({"model": one} if isinstance(one, str) else one for one in every)


_ONE_JUDGE = {"anyOf": [{"type": "string", "minLength": 1}, JudgeSettings.model_json_schema()]}

Panel = Annotated[
    tuple[JudgeSettings, ...],
    BeforeValidator(_listed),
    WithJsonSchema({"anyOf": [*_ONE_JUDGE["anyOf"], {"type": "array", "minItems": 1, "items": _ONE_JUDGE}]}),
]
"""An address, a mapping, or a list of both."""


class JudgingSettings(GeneratingOnDataset):
    """One answer for each example, judged by a panel whose members are asked about controls as well."""

    needs: ClassVar[frozenset[Ability]] = frozenset({"generates"})
    row_by_row: ClassVar[bool] = True
    datasets_in: ClassVar[tuple[str, ...]] = ("data", "ratings")

    prompt: str = Field(default="{prompt}", min_length=1, description="prompt with {column} slots")
    max_new_tokens: int = Field(default=256, ge=1, le=4096, description="longest answer, in tokens")
    judge: Panel = Field(description="who judges: an address, {model: ..., advisory: ..., related: [...]}, or a list")
    verdict: VerdictKind = Field(
        default="structured", description="structured: reasons and a verdict in JSON; logprobs: one token"
    )
    criteria: str | None = Field(
        default=None, min_length=1, max_length=4_000, description="what makes an answer better"
    )
    rubric: str | None = Field(
        default=None, min_length=1, max_length=20_000, description="rubric that judges are shown"
    )
    reference: str | None = Field(default=None, description="column with the right answer, which judges are shown")
    repeats: int = Field(default=1, ge=1, le=25, description="how often each judge is asked the same")
    temperature: float = Field(default=0.0, ge=0.0, le=2.0, description="of structured verdicts")
    judge_tokens: int = Field(default=512, ge=16, le=8192, description="longest structured verdict, in tokens")
    controls: int = Field(default=12, ge=0, le=500, description="controls of each kind, at most one for each prompt")
    ratings: str | None = Field(default=None, description="dataset with people's ratings, to measure the judges by")
    raters: int = Field(default=8, ge=3, le=50, description="most raters that there can be")
    epsilon: float = Field(
        default=0.2, ge=0.0, lt=1.0, description="what people may be better by: .2 experts, .15 skilled, .1 crowd"
    )
    seed: int = Field(default=0, ge=0, lt=2**32, description="seed of the controls and of the order of asking")

    @model_validator(mode="after")
    def _panel_is_usable(self) -> Self:
        addresses = [one.model for one in self.judge]
        if not any(not one.advisory for one in self.judge):
            raise ValueError("every judge is advisory, so that none counts; expected one that is not")
        if len(addresses) != len(set(addresses)):
            raise ValueError("one judge twice; expected different ones (`repeats` asks the same one more often)")
        if self.ratings == self.data:
            raise ValueError("data and ratings must be different datasets")
        if self.reference is None and any(one.startswith(REFERENCE_SCHEME) for one in addresses):
            raise ValueError(
                f"a judge {REFERENCE_SCHEME}... compares with right answers; expected their column in `reference`"
            )
        fields = type(self).model_fields
        idle = sorted(name for name in self._idle() if getattr(self, name) != fields[name].default)
        if idle:
            raise ValueError(f"{idle[0]} has no effect with the other settings; leave it out")
        return self

    def judges(self) -> tuple[str, ...]:
        """Those that are asked; a similarity is not."""
        return tuple(one.model for one in self.judge if not one.model.startswith(REFERENCE_SCHEME))

    def reads(self) -> tuple[str, ...]:
        return (self.data, *self.reads_ratings())

    def reads_ratings(self) -> tuple[str, ...]:
        return () if self.ratings is None else (self.ratings,)

    def control_count(self, data: Datasets) -> int:
        """Controls of each kind: no more than there are prompts to make them of."""
        return min(self.controls, len(data[self.data].examples))

    def check(self, data: Datasets) -> list[Problem]:
        dataset = data[self.data]
        problems = self.prompt_problems(dataset)
        if self.reference is not None:
            problems += reference_problems(f"{self.title}.reference", dataset, self.reference)
        for names, taken in self._own_ids().items():
            found = [example.id for example in dataset.examples if example.id.startswith(taken)]
            if found:
                where = f"{self.title}: dataset {self.data!r} ({dataset.path})"
                problems.append(Problem(where, f"an example named {found[0]!r}, as {names} are", "another id"))
        return problems + self._rating_problems(data)

    def _idle(self) -> set[str]:
        """Settings that nothing reads."""
        found = {"raters", "epsilon"} if self.ratings is None else set[str]()
        if self.verdict == "logprobs":
            found |= {"repeats", "temperature", "judge_tokens"}
        if not self.judges():
            found |= {"verdict", "criteria", "rubric", "repeats", "temperature", "judge_tokens"}
        return found

    def _own_ids(self) -> dict[str, str]:
        """What ids of further examples begin with, by what those are."""
        return {"controls": CONTROL} if self.controls else {}

    def _criteria_read(self) -> tuple[str, ...]:
        """Of people's scores."""
        return ()

    def _rating_problems(self, data: Datasets) -> list[Problem]:
        if self.ratings is None:
            return []
        ratings = data[self.ratings]
        problems = rating_problems(f"{self.title}.ratings", ratings, self._criteria_read())
        raters = {rating.rater for rating in read_ratings(ratings)}
        if len(raters) > self.raters:
            where = f"{self.title}.ratings: dataset {ratings.name!r} ({ratings.path})"
            way_out = f"`raters: {len(raters)}`, or a file with the ratings of this model only"
            problems.append(Problem(where, f"{len(raters)} raters", f"at most {self.raters}", way_out))
        return problems
