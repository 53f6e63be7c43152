"""The smallest difference that a dataset can show, known before a model has answered.

    detectable_value(accuracy, Sample(320, 320), 0.75, "at least")   # Detectable(difference=0.060, ...)
    detectable_change(accuracy, Sample(320, 320), -0.02)             # Detectable(difference=0.062, needed=3092, ...)

A difference d is detectable where a true value that lies d on the good side of the bound is found to lie there, by the
one-sided interval at the rule's confidence, in four of five repeated datasets (power 80 %). Normal approximations, for
plans and never for decisions: (z_confidence + z_power) times a standard error, which is

- of a mean within bounds, at the bound b: sqrt((b - low)(high - b) / n), exact for shares and the most it can be for
  graded scores (Bhatia and Davis 2000, American Mathematical Monthly 107);
- of a paired change of such a mean: (high - low) sqrt(`ASSUMED_DISCORDANCE` / n), `statistics.planned_error`;
- of everything else, and of every change once a baseline's answers are known: the baseline's own standard error. Scores
  of two models with equal spread and correlation 0.5 differ with just that error: 2 s^2 (1 - 0.5) = s^2.

Dependent examples count as one each cluster in the first two, which is the worst they can be.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, sqrt
from typing import TYPE_CHECKING, Literal

from .absent import Unmeasured
from .estimators import Counted, Mean, Part

if TYPE_CHECKING:  # see metrics.py
    from .metrics import Metric
    from .statistics import Estimate

POWER = 0.8
ASSUMED_DISCORDANCE = 0.2
"""On how many examples two models of one family are taken to differ, where nothing is known of either."""


@dataclass(frozen=True, slots=True)
class Sample:
    """How many ``examples`` a rule looks at, in how many independent ``units``: examples, or clusters of them."""

    examples: int
    units: int

    @property
    def noun(self) -> str:
        return "examples" if self.units == self.examples else "clusters"


@dataclass(frozen=True, slots=True)
class Detectable:
    """``difference`` is in the unit of the metric, ``assumption`` a clause that says what it rests on.

    ``room`` is the largest difference there can be: what is left between the bound and the best possible value, or the
    margin that a rule leaves to a model that is no better. None where there is no such limit. Where ``difference`` is
    larger, ``needed`` is about how many ``noun`` would bring it down to ``room``.
    """

    difference: float
    assumption: str
    room: float | None = None
    needed: int | None = None
    noun: str = "examples"


def detectable_value(
    metric: Metric,
    sample: Sample,
    bound: float,
    side: Literal["at least", "at most"],
    confidence: float = 0.95,
    seen: Mapping[str, Estimate] | None = None,
) -> Detectable | Unmeasured:
    """For a bound on the candidate's own value. ``seen`` holds what baselines got, by role, where that is known."""
    from .statistics import smallest_detectable

    bounds = _bounds(metric)
    if (absent := _no_test(metric, sample)) is not None:
        return absent
    room = metric.high if side == "at least" else metric.low
    room = None if room is None else abs(room - bound)
    if room == 0:
        return Unmeasured("no sample shows that a value is the best possible: every interval ends before it")
    if bounds is None:
        return _from_seen(metric, sample, room, confidence, seen or {})
    error = sqrt((bound - bounds[0]) * (bounds[1] - bound) / sample.units)
    difference = smallest_detectable(error, confidence, POWER)
    assumption = "for a value, the spread of scores whose mean is the bound" + _as_units(sample)
    needed = _grown(sample.units, difference, room)
    return Detectable(difference, assumption, room, needed, sample.noun)


def detectable_change(
    metric: Metric, sample: Sample, least: float, confidence: float = 0.95, seen: Mapping[str, Estimate] | None = None
) -> Detectable | Unmeasured:
    """For a bound on candidate minus baseline, as an improvement: ``least`` -0.02 lets pass what is worse by less."""
    from .statistics import noninferiority_sample_size, planned_error, smallest_detectable

    if (absent := _no_test(metric, sample)) is not None:
        return absent
    room = -least if least < 0 else None
    bounds = _bounds(metric)
    if seen or bounds is None:
        return _from_seen(metric, sample, room, confidence, seen or {})
    width = bounds[1] - bounds[0]
    difference = smallest_detectable(width * planned_error(ASSUMED_DISCORDANCE, sample.units), confidence, POWER)
    needed = None
    if room is not None and difference > room:
        needed = noninferiority_sample_size(ASSUMED_DISCORDANCE, room / width, confidence, POWER)
    assumption = f"for a change, models that differ on {100 * ASSUMED_DISCORDANCE:g} % of the examples" + _as_units(
        sample
    )
    return Detectable(difference, assumption, room, needed, sample.noun)


def _from_seen(
    metric: Metric, sample: Sample, room: float | None, confidence: float, seen: Mapping[str, Estimate]
) -> Detectable | Unmeasured:
    from .statistics import smallest_detectable

    if not seen:
        return Unmeasured("known once the base has answered")
    errors = {role: estimate.standard_error for role, estimate in seen.items() if estimate.standard_error}
    if not errors:
        return Unmeasured(f"the {' and '.join(seen)} got the same score on all examples: no spread to plan with")
    role = max(errors, key=lambda role: errors[role])
    difference = smallest_detectable(errors[role], confidence, POWER)
    assumption = f"the spread of the {role}'s own scores, and that the candidate's correlate with them at 0.5"
    return Detectable(difference, assumption, room, _grown(sample.examples, difference, room))


def _bounds(metric: Metric) -> tuple[float, float] | None:
    estimator = metric.estimator
    if isinstance(estimator, Part):
        estimator = estimator.of
    if not isinstance(estimator, Mean) or estimator.low is None or estimator.high is None:
        return None
    return estimator.low, estimator.high


def _no_test(metric: Metric, sample: Sample) -> Unmeasured | None:
    counted = metric.estimator.of if isinstance(metric.estimator, Part) else metric.estimator
    if isinstance(counted, Counted):
        return Unmeasured("counted and not sampled: every difference shows")
    if sample.units >= 2:
        return None
    found = f"{sample.units} {sample.noun.removesuffix('s') if sample.units == 1 else sample.noun}"
    return Unmeasured(f"{found}: an interval needs at least 2")


def _as_units(sample: Sample) -> str:
    return "" if sample.units == sample.examples else ", each cluster counted as one example"


def _grown(units: int, difference: float, room: float | None) -> int | None:
    """How many units would make ``difference`` as small as ``room``, where it is not."""
    return ceil(units * (difference / room) ** 2) if room is not None and difference > room else None
