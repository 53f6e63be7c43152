"""Rules: one line of the gate file each. What a metric must show, against what, and how much it matters."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

Finite = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
Severity = Literal["block", "warn"]
Baseline = Literal["base", "champion"]
Bound = Literal["min", "max", "min_change", "max_change", "min_relative_change"]
BOUNDS: tuple[Bound, ...] = ("min", "max", "min_change", "max_change", "min_relative_change")
CHANGES = frozenset[Bound]({"min_change", "max_change", "min_relative_change"})
"""Those that bound the improvement over a baseline."""
_LATER = ("max_change", "min_relative_change", "slices", "min_n")
LEAST_IN_A_SLICE = 30
"""A value of the column of ``slices`` with fewer examples is not judged, unless ``min_n`` says otherwise."""


class Waiver(BaseModel):
    """Someone takes responsibility for a rule that does not pass, until a date. Shown wherever the rule is shown."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    owner: str = Field(min_length=1, description="who answers for it")
    reason: str = Field(min_length=1)
    expires: date = Field(strict=False, description="last day on which the waiver holds, YYYY-MM-DD")


class Rule(BaseModel):
    """``{metric: classification.accuracy, min_change: 0.0, margin: 0.02, against: base}``

    Exactly one of ``min``, ``max``, ``min_change``, ``max_change`` and ``min_relative_change``. ``min`` and ``max``
    bound the candidate's own value. ``min_change`` bounds the *improvement* over the baseline, in the metric's own
    direction, as MLflow's ``MetricThreshold`` does; with ``margin`` it becomes a non-inferiority test: worse by less
    than the margin passes. ``max_change`` is the most that it may be better: a larger leap says that something is
    wrong, such as a test set in the training data. ``min_relative_change`` bounds the improvement as a share of the
    baseline's value: 0.02 is 2 % better, -0.02 at most 2 % worse. Without ``against``, a change is compared with the
    base and, where there is one, the champion. So is a metric about pairs of models, such as a win rate, which ``min``
    and ``max`` bound in each pair.

    ``slices: language`` judges every value of that column that has at least ``min_n`` examples. The rule passes only
    where each of them does. It fails where one does so beyond what looking at many would find by chance.

    ``requires``: without these least values of other metrics the rule is unmeasured, whatever its own metric says. A
    judge's rule may require that the judge agrees with people, for example.

    ``confidence`` is one-sided: a rule passes where the interval's end towards the bound lies on the good side of it.
    ``none`` compares point estimates, and the report says so.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    metric: str = Field(min_length=1, description="evaluator.metric, such as classification.accuracy")
    min: Finite | None = Field(default=None, description="the candidate's value must be at least this")
    max: Finite | None = Field(default=None, description="the candidate's value must be at most this")
    min_change: Finite | None = Field(default=None, description="least improvement over the baseline")
    margin: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = Field(
        default=None, description="how much worse than min_change still passes (non-inferiority)"
    )
    max_change: Finite | None = Field(
        default=None, description="most improvement over the baseline: a larger leap says that something is wrong"
    )
    min_relative_change: Finite | None = Field(
        default=None, description="least improvement as a share of the baseline's value: 0.02 is 2 % better"
    )
    against: Baseline | None = Field(default=None, description="base or champion; both where not given")
    slice: dict[str, str] = Field(default_factory=dict, description="only examples with these column values")
    slices: Annotated[str, Field(min_length=1)] | None = Field(
        default=None, description="a column, each of whose values is judged by itself; not beside slice"
    )
    min_n: Annotated[int, Field(ge=2)] | None = Field(
        default=None, description="with slices: values of fewer examples are not judged; 30 where not given"
    )
    severity: Severity = Field(default="block", description="warn never changes the decision, and always shows")
    confidence: Annotated[float, Field(gt=0.5, lt=1)] | Literal["none"] = Field(
        default=0.95, description="one-sided confidence of the interval that decides"
    )
    min_coverage: Share | None = Field(
        default=None, description="least share of examples that must really be scored; 0.99, where a judge scores 0.95"
    )
    requires: dict[str, Finite] = Field(
        default_factory=dict,
        description="least values of other metrics, without which this rule is unmeasured, such as "
        "{ab_judge.alt_test_winning_rate: 0.5}",
    )
    waiver: Waiver | None = None

    @model_validator(mode="after")
    def _one_bound(self) -> Rule:
        given = [name for name in BOUNDS if getattr(self, name) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "no bound"
            raise ValueError(f"{found} given; expected exactly one of {', '.join(BOUNDS)}")
        if self.min_change is None and self.margin is not None:
            raise ValueError("margin goes with min_change")
        if self.slices is not None and self.slice:
            raise ValueError("slice and slices given; expected one value, or every value of one column")
        if self.slices is None and self.min_n is not None:
            raise ValueError("min_n goes with slices")
        return self

    @model_serializer(mode="wrap")
    def _as_before(self, written: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Settings that came later are left out where they are not given: records keep the digests that they had."""
        found: dict[str, object] = written(self)
        return {name: value for name, value in found.items() if value is not None or name not in _LATER}

    @property
    def kind(self) -> Bound:
        """Which of the bounds it gives."""
        return next(name for name in BOUNDS if getattr(self, name) is not None)

    @property
    def bound(self) -> float:
        """The number that decides, as an improvement where a change is bounded: the margin is taken off."""
        given: float = getattr(self, self.kind)
        return given - (self.margin or 0.0)

    @property
    def of_change(self) -> bool:
        return self.kind in CHANGES

    @property
    def least_n(self) -> int:
        return LEAST_IN_A_SLICE if self.min_n is None else self.min_n

    @property
    def columns(self) -> frozenset[str]:
        """The columns that it cuts the examples by."""
        return frozenset(self.slice if self.slices is None else (self.slices,))

    def on(self, value: str) -> Rule:
        """The same rule on one value of the column of ``slices``."""
        return self.model_copy(update={"slice": {self.slices: value}, "slices": None, "min_n": None})

    @property
    def text(self) -> str:
        """The rule in one line, as reports show it."""
        where = "".join(f" [{column}={value}]" for column, value in self.slice.items())
        if self.slices is not None:
            where = f" [each {self.slices}]"
        beside = f" against {self.against}" if self.against else ""
        if self.kind == "min":
            return f"{self.metric}{where} >= {self.bound:g}{beside}"
        if self.kind == "max":
            return f"{self.metric}{where} <= {self.bound:g}{beside}"
        return f"{self.metric}{where} {self.wanted} than {self.against or 'base and champion'}"

    @property
    def wanted(self) -> str:
        """``at most 0.02 worse``: the change that a rule on changes asks for."""
        relative = self.kind == "min_relative_change"
        size = f"{100 * abs(self.bound):g} %" if relative else f"{abs(self.bound):g}"
        if self.kind == "max_change":
            if self.bound == 0:
                return "not better"
            return f"at most {size} better" if self.bound > 0 else f"at least {size} worse"
        if self.bound == 0:
            return "not worse"
        return f"at least {size} better" if self.bound > 0 else f"at most {size} worse"
