"""Agreement between people, and of a judge with people, beyond chance."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING

from ..absent import Unmeasured
from .ratings import (
    LEAST_VARYING,
    AmongRaters,
    BesideRaters,
    bootstrapped,
    codes_of,
    kept_rows,
    ratings_of,
    too_little_varies,
)

if TYPE_CHECKING:  # see metrics.py: numpy and the statistics are imported where they are used
    from ..metrics import Columns, FloatArray, IntArray
    from ..statistics import Estimate, MeasurementLevel, Statistic

_BOUNDS = (-1.0, 1.0)
_LEAST_SHARED = 10
_HIGH, _MANY = 0.75, 50
"""From this agreement on, where it rests on fewer examples on which ratings differ, lower ends erred in 3 to 15 %, not
5 %, in simulation (50 and 150 examples, three raters and a judge); those of agreement from 0.3 to 0.6 in 2 to 8 %."""


@dataclass(frozen=True, slots=True)
class KrippendorffAlpha(AmongRaters):
    """``KrippendorffAlpha(("choice_1", "choice_2"), ("choice_1_rated", "choice_2_rated"), "ordinal")``: how far people
    agree with one another, over examples that two or more of them rated (`krippendorff_alpha`).

    Where people rate several ``items`` of each example, such as both answers to one prompt, ``values`` and ``rated``
    name the columns of all raters for the first, then of all for the second. Examples are what is resampled.
    """

    level: MeasurementLevel = "ordinal"
    items: int = 1

    def estimate(
        self, columns: Columns, groups: IntArray | None, confidence: float, seed: int
    ) -> Estimate | Unmeasured:
        import numpy as np

        from ..statistics import alpha_worlds, chance_where_undefined, krippendorff_alpha

        ratings = ratings_of(columns, self.values, self.rated)
        alpha = krippendorff_alpha(self._by_item(ratings), self.level)
        if isinstance(alpha, Unmeasured):
            return alpha

        def statistic_of(rows: FloatArray) -> Statistic:
            worlds = alpha_worlds(self._by_item(rows.T), self.level)
            return lambda weights: chance_where_undefined(worlds(np.tile(weights, (1, self.items))), alpha)

        counts = (~np.isnan(ratings)).reshape(self.items, -1, ratings.shape[1]).sum(axis=1)
        pairable = np.flatnonzero((counts >= 2).any(axis=0))
        rows, groups = kept_rows(ratings.T, groups, pairable)
        if (absent := too_little_varies(rows, groups)) is not None:
            return absent
        return _warned(bootstrapped(statistic_of, rows, groups, confidence, seed, _BOUNDS), rows, self.items)

    def _by_item(self, ratings: FloatArray) -> FloatArray:
        """Shape (items * raters, examples) as (raters, items * examples)."""
        import numpy as np

        return np.hstack(np.split(ratings, self.items))


@dataclass(frozen=True, slots=True)
class RaterKappa(AmongRaters):
    """Mean over pairs of raters of their quadratic kappa on the examples that both rated: what a judge's kappa with
    people (`JudgeKappa`) is to be held against.

    Pairs who share fewer than ``least_shared`` examples, or who both gave one and the same rating on all but a few of
    them, are left out. Source of the mean: Light 1971 (Psychological Bulletin 76:365).
    """

    categories: tuple[float, ...]
    least_shared: int = _LEAST_SHARED

    def estimate(
        self, columns: Columns, groups: IntArray | None, confidence: float, seed: int
    ) -> Estimate | Unmeasured:
        import numpy as np

        from ..statistics import chance_where_undefined, quadratic_kappa

        codes = codes_of(ratings_of(columns, self.values, self.rated), self.categories)
        pairs = list(combinations(range(len(self.values)), 2))
        classes = len(self.categories)

        def cells_of(rows: FloatArray) -> FloatArray:
            """[rows, pairs * classes^2]"""
            return np.hstack([_cells(rows[:, one], rows[:, other, None], classes) for one, other in pairs])

        def kappas(sums: FloatArray) -> FloatArray:
            return quadratic_kappa(sums.reshape(-1, len(pairs), classes, classes))

        chosen = [at for at, pair in enumerate(pairs) if self._suffices(codes[list(pair)], groups)]
        needed = f"{self.least_shared} shared examples, and ratings that vary on {LEAST_VARYING}"
        if not chosen:
            return Unmeasured(f"none of {len(pairs)} pairs of raters has {needed}")
        own = kappas(cells_of(codes.T).sum(axis=0))[0]

        def statistic_of(rows: FloatArray) -> Statistic:
            cells = cells_of(rows)

            def worlds(weights: IntArray) -> FloatArray:
                pairwise = chance_where_undefined(kappas(weights.astype(np.float64) @ cells), own)
                return pairwise[:, chosen].mean(axis=1)

            return worlds

        rows, groups = kept_rows(codes.T, groups, np.flatnonzero((~np.isnan(codes)).sum(axis=0) >= 2))
        found = _warned(bootstrapped(statistic_of, rows, groups, confidence, seed, _BOUNDS), rows)
        if isinstance(found, Unmeasured) or len(chosen) == len(pairs):
            return found
        left = f"{len(pairs) - len(chosen)} of {len(pairs)} pairs of raters are left out: they lack {needed}"
        return replace(found, warnings=(*found.warnings, left))

    def _suffices(self, pair: FloatArray, groups: IntArray | None) -> bool:
        import numpy as np

        both = np.flatnonzero((~np.isnan(pair)).all(axis=0))
        return both.size >= self.least_shared and too_little_varies(*kept_rows(pair.T, groups, both)) is None


@dataclass(frozen=True, slots=True)
class JudgeKappa(BesideRaters):
    """Quadratic kappa of a judge with people: every rating by a person is one observation beside the verdict on that
    example, and examples are what is resampled. A verdict between two categories counts as the nearer one
    (`nearest_category`). Examples without a verdict, or rated by nobody, do not count."""

    categories: tuple[float, ...]

    def estimate(
        self, columns: Columns, groups: IntArray | None, confidence: float, seed: int
    ) -> Estimate | Unmeasured:
        import numpy as np

        from ..statistics import chance_where_undefined, nearest_category, quadratic_kappa

        codes = codes_of(ratings_of(columns, self.values, self.rated), self.categories)
        judged = _judged(columns[self.judge], codes)
        if isinstance(judged, Unmeasured):
            return judged
        verdicts = nearest_category(columns[self.judge][judged], self.categories).astype(np.float64)
        people, groups = kept_rows(codes.T, groups, judged)
        classes = len(self.categories)
        rows = np.column_stack([verdicts, people])

        def kappas(sums: FloatArray) -> FloatArray:
            return quadratic_kappa(sums.reshape(-1, classes, classes))

        if (absent := too_little_varies(rows, groups)) is not None:
            return absent
        own = kappas(_cells(rows[:, 0], rows[:, 1:], classes).sum(axis=0))[0]

        def statistic_of(rows: FloatArray) -> Statistic:
            cells = _cells(rows[:, 0], rows[:, 1:], classes)
            return lambda weights: chance_where_undefined(kappas(weights.astype(np.float64) @ cells), own)

        return _warned(bootstrapped(statistic_of, rows, groups, confidence, seed, _BOUNDS), rows)


@dataclass(frozen=True, slots=True)
class JudgeSpearman(BesideRaters):
    """Rank correlation of a judge's verdicts with the mean of people's ratings of the same example. Only order counts,
    so that a judge who is stricter than people by a constant loses nothing. Examples without a verdict, or rated by
    nobody, do not count."""

    def estimate(
        self, columns: Columns, groups: IntArray | None, confidence: float, seed: int
    ) -> Estimate | Unmeasured:
        import numpy as np

        from ..statistics import chance_where_undefined, spearman, spearman_worlds

        ratings = ratings_of(columns, self.values, self.rated)
        judged = _judged(columns[self.judge], ratings)
        if isinstance(judged, Unmeasured):
            return judged
        people, groups = kept_rows(ratings.T, groups, judged)
        rows = np.column_stack([columns[self.judge][judged], np.nanmean(people, axis=1)])
        for side in (rows[:, :1], rows[:, 1:]):
            if (absent := too_little_varies(side, groups)) is not None:
                return absent
        own = spearman(rows[:, 0], rows[:, 1])
        if isinstance(own, Unmeasured):
            return own

        def statistic_of(rows: FloatArray) -> Statistic:
            worlds = spearman_worlds(rows[:, 0], rows[:, 1])
            return lambda weights: chance_where_undefined(worlds(weights), own)

        return _warned(bootstrapped(statistic_of, rows, groups, confidence, seed, _BOUNDS), rows)


def _judged(verdicts: FloatArray, ratings: FloatArray) -> IntArray | Unmeasured:
    """Positions of the examples with a verdict and any rating."""
    import numpy as np

    found = np.flatnonzero(~np.isnan(verdicts) & (~np.isnan(ratings)).any(axis=0))
    return found if found.size else Unmeasured("no example has both a verdict and a rating by a person")


def _warned(found: Estimate | Unmeasured, rows: FloatArray, items: int = 1) -> Estimate | Unmeasured:
    """``rows``: the ratings of each example, of one item after another, NaN where none was given."""
    import numpy as np

    if isinstance(found, Unmeasured) or found.value < _HIGH:
        return found
    of_items = rows.reshape(rows.shape[0], items, -1)
    differing = int((np.fmax.reduce(of_items, axis=2) > np.fmin.reduce(of_items, axis=2)).any(axis=1).sum())
    if not differing or differing >= _MANY:
        return found
    rests = f"agreement is high, and rests on {differing} examples on which ratings differ"
    return replace(found, warnings=(*found.warnings, f"{rests}: the lower end may err more"))


def _cells(first: FloatArray, others: FloatArray, classes: int) -> FloatArray:
    """Per row, how often ``first`` [rows] meets each of ``others`` [rows, raters] in each cell of a confusion matrix,
    [rows, classes^2]; codes, NaN where there is none."""
    import numpy as np

    cells = np.zeros((first.size, classes * classes))
    both = ~np.isnan(first)[:, None] & ~np.isnan(others)
    row, rater = np.nonzero(both)
    np.add.at(cells, (row, (first[row] * classes + others[row, rater]).astype(np.int64)), 1.0)
    return cells
