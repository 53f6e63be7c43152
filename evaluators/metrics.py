"""A metric: a named quantity with a direction, a range, and the estimator that computes it from scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from .absent import Unmeasured

if TYPE_CHECKING:  # numpy takes a quarter of the time in which `check` answers
    import numpy as np
    from numpy.typing import NDArray

    from .statistics import Estimate

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]
    Columns = Mapping[str, FloatArray]
    """Component name to one value per example; NaN marks a missing value here, and nowhere outside an estimator."""


class Estimator(Protocol):
    """Turns per-example components into a value with an interval, for one model or for the difference of two."""

    @property
    def components(self) -> tuple[str, ...]: ...

    def estimate(
        self, columns: Columns, groups: IntArray | None, confidence: float, seed: int
    ) -> Estimate | Unmeasured: ...

    def difference(
        self, candidate: Columns, baseline: Columns, groups: IntArray | None, confidence: float, seed: int
    ) -> Estimate | Unmeasured: ...

    def impute(self, columns: Columns, best: bool) -> Columns | Unmeasured:
        """Replace missing values by the best (or worst) possible ones; Unmeasured where no such value exists."""
        ...


Subject = Literal["model", "pair", "run"]
"""What a metric is about.

model   one model: every role has a value, and differences are taken
pair    the candidate beside one baseline, such as a win rate: the baseline's column holds the scores of that pair, the
        candidate's holds none, and rules bound the value against each baseline
run     the run as a whole, such as how a judge did on its controls: the candidate's column holds it
"""


@dataclass(frozen=True, slots=True)
class Requirement:
    """Another metric of the same evaluator, about the run, that must be ``least`` or more before a rule may rest on
    the one that requires it. Point values are compared. ``otherwise`` says in words what is wrong where it is not."""

    metric: str
    least: float
    otherwise: str


@dataclass(frozen=True, slots=True)
class Metric:
    """``Metric("accuracy", higher_is_better=True, estimator=Mean("correct", low=0, high=1), ...)``

    ``low`` and ``high`` bound the metric's value where it is bounded; ``unit`` is for people (``"nats/token"``).
    ``limit`` is a bound that blocks unless the gate file has a rule on this metric: the least that it may be, or the
    most where lower is better. For what makes every other number of a run meaningless, such as a leaked holdout.
    ``requires``: without these, rules on this metric are unmeasured, whatever its value. ``min_coverage`` is what rules
    ask for unless they say otherwise.
    """

    name: str
    higher_is_better: bool
    estimator: Estimator
    low: float | None = None
    high: float | None = None
    unit: str = ""
    description: str = ""
    limit: float | None = None
    subject: Subject = "model"
    requires: tuple[Requirement, ...] = ()
    min_coverage: float = 0.99
