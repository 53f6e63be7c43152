"""What a plan says: plain data, printed as JSON as it stands.

gate_plan.models[0].left.read, gate_plan.seconds, gate_plan.rules[0].detects
"""

from __future__ import annotations

from math import ceil
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from ..gate_file.rules import Severity
from ..limits import Limit
from ..pins import Role

Number = Annotated[float, Field(allow_inf_nan=False)]


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Unknown(Part):
    """Why there is no number."""

    unknown: str


class Left(Part):
    """What is left to ask of one model: requests, tokens to read, tokens to write at most. ``exact`` False: tokens are
    estimated from the length of the text."""

    requests: int = 0
    read: int = 0
    written: int = 0
    exact: bool = True

    def __add__(self, other: Left) -> Left:
        return Left(
            requests=self.requests + other.requests,
            read=self.read + other.read,
            written=self.written + other.written,
            exact=self.exact and other.exact,
        )


class Seconds(Part):
    """Wall time, estimated. ``loading`` brings weights into memory; ``computing`` is at most, where texts are written:
    they may end early."""

    loading: Number
    computing: Number

    @property
    def total(self) -> float:
        return self.loading + self.computing

    def __add__(self, other: Seconds) -> Seconds:
        return Seconds(loading=self.loading + other.loading, computing=self.computing + other.computing)


class ShardSize(Part):
    """What one shard comes to, as far as its time depends on it: ``rows`` are answers to compute, ``steps`` the most
    tokens that one of them may get."""

    kind: Literal["scores", "texts"]
    left: Left
    rows: int
    steps: int


class Line(Part):
    """Seconds that something takes: ``fixed + each * size``."""

    fixed: Number
    each: Number


class Speed(Part):
    """How fast one model answered a small sample on this machine.

    ``scoring`` is by tokens in one batch of log-likelihoods, ``reading`` by tokens of one batch of prompts, ``step`` by
    rows, for each further token of a batch of texts. Lines are None where nothing of the kind is left to ask.
    """

    loading: Number
    scores_batch: int
    texts_batch: int
    scoring: Line | None = None
    reading: Line | None = None
    step: Line | None = None

    def of(self, shard: ShardSize) -> float:
        """Seconds for one shard."""
        read, written = shard.left.read, shard.left.written
        if shard.kind == "scores" and self.scoring is not None:
            return self.scoring.fixed * ceil(read / self.scores_batch) + self.scoring.each * read
        if shard.kind == "texts" and self.reading is not None and self.step is not None:
            batches = ceil((read + written) / self.texts_batch)
            first = self.reading.fixed * batches + self.reading.each * read
            return first + max(0, shard.steps - 1) * (self.step.fixed * batches + self.step.each * shard.rows)
        return 0.0


class PlannedModel(Part):
    """One model: what is asked of it, how much of that the store holds, what is left.

    ``role`` is its part in the run; a judge's ``name`` is its address. ``unable`` counts requests that it has not the
    ability to answer. ``same_as`` names a model listed before it whose answers are its own.
    """

    role: Role
    name: str
    label: str
    runs_on: str
    requests: int
    stored: int
    unable: int
    left: Left
    seconds: Seconds | Unknown
    same_as: str | None = None


class PlannedJudge(Part):
    """A judge whose questions are made of answers that are not there yet. ``left`` is an estimate of all of them, from
    answers as long as they may become."""

    name: str
    label: str
    runs_on: str
    calls_at_most: int
    left: Left | Unknown = Unknown(unknown="known once all models have answered")


class PlannedRule(Part):
    """A rule, and the smallest difference that its examples can show with a power of 80 %.

    ``detects`` is in the metric's unit. ``shortfall`` says, where it is more than the rule leaves room for, how many
    examples would do.
    """

    rule: str
    severity: Severity
    confidence: Number | None
    examples: int
    clusters: int | None
    detects: Number | Unknown
    unit: str
    assumption: str | None = None
    needed: int | None = None
    shortfall: str | None = None


class PlannedPrice(Part):
    """Of a million tokens."""

    input: Number
    output: Number


class PlannedSpending(Part):
    """What asking one model behind an API may come to, without retries. ``name`` is its role, or its address as a
    judge."""

    name: str
    calls: int
    tokens: int | Unknown
    cost: Number | Unknown


class PlannedBudget(Part):
    """What is left to ask, beside what the gate file's budget allows.

    ``prices`` are by the names of models, ``apis`` the names of those behind APIs. ``models``, ``together`` and
    ``seconds`` (of asking local judges) are at most; ``beyond`` says where that is more than the budget.
    """

    limits: dict[Limit, Number]
    currency: str
    prices: dict[str, PlannedPrice]
    apis: tuple[str, ...]
    models: tuple[PlannedSpending, ...] = ()
    together: PlannedSpending | None = None
    seconds: Number | Unknown = Unknown(unknown="no local judge was calibrated")
    beyond: tuple[str, ...] = ()


class GatePlan(Part):
    """Everything a plan says. ``wanted`` counts what evaluators ask of each model, ``different`` after uniting it.
    ``notes`` say what its numbers leave out."""

    model: str
    gate_file: str
    planned_at: str
    age_seconds: int | None = None
    wanted: int
    different: int
    models: tuple[PlannedModel, ...]
    judges: tuple[PlannedJudge, ...]
    seconds: Seconds | Unknown
    rules: tuple[PlannedRule, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    budget: PlannedBudget | None = None

    @property
    def nothing_to_compute(self) -> bool:
        return not any(model.left.requests for model in self.models) and not self.judges


def together(models: tuple[PlannedModel, ...]) -> Seconds | Unknown:
    """What is known of the models' times, added up."""
    known = [model.seconds for model in models if isinstance(model.seconds, Seconds)]
    return sum(known, Seconds(loading=0, computing=0)) if known else Unknown(unknown="no model was calibrated")
