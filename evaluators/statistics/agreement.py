"""How far raters agree, beyond chance: Krippendorff's alpha, quadratic kappa, rank correlation.

Each measure is also a `Statistic` of item weights, so that a bootstrap of whole items costs a few matrix products:
``paired_bootstrap(alpha_worlds(ratings, "ordinal"), items)``. NaN in ``ratings`` is a rating not given; NaN in what a
statistic gives back is a world in which the measure is undefined, see `chance_where_undefined`.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from ..absent import Unmeasured
from .estimate import FloatArray, IntArray
from .resampling import Statistic

MeasurementLevel = Literal["nominal", "ordinal", "interval"]
"""What differences between two ratings count: any alike, by the ratings that lie between, by the squared distance."""

_SAME_DISTANCE = 12  # decimals: 0.3 - 0.2 and 0.2 - 0.1 are one distance
_ROUNDING = 1e-12


def krippendorff_alpha(ratings: npt.ArrayLike, level: MeasurementLevel) -> float | Unmeasured:
    """``krippendorff_alpha([[1, 2, nan], [1, 3, 2]], "ordinal")``: 1 for full agreement, 0 for chance, below it worse.

    ``ratings``: shape (raters, items), NaN where a rater gave none. alpha = 1 - observed / expected disagreement, where
    each item counts by its ratings, pairs of raters within an item alike, and chance is drawing from all pairable
    ratings without putting back. Which rater gave which rating does not matter.

    Unmeasured where no item has two ratings, and where all pairable ratings are equal: nobody could have disagreed, so
    nothing is known of agreement. Raises ``ValueError`` on infinities and other shapes.
    Source: Krippendorff 2011, Computing Krippendorff's Alpha-Reliability (University of Pennsylvania).
    """
    table = checked_ratings(ratings)
    pairable = table[:, (~np.isnan(table)).sum(axis=0) >= 2]
    if not pairable.size:
        return Unmeasured("no item has ratings of two raters: agreement needs pairs")
    if np.unique(pairable[~np.isnan(pairable)]).size < 2:
        return Unmeasured("all ratings are equal: without variation there is nothing to agree or disagree on")
    return float(alpha_worlds(table, level)(np.ones((1, table.shape[1]), dtype=np.int64))[0])


def alpha_worlds(ratings: npt.ArrayLike, level: MeasurementLevel) -> Statistic:
    """Alpha of items drawn with weights, int64 [B, items] to float64 [B]; NaN where no ratings differ.

    Within an item of m ratings the coincidences of all their pairs are weighed by 1 / (m - 1), as in
    `krippendorff_alpha`; here in the form of sums of squares of scores, which equals it: sum over pairs of (a - b)^2 is
    2 (m sum a^2 - (sum a)^2). Ordinal scores are midranks among the pairable ratings of that world, since the ordinal
    metric, the ratings from a to b less half of those equal to either, is the distance of their midranks. Memory is
    that of the weights, whatever the number of different ratings.
    """
    table = checked_ratings(ratings)
    values = np.unique(table[~np.isnan(table)])
    counts = (table[:, :, None] == values).sum(axis=0, dtype=np.float64)  # [items, values]
    sizes = counts.sum(axis=1)
    counts[sizes < 2] = 0.0
    differ = (counts > 0).sum(axis=1) > 1  # elsewhere nothing to observe, to the last bit
    share = np.divide(1.0, sizes - 1, out=np.zeros_like(sizes), where=differ)
    centred = values - values.mean() if values.size else values
    within_nominal = share * (sizes**2 - np.square(counts).sum(axis=1))

    def worlds(weights: IntArray) -> FloatArray:
        drawn = weights.astype(np.float64)
        margins = drawn @ counts  # how often each value occurs, [B, values]
        total = margins.sum(axis=1)
        if level == "nominal":
            observed = drawn @ within_nominal
            chance = total**2 - np.square(margins).sum(axis=1)
        else:
            scores = _midranks(margins) if level == "ordinal" else centred[None, :]
            within = sizes * (np.square(scores) @ counts.T) - np.square(scores @ counts.T)
            observed = np.maximum(2 * (drawn * (share * within)).sum(axis=1), 0.0)
            chance = 2 * (total * (margins * scores**2).sum(axis=1) - (margins * scores).sum(axis=1) ** 2)
        varied = (margins > 0).sum(axis=1) > 1
        expected = np.divide(chance, total - 1, out=np.full_like(total, np.nan), where=varied)
        return 1 - observed / expected

    return worlds


def quadratic_kappa(confusion: npt.ArrayLike) -> FloatArray:
    """``quadratic_kappa(counts)``: Cohen's kappa, disagreements weighed by the squared distance of their categories.

    ``confusion``: counts of (first rater's category, second's), categories in order and taken as equally far apart,
    shape (..., categories, categories), gives shape (...). 1 - sum w o / sum w e with w = (i - j)^2 and e from both
    raters' margins: raters who use the scale differently lose, unlike in a correlation. From -1 to 1; NaN where both
    gave one and the same category throughout, or nothing.
    Sources: Cohen 1968 (Psychological Bulletin 70:213); Fleiss and Cohen 1973 (Educational and Psychological
    Measurement 33:613) for its being an intraclass correlation.
    """
    counts = np.asarray(confusion, dtype=np.float64)
    if counts.ndim < 2 or counts.shape[-1] != counts.shape[-2]:
        raise ValueError(f"confusion: found shape {counts.shape}; expected (..., categories, categories)")
    steps = np.arange(counts.shape[-1], dtype=np.float64)
    weights = np.square(steps[:, None] - steps[None, :])
    observed = (counts * weights).sum(axis=(-2, -1)) * counts.sum(axis=(-2, -1))
    expected = np.einsum("...i,ij,...j->...", counts.sum(axis=-1), weights, counts.sum(axis=-2))
    ratio = np.divide(observed, expected, out=np.full_like(expected, np.nan), where=expected > 0)
    return np.asarray(1 - ratio)


def nearest_category(values: npt.ArrayLike, categories: tuple[float, ...]) -> IntArray:
    """``nearest_category([0.25, 0.9], (0.0, 0.5, 1.0))`` is ``[1, 2]``: positions, shape as ``values``.

    Of two equally near, the one nearer to the middle of the scale: half a verdict is none, and swapping the sides of a
    comparison swaps the category. Raises ``ValueError`` unless categories increase and values are finite.
    """
    scale, given = np.asarray(categories, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if scale.size < 2 or not (np.diff(scale) > 0).all():
        raise ValueError(f"categories: found {categories!r}; expected two or more, in increasing order")
    if not np.isfinite(given).all():
        raise ValueError(f"values: {int((~np.isfinite(given)).sum())} are not finite; leave those without one out")
    from_middle = np.argsort(np.abs(scale - (scale[0] + scale[-1]) / 2), kind="stable")
    distances = np.abs(given[..., None] - scale[from_middle]).round(_SAME_DISTANCE)
    return from_middle[np.argmin(distances, axis=-1)].astype(np.int64, copy=False)


def spearman(first: npt.ArrayLike, second: npt.ArrayLike) -> float | Unmeasured:
    """``spearman(judge, people)``: Pearson's correlation of midranks, one pair per item, as scipy's spearmanr.

    Only order counts: a judge who gives everybody two points more agrees fully. Unmeasured where either is constant.
    Raises ``ValueError`` on unequal lengths. Source: Spearman 1904 (American Journal of Psychology 15:72).
    """
    worlds = spearman_worlds(first, second)
    value = float(worlds(np.ones((1, np.asarray(first).size), dtype=np.int64))[0])
    return value if np.isfinite(value) else Unmeasured("one side is constant: there is no order to agree on")


def spearman_worlds(first: npt.ArrayLike, second: npt.ArrayLike) -> Statistic:
    """Rank correlation of items drawn with weights, int64 [B, items] to float64 [B]; NaN where either is constant."""
    sides = [np.asarray(side, dtype=np.float64) for side in (first, second)]
    if sides[0].ndim != 1 or sides[0].shape != sides[1].shape or not np.isfinite(sides).all():
        shapes = " and ".join(str(side.shape) for side in sides)
        raise ValueError(f"spearman: found shapes {shapes}; expected one finite value per item in each")
    codes = [np.unique(side, return_inverse=True)[1] for side in sides]

    def ranks(drawn: FloatArray, code: npt.NDArray[np.intp]) -> FloatArray:
        one_hot = np.equal(code[:, None], np.arange(int(code.max(initial=-1)) + 1)).astype(np.float64)
        return _midranks(drawn @ one_hot)[:, code] - drawn.sum(axis=1, keepdims=True) / 2

    def worlds(weights: IntArray) -> FloatArray:
        drawn = weights.astype(np.float64)
        left, right = (ranks(drawn, code) for code in codes)  # their weighted means are 0
        spread = (drawn * left**2).sum(axis=1) * (drawn * right**2).sum(axis=1)
        product = (drawn * left * right).sum(axis=1)
        value = np.divide(product, np.sqrt(spread), out=np.full_like(spread, np.nan), where=spread > 0)
        return np.clip(value, -1.0, 1.0)

    return worlds


def chance_where_undefined(values: FloatArray, sample: npt.ArrayLike) -> FloatArray:
    """``chance_where_undefined(worlds(weights), worlds(ones))``: 0, agreement no better than chance, for NaN.

    A draw in which nobody's ratings vary says nothing of agreement. Where ratings rarely vary there are many such
    draws, and leaving them out would keep just those that flatter; at 0 they pull the lower end down, to 0 where one in
    twenty is like that. Where nobody disagreed in the ``sample`` no draw can show it, and 1 stands for them too: the
    interval is then that of a constant sample. ``sample`` has the shape of a world's values.
    """
    unanimous = np.asarray(sample, dtype=np.float64) > 1 - _ROUNDING
    return np.where(np.isnan(values), unanimous.astype(np.float64), values)


def checked_ratings(ratings: npt.ArrayLike) -> FloatArray:
    """Raises ``ValueError`` unless ``ratings`` has the shape (raters, items) and no infinities."""
    table = np.asarray(ratings, dtype=np.float64)
    if table.ndim != 2:
        raise ValueError(f"ratings: found shape {table.shape}; expected (raters, items)")
    if np.isinf(table).any():
        raise ValueError(f"ratings: {int(np.isinf(table).sum())} are infinite; expected numbers, NaN where not given")
    return table


def _midranks(margins: FloatArray) -> FloatArray:
    """Per world, for values in increasing order that occur ``margins`` times each: those below, and half of its own."""
    return np.cumsum(margins, axis=1) - margins / 2
