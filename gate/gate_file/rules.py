"""Rules: one line of the gate file each. What a metric must show, against what, and how much it matters."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Finite = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
Severity = Literal["block", "warn"]
Baseline = Literal["base", "champion"]


class Waiver(BaseModel):
    """Someone takes responsibility for a rule that does not pass, until a date. Shown wherever the rule is shown."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    owner: str = Field(min_length=1, description="who answers for it")
    reason: str = Field(min_length=1)
    expires: date = Field(strict=False, description="last day on which the waiver holds, YYYY-MM-DD")


class Rule(BaseModel):
    """``{metric: classification.accuracy, min_change: 0.0, margin: 0.02, against: base}``

    Exactly one of ``min``, ``max`` and ``min_change``. ``min`` and ``max`` bound the candidate's own value.
    ``min_change`` bounds the *improvement* over the baseline, in the metric's own direction, as MLflow's
    ``MetricThreshold`` does; with ``margin`` it becomes a non-inferiority test: worse by less than the margin passes.
    Without ``against``, a change is compared with the base and, where there is one, the champion. So is a metric about
    pairs of models, such as a win rate, which ``min`` and ``max`` bound in each pair.

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
    against: Baseline | None = Field(default=None, description="base or champion; both where not given")
    slice: dict[str, str] = Field(default_factory=dict, description="only examples with these column values")
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
        given = [name for name in ("min", "max", "min_change") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"{' and '.join(given) or 'no bound'} given; expected exactly one of min, max, min_change")
        if self.min_change is None and self.margin is not None:
            raise ValueError("margin goes with min_change")
        return self

    @property
    def text(self) -> str:
        """The rule in one line, as reports show it."""
        where = "".join(f" [{column}={value}]" for column, value in self.slice.items())
        beside = f" against {self.against}" if self.against else ""
        if self.min is not None:
            return f"{self.metric}{where} >= {self.min:g}{beside}"
        if self.max is not None:
            return f"{self.metric}{where} <= {self.max:g}{beside}"
        least = (self.min_change or 0.0) - (self.margin or 0.0)
        versus = self.against or "base and champion"
        if least > 0:
            return f"{self.metric}{where} at least {least:g} better than {versus}"
        if least < 0:
            return f"{self.metric}{where} at most {-least:g} worse than {versus}"
        return f"{self.metric}{where} not worse than {versus}"
