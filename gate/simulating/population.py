"""What worlds are made of: the states in which an example's scores may be, and how a candidate is made different.

A true ``difference`` d is an improvement, in each metric's own direction:

- of a component between bounds, d times its range: a share of the examples, drawn anew for every world, gets the best
  (d > 0) or worst (d < 0) value there is. With mean m and the bound b that is a share of |d| (high - low) / |b - m|, so
  that the true mean moves by just d times the range. For 0/1 scores this flips outcomes.
- of predictions, the same with right and wrong: a wrong one becomes right, a right one any other label.
- of a component without bounds, every value times (1 + d), or (1 - d) where lower is better.

What a metric made of these gains is another number, which `truth` knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.estimators import Confusion, Counted, Mean, Part, PartDifference, Ratio
from finetune_gate.evaluators.metrics import Estimator, Metric
from finetune_gate.evaluators.scores import ScoredExample

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Bounded:
    """A component between ``low`` and ``high``; ``rising``: higher is better."""

    low: float
    high: float
    rising: bool

    def end(self, difference: float) -> float:
        """The value that a candidate of this difference gets on some examples."""
        return self.high if (difference > 0) == self.rising else self.low


@dataclass(frozen=True, slots=True)
class Scaled:
    """A component without bounds."""

    rising: bool

    def factor(self, difference: float) -> float:
        return 1 + difference if self.rising else 1 - difference


@dataclass(frozen=True, slots=True)
class Predicted:
    """Predictions of one of ``classes`` labels, right where they equal the component ``label``."""

    classes: int


Moved = Bounded | Scaled | Predicted


@dataclass(frozen=True, slots=True)
class Permuted:
    """Worlds are clusters of examples drawn with replacement; in each, the scores of ``roles`` change places at random.
    Every role has a state of its own, in the order of the roles."""

    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Shared:
    """Worlds have the examples that there are. Models are in one state on a ``share`` of them, and in states of their
    own on the others; ``within`` is the correlation of two examples of one cluster."""

    share: float
    within: float


@dataclass(frozen=True, slots=True)
class Population:
    """One evaluator's scores.

    ``states[component]`` has shape [states, examples], NaN where there is no score; ``weights[role]``, [states], says
    how likely each state is. ``clusters`` are codes, None where there are none. ``draw`` names what is drawn together:
    evaluators of the same examples see the same ones of them.
    """

    title: str
    draw: str
    examples: tuple[ScoredExample, ...]
    clusters: IntArray | None
    states: Mapping[str, FloatArray]
    weights: Mapping[str, FloatArray]
    moved: Mapping[str, Moved]
    dependence: Permuted | Shared

    def share(self, component: str, difference: float) -> float:
        """On which share of a candidate's examples ``difference`` puts the component at its end; at most on all."""
        values = self.states[component]
        match self.moved[component]:
            case Bounded() as bounded:
                room, width = abs(bounded.end(difference) - self._mean(values)), bounded.high - bounded.low
            case Predicted():
                right = np.where(np.isnan(values), np.nan, values == self.states["label"])
                mean, width = self._mean(right), 1.0
                room = 1 - mean if difference > 0 else mean
            case Scaled():
                return 0.0
        return min(1.0, abs(difference) * width / room) if room > 0 else 0.0

    def _mean(self, values: FloatArray) -> float:
        weights = np.where(np.isnan(values), 0.0, self.weights["candidate"][:, None])
        total = weights.sum()
        return float((weights * np.nan_to_num(values)).sum() / total) if total else 0.0


@dataclass(slots=True)
class Components:
    """What the metrics of one evaluator read: components that a difference moves, and those that it leaves alone."""

    moved: dict[str, Moved]
    fixed: set[str]

    @staticmethod
    def none() -> Components:
        return Components({}, set())

    def with_metric(self, metric: Metric) -> Components | Unmeasured:
        """These and the metric's; Unmeasured where no true difference can be given to it."""
        found = _components(metric.estimator, metric.higher_is_better)
        if isinstance(found, Unmeasured):
            return found
        moved = {**self.moved, **found.moved}
        fixed = self.fixed | found.fixed
        torn = sorted(
            (moved.keys() & fixed)
            | {name for name, one in found.moved.items() if name in self.moved and self.moved[name] != one}
        )
        if torn:
            return Unmeasured(f"{torn[0]} would have to be better for one metric and worse for another")
        return Components(moved, fixed)


def _components(estimator: Estimator, rising: bool) -> Components | Unmeasured:
    match estimator:
        case Mean(component=component, low=low, high=high):
            if low is None or high is None:
                return Components({component: Scaled(rising)}, set())
            return Components({component: Bounded(low, high, rising)}, set())
        case Ratio(numerator=numerator, denominator=denominator):
            return Components({numerator: Scaled(rising)}, {denominator})
        case Confusion(classes=classes):
            return Components({"prediction": Predicted(classes)}, {"label"})
        case Part(of=of, column=column) | PartDifference(of=of, column=column):
            if isinstance(estimator, PartDifference) and isinstance(of, Mean):
                rising = of.higher_is_better  # a gap is better small, whichever way its scores are
            found = _components(of, rising)
            return found if isinstance(found, Unmeasured) else Components(found.moved, found.fixed | {column})
        case Counted():
            return Unmeasured("counted and not sampled: there is no chance in it")
        case _:
            return Unmeasured(f"no true difference can be given to what {type(estimator).__name__} computes")
