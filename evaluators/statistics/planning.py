"""How many examples would settle it. Normal approximations for plans and advice, never for decisions."""

from __future__ import annotations

from math import ceil, sqrt

from .estimate import Estimate, checked_confidence
from .quantiles import normal_quantile

MOST_EXAMPLES = 1_000_000
"""Where `required_n` stops counting: "at least this many"."""


def required_n(estimate: Estimate, bound: float, *, power: float = 0.5, cap: int = MOST_EXAMPLES) -> int | None:
    """``required_n(change, -0.02)``: the n at which this interval would lie wholly on one side of the
    bound.

    Reads: if effect and spread stay what they are here. The end that faces the bound is drawn in with
    1/sqrt(n), or with 1/n where the sample was constant (``standard_error`` None). At the n given, about
    half of repeated datasets would settle it; ``power=0.8`` asks for four in five. Clusters are taken to
    grow in proportion. Above the present n wherever the bound lies inside the interval.

    ``cap`` means "at least this many". None where the value sits on the bound: no n settles that.
    """
    _checked_power(power)
    distance = abs(estimate.value - bound)
    if distance == 0:
        return None
    low, high = estimate.interval.low, estimate.interval.high
    reach = estimate.value - low if bound < estimate.value else high - estimate.value
    if estimate.standard_error is None:
        factor = reach / distance
    else:
        factor = (reach + normal_quantile(power) * estimate.standard_error) / distance
        factor = factor**2 if factor < cap else float(cap)
    if factor * estimate.n >= cap:
        return cap
    least = estimate.n + 1 if bound in estimate.interval else 2
    return min(cap, max(least, ceil(factor * estimate.n)))


def smallest_detectable(standard_error: float, confidence: float = 0.95, power: float = 0.8) -> float:
    """(z_confidence + z_power) SE: the true difference that a one-sided test finds that often (``power``)."""
    _checked_power(power)
    if not standard_error >= 0:
        raise ValueError(f"standard_error: found {standard_error!r}; expected a number >= 0")
    return (normal_quantile(checked_confidence(confidence)) + normal_quantile(power)) * standard_error


def planned_error(discordance: float, n: int) -> float:
    """sqrt(discordance / n): the standard error of a paired difference of rates before anything is
    measured.

    ``discordance`` is the share of examples on which the two models are expected to differ in right and
    wrong.
    """
    _checked_discordance(discordance)
    if n < 2:
        raise ValueError(f"n: found {n}; expected at least 2 examples")
    return sqrt(discordance / n)


def paired_sample_size(discordance: float, difference: float, confidence: float = 0.95, power: float = 0.8) -> int:
    """Examples needed to show that two paired rates differ, where they do by ``difference``.

    (z_c sqrt(p) + z_power sqrt(p - d^2))^2 / d^2, p the discordance. ``confidence`` is one-sided: 0.975 for
    a two-sided test at 5 %. Source: Connor 1987, Biometrics 43:207-211 (after Miettinen 1968).
    """
    z, z_power = normal_quantile(checked_confidence(confidence)), normal_quantile(_checked_power(power))
    _checked_discordance(discordance)
    if not 0 < abs(difference) <= discordance:
        raise ValueError(f"difference: found {difference!r}; expected a size above 0, up to the discordance")
    return ceil((z * sqrt(discordance) + z_power * sqrt(discordance - difference**2)) ** 2 / difference**2)


def noninferiority_sample_size(discordance: float, margin: float, confidence: float = 0.95, power: float = 0.8) -> int:
    """Examples needed to show "not worse by more than ``margin``" where two paired rates are in truth
    equal.

    (z_c + z_power)^2 discordance / margin^2, one-sided.
    """
    z, z_power = normal_quantile(checked_confidence(confidence)), normal_quantile(_checked_power(power))
    _checked_discordance(discordance)
    if not margin > 0:
        raise ValueError(f"margin: found {margin!r}; expected a number above 0")
    return ceil((z + z_power) ** 2 * discordance / margin**2)


def _checked_power(power: float) -> float:
    if not 0.5 <= power < 1:
        raise ValueError(f"power: found {power!r}; expected a share such as 0.8, from 0.5 and below 1")
    return power


def _checked_discordance(discordance: float) -> float:
    if not 0 < discordance <= 1:
        raise ValueError(f"discordance: found {discordance!r}; expected a share above 0, up to 1")
    return discordance
