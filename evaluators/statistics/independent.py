"""Differences between estimates from different examples."""

from __future__ import annotations

from math import sqrt

from .estimate import Estimate, Interval


def independent_difference(first: Estimate, second: Estimate) -> Estimate:
    """``independent_difference(gain_seen, gain_unseen)``: first minus second, from different examples.

    For differences in differences. Both estimates at the same confidence. The ends square and add the
    distances of the estimates' own ends (low = d - sqrt((v1 - low1)^2 + (high2 - v2)^2)), so that lopsided
    and constant samples keep their say; SE = sqrt(SE1^2 + SE2^2), None where either is. Never for paired
    data.
    Source: Zou and Donner 2008, Statistics in Medicine 27:1693-1702.
    """
    value = first.value - second.value
    low = value - sqrt((first.value - first.interval.low) ** 2 + (second.interval.high - second.value) ** 2)
    high = value + sqrt((first.interval.high - first.value) ** 2 + (second.value - second.interval.low) ** 2)
    errors = (first.standard_error, second.standard_error)
    spread = None if errors[0] is None or errors[1] is None else sqrt(errors[0] ** 2 + errors[1] ** 2)
    return Estimate(
        value,
        Interval(low, high),
        first.n + second.n,
        first.clusters + second.clusters,
        f"difference of {first.method} and {second.method}",
        spread,
        tuple(dict.fromkeys(first.warnings + second.warnings)),
    )
