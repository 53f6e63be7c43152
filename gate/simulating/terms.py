"""What a simulation says: plain data, printed as JSON as it stands."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from ..deciding import Outcome, Verdict
from ..gate_file.rules import Severity

Number = Annotated[float, Field(allow_inf_nan=False)]


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Rate(Part):
    """A share of the worlds. ``low`` and ``high`` are one-sided 95 % bounds (Wilson), ``error`` its Monte Carlo
    standard error."""

    share: Number
    low: Number
    high: Number
    error: Number


class TrueCheck(Part):
    """What one comparison of a rule would see if it saw the truth: ``value`` beside ``bound``, in the rule's unit."""

    against: str | None
    slice: dict[str, str]
    value: Number
    bound: Number
    side: Literal["at least", "at most"]


class RulePoint(Part):
    """One rule at one difference: how often it came to each outcome. ``truth`` is empty where it is not known."""

    truth: tuple[TrueCheck, ...]
    outcomes: dict[Outcome, Rate]


class Point(Part):
    """Candidates whose true difference is ``difference``; ``rules`` are in the order of the simulated rules. ``looked``
    is the mean share of the examples that had been looked at when it was decided."""

    difference: Number
    looked: Number
    verdicts: dict[Verdict, Rate]
    rules: tuple[RulePoint, ...]


class SimulatedRule(Part):
    """A rule that was simulated.

    ``bound_at`` is the difference at which the truth lies just on its bound; None where there is none, or the truth is
    not known. ``waived``: somebody answers for it on the day of the simulation. ``needed`` is about how many examples
    would pass a candidate of no difference in four of five worlds, where there are too few.
    """

    index: int
    rule: str
    severity: Severity
    confidence: Number | None
    examples: int
    bound_at: Number | None
    waived: bool = False
    needed: int | None = None


class AssumedRule(Part):
    """A rule that was not simulated, and why. The verdicts take it as passed."""

    index: int
    rule: str
    severity: Severity
    reason: str


class Simulation(Part):
    """Everything a simulation says. ``worlds`` were finished of ``asked_for``; ``stopped`` says why not all.

    ``same`` is True for base against base, where there is one point, at 0. ``sentences`` say the table in words,
    ``assumptions`` what the worlds rest on, ``warnings`` what they leave out.
    """

    model: str
    gate_file: str
    source: str
    same: bool
    seed: int
    asked_for: int
    worlds: int
    stopped: Literal["deadline", "interrupted"] | None
    seconds: Number
    rules: tuple[SimulatedRule, ...]
    assumed: tuple[AssumedRule, ...]
    points: tuple[Point, ...]
    sentences: tuple[str, ...]
    assumptions: tuple[str, ...]
    warnings: tuple[str, ...]
