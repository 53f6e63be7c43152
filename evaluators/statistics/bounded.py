"""Ends for means of values that cannot leave a known range, where the t interval promises too much."""

from __future__ import annotations

import numpy as np

from .estimate import FloatArray, IntArray

Bounds = tuple[float, float]

_DRAWS = 10_000
_BLOCK = 1 << 21  # matrix entries held at once


def checked_bounds(bounds: Bounds, values: FloatArray) -> Bounds:
    """Raises ``ValueError`` unless low < high and all values lie between them."""
    low, high = float(bounds[0]), float(bounds[1])
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise ValueError(f"bounds: found {bounds!r}; expected finite (low, high), low < high")
    if values.size and (values.min() < low or values.max() > high):
        raise ValueError(f"bounds: found values from {values.min()} to {values.max()}; expected within {bounds!r}")
    return low, high


def unseen_share(units: int, confidence: float) -> float:
    """1 - (1 - c)^(1/units): the largest share of the population that ``units`` draws can all have missed.

    About 3/units at c = 0.95, the "rule of three"; Clopper and Pearson's bound at 0 successes.
    """
    return float(-np.expm1(np.log1p(-confidence) / units))


def constant_ends(value: float, units: int, bounds: Bounds, confidence: float) -> tuple[float, float]:
    """Ends for the mean of a bounded quantity after ``units`` independent draws all gave ``value``.

    low = value - (value - lo) p and high = value + (hi - value) p, p = `unseen_share`. Holds for every
    distribution on [lo, hi], and is exact for two-valued ones: where the true mean lies below low, Markov's
    inequality gives one draw of ``value`` or more a probability under (1 - c)^(1/units), and so all of them
    one under 1 - c. Hoeffding's bound ignores that nothing varied and is wider.
    """
    share = unseen_share(units, confidence)
    return value - (value - bounds[0]) * share, value + (bounds[1] - value) * share


def dirichlet_ends(
    totals: FloatArray, sizes: FloatArray, bounds: Bounds, confidence: float, seed: int
) -> tuple[float, float]:
    """Ends for the mean of bounded values from units with ``totals`` and ``sizes``, both shape (units,).

    The (1 - c) quantile of the mean under Dirichlet(1, ..., 1) weights on the units and one more at the
    lower bound, and its mirror image: what has not been seen is taken to be as bad as it can be. For 0/1
    values it is Clopper and Pearson's interval, for constant ones `constant_ends`, so that it joins both
    smoothly; no assumption of normality at any n. By simulation with 10,000 seeded draws. For clusters
    of unequal size the added unit has their mean size, an extension of our own.
    Source: Gaffke 2005 (Mathematical Methods of Statistics 14); Learned-Miller and Thomas, arXiv 1905.06208,
    who find its level kept in every case tried and conjecture that it always is.
    """
    kinds, counts = np.unique(np.stack([totals, sizes]), axis=1, return_counts=True)
    typical = float(sizes.mean())
    if kinds.shape[1] == 1:
        return constant_ends(float(kinds[0, 0]) / typical, sizes.size, bounds, confidence)
    rng = np.random.Generator(np.random.PCG64(seed))
    drawn_totals, drawn_sizes = _weighted(rng, kinds, counts)
    added = rng.standard_exponential(_DRAWS) * typical
    rank = int((_DRAWS + 1) * (1 - confidence))
    low = np.sort((drawn_totals + added * bounds[0]) / (drawn_sizes + added))[max(rank, 1) - 1]
    high = np.sort((drawn_totals + added * bounds[1]) / (drawn_sizes + added))[_DRAWS - max(rank, 1)]
    return float(low), float(high)


def _weighted(rng: np.random.Generator, kinds: FloatArray, counts: IntArray) -> tuple[FloatArray, FloatArray]:
    """Randomly weighted totals and sizes, each shape (draws,); equal units are drawn as one."""
    totals, sizes = np.empty(_DRAWS), np.empty(_DRAWS)
    rows = max(1, _BLOCK // counts.size)
    for start in range(0, _DRAWS, rows):
        stop = min(start + rows, _DRAWS)
        weights = rng.standard_gamma(counts.astype(np.float64), size=(stop - start, counts.size))
        totals[start:stop] = weights @ kinds[0]
        sizes[start:stop] = weights @ kinds[1]
    return totals, sizes
