"""Rules on changes, with a margin that this many examples can show and a comment that says what they cannot."""

from __future__ import annotations

from math import ceil

from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.detectable import (
    ASSUMED_DISCORDANCE,
    POWER,
    Detectable,
    Sample,
    detectable_change,
    detectable_value,
)
from finetune_gate.evaluators.metrics import Metric

from .found import RuleLine

SMALLEST_MARGIN, LARGEST_MARGIN = 0.02, 0.1
"""Of shares: two points where the data shows them, and never more than ten, which is no margin any more."""


def change_of_share(name: str, metric: Metric, sample: Sample) -> RuleLine:
    """Not worse than base and champion, by more than the least margin that the sample can show. For means between 0 and
    1 whose spread is that of right and wrong."""
    found = detectable_change(metric, sample, -SMALLEST_MARGIN)
    margin = SMALLEST_MARGIN
    why = ["not worse than base, or champion, by more than the margin"]
    if isinstance(found, Unmeasured):
        why.append(f"what can be told here: {found.reason}")
    else:
        margin = min(max(SMALLEST_MARGIN, ceil(100 * found.difference) / 100), LARGEST_MARGIN)
        why += _power(sample, found, margin)
    return RuleLine({"metric": name, "min_change": 0.0, "margin": margin}, tuple(why))


def change_of_other(name: str, metric: Metric, sample: Sample, margin: float, **more: object) -> RuleLine:
    """Of graded scores and of what has no bounds: how much they spread is not known before a model has answered."""
    found = detectable_change(metric, sample, -margin)
    reason = found.reason if isinstance(found, Unmeasured) and sample.units < 2 else ""
    unit = f" {metric.unit}" if metric.unit else ""
    told = f"no worse by more than {margin:g}{unit}; " + (
        reason or f"what {_counted(sample)} can tell is known once the base has answered: `finetune-gate plan`"
    )
    return RuleLine({"metric": name, "min_change": 0.0, "margin": margin, **more}, (told,))


def floor(name: str, metric: Metric, sample: Sample, least: float, why: str) -> RuleLine:
    """At least ``least`` by itself; a comment only, where so few examples could hardly show it of the best model."""
    bound = ceil(100 * least) / 100
    if bound >= 1:
        return RuleLine({"metric": name, "min": 0.99}, (f"{why}: no sample can show more",), offered=True)
    found = detectable_value(metric, sample, bound, "at least")
    lines = [why]
    offered = isinstance(found, Unmeasured) or found.needed is not None
    if isinstance(found, Unmeasured):
        lines.append(f"not asked for: {found.reason}")
    elif found.needed is not None:
        lines.append(f"not asked for: to show it of a perfect model takes about {found.needed:,} {found.noun}")
    else:
        lines.append(f"{_counted(sample)} show it of a model that is {_points(found.difference)} better than that")
    return RuleLine({"metric": name, "min": bound}, tuple(lines), offered)


def _power(sample: Sample, found: Detectable, margin: float) -> list[str]:
    lines = [
        f"with {_counted(sample)} a change under {_points(found.difference)} cannot be told from none (95 % confidence,"
        f" {100 * POWER:g} % power, if two models differ on {100 * ASSUMED_DISCORDANCE:g} % of the examples)"
    ]
    if found.needed is not None:
        least = f"a margin of {SMALLEST_MARGIN:g} takes about {found.needed:,} {found.noun}"
        short = f"even {margin:g} is too small for so few: expect to be held; " if found.difference > margin else ""
        lines.append(short + least)
    return lines


def _counted(sample: Sample) -> str:
    plural = f"{sample.examples:,} example{'' if sample.examples == 1 else 's'}"
    return plural if sample.units == sample.examples else f"{plural} in {sample.units:,} groups"


def _points(share: float) -> str:
    return f"{100 * share:.1f} points"
