"""Intervals for shares of examples: one rate, and the difference of two paired rates."""

from __future__ import annotations

from math import sqrt

import numpy as np
import numpy.typing as npt

from ..absent import Unmeasured
from .estimate import Estimate, FloatArray, Interval, checked_array, checked_confidence, checked_lengths
from .quantiles import binomial_cdf, normal_quantile


def wilson(successes: int, n: int, confidence: float = 0.95) -> Estimate | Unmeasured:
    """``wilson(41, 50)``: a rate with Wilson's score interval.

    Never of width zero, also at 0 and n successes. ``standard_error`` is half the interval in units of z
    (the plain one is 0 at rates 0 and 1, and would promise certainty to whoever plans with it).
    Independent examples; for clustered ones use `clustered_mean` with ``bounds=(0, 1)``.

    Unmeasured for n < 2. Raises ``ValueError`` unless 0 <= successes <= n.
    Source: Wilson 1927, JASA 22:209-212.
    """
    z = normal_quantile(checked_confidence(confidence))
    if not 0 <= successes <= n:
        raise ValueError(f"wilson: found {successes} successes of {n}; expected 0 <= successes <= n")
    if n < 2:
        return Unmeasured(f"{n} example{'' if n == 1 else 's'}: an interval needs at least 2")
    rate = successes / n
    shrink = 1 + z * z / n
    centre = (rate + z * z / (2 * n)) / shrink
    half = z * sqrt(rate * (1 - rate) / n + z * z / (4 * n * n)) / shrink
    low = 0.0 if successes == 0 else min(max(centre - half, 0.0), rate)
    high = 1.0 if successes == n else max(min(centre + half, 1.0), rate)
    return Estimate(rate, Interval(low, high), n, n, "Wilson score", half / z)


def paired_proportions(
    candidate: npt.ArrayLike, baseline: npt.ArrayLike, confidence: float = 0.95
) -> Estimate | Unmeasured:
    """``paired_proportions(candidate_right, base_right)``: difference of two rates over the same examples.

    Both arrays hold 0/1 (or booleans), shape (n,), row i the same example. The value is candidate minus
    baseline, the interval Tango's score interval: it keeps its level at small n and few disagreements,
    where the Wald interval does not, and is never of width zero, also when no example tells the two apart.
    ``standard_error`` is half the interval in units of z. Independent examples; for clustered ones use
    `clustered_mean` of the differences with ``bounds=(-1, 1)``.

    Unmeasured for n < 2. Raises ``ValueError`` on other values than 0 and 1 or unequal lengths.
    Source: Tango 1998, Statistics in Medicine 17:891-908.
    """
    confidence = checked_confidence(confidence)
    cand, base = checked_array(candidate, "candidate"), checked_array(baseline, "baseline")
    n = checked_lengths(candidate=cand, baseline=base)
    for name, values in (("candidate", cand), ("baseline", base)):
        _only_binary(values, name)
    gained = int(np.count_nonzero(cand > base))
    lost = int(np.count_nonzero(cand < base))
    return paired_counts(gained, lost, n, confidence)


def paired_counts(gained: int, lost: int, n: int, confidence: float = 0.95) -> Estimate | Unmeasured:
    """`paired_proportions` from counts: ``gained`` only candidate right, ``lost`` only baseline right."""
    z = normal_quantile(checked_confidence(confidence))
    if gained < 0 or lost < 0 or gained + lost > n:
        raise ValueError(f"paired counts: found {gained} gained and {lost} lost of {n}; expected at most n in all")
    if n < 2:
        return Unmeasured(f"{n} paired example{'' if n == 1 else 's'}: an interval needs at least 2")
    value = (gained - lost) / n
    low, high = _tango_low(gained, lost, n, z), -_tango_low(lost, gained, n, z)
    return Estimate(value, Interval(low, high), n, n, "Tango score", (high - low) / (2 * z))


def mcnemar_exact(gained: int, lost: int) -> float:
    """Two-sided exact p-value that disagreements fall either way alike; 1.0 where there are none.

    For the reader's table; rules are decided by `paired_proportions`. Source: McNemar 1947, Psychometrika
    12:153-157, with the binomial distribution in place of chi-squared.
    """
    if gained < 0 or lost < 0:
        raise ValueError(f"mcnemar: found counts {gained} and {lost}; expected counts >= 0")
    if gained == lost:
        return 1.0
    return min(1.0, 2 * binomial_cdf(min(gained, lost), gained + lost, 0.5))


def _only_binary(values: FloatArray, name: str) -> None:
    bad = np.flatnonzero((values != 0) & (values != 1))
    if bad.size:
        raise ValueError(
            f"{name}: {bad.size} values are neither 0 nor 1, first {values[bad[0]]} at row {bad[0]}; "
            "for graded scores use mean_t of the differences"
        )


def _tango_variance(gained: int, lost: int, n: int, difference: float) -> float:
    """n^2 times the variance of the observed difference, were the true one ``difference`` (Tango 1998).

    The share of losses q is its maximum-likelihood value under that difference, the larger root of
    2n q^2 - (gained + lost - (2n - gained + lost) D) q - lost D (1 - D) = 0.
    """
    linear = -gained - lost + (2 * n - gained + lost) * difference
    constant = -lost * difference * (1 - difference)
    root = sqrt(max(linear * linear - 8 * n * constant, 0.0))
    # the second form of the same root, where the first would cancel
    share = (root - linear) / (4 * n) if linear <= 0 else -2 * constant / (linear + root)
    return n * (2 * share + difference * (1 - difference))


def _tango_low(gained: int, lost: int, n: int, z: float) -> float:
    """Where the score statistic reaches z, between -1 and the observed difference, by bisection.

    Squared, so that nothing is divided by a variance of 0. The outer end of the last bracket is returned. The
    upper end is this one of the swapped models, negated: so swapping negates to the last bit.
    """
    inside, outside = (gained - lost) / n, -1.0
    for _ in range(100):
        middle = (inside + outside) / 2
        if middle in (inside, outside):
            break
        distance = gained - lost - n * middle
        if distance * distance <= z * z * _tango_variance(gained, lost, n, middle):
            inside = middle
        else:
            outside = middle
    return outside
