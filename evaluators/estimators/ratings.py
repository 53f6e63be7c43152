"""People's ratings as components, and what the estimators over them share.

Raters have slots, 1 to K, each with two components: ``choice_1`` holds the rating, 0 where there is none, and
``choice_1_rated`` says which, 1 or 0. So no component is missing because somebody did not rate an example.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..absent import Unmeasured

if TYPE_CHECKING:  # see metrics.py: numpy and the statistics are imported where they are used
    from ..metrics import Columns, FloatArray, IntArray
    from ..statistics import Estimate, Statistic

LEAST_VARYING = 5
_NO_DIFFERENCE = Unmeasured("agreement is about the run: it has no difference between models")


class _OfTheRun:
    __slots__ = ()

    def difference(
        self, candidate: Columns, baseline: Columns, groups: IntArray | None, confidence: float, seed: int
    ) -> Unmeasured:
        return _NO_DIFFERENCE


@dataclass(frozen=True, slots=True)
class AmongRaters(_OfTheRun):
    """What estimators of how people agree with one another have in common: the components of their slots, in order."""

    values: tuple[str, ...]
    rated: tuple[str, ...]

    @property
    def components(self) -> tuple[str, ...]:
        return (*self.values, *self.rated)

    def impute(self, columns: Columns, best: bool) -> Columns | Unmeasured:
        return _ratings_there(columns, self.components)


@dataclass(frozen=True, slots=True)
class BesideRaters(_OfTheRun):
    """What estimators of how a judge agrees with people have in common: the component of its verdicts, and theirs."""

    judge: str
    values: tuple[str, ...]
    rated: tuple[str, ...]

    @property
    def components(self) -> tuple[str, ...]:
        return (self.judge, *self.values, *self.rated)

    def impute(self, columns: Columns, best: bool) -> Columns | Unmeasured:
        return _ratings_there(columns, (*self.values, *self.rated))


def _ratings_there(columns: Columns, people: tuple[str, ...]) -> Columns | Unmeasured:
    """Nothing stands in for a person's rating. A verdict may be missing: agreement is about those that were given, and
    the coverage floor bounds how many were not."""
    import numpy as np

    missing = np.any(np.stack([np.isnan(columns[name]) for name in people]), axis=0)
    if not missing.any():
        return columns
    return Unmeasured(f"{int(missing.sum())} of {missing.size} examples have no {people[0]}")


def ratings_of(columns: Columns, values: tuple[str, ...], rated: tuple[str, ...]) -> FloatArray:
    """Shape (raters, examples), NaN where a rater gave none."""
    import numpy as np

    return np.stack(
        [np.where(columns[flag] == 1.0, columns[name], np.nan) for name, flag in zip(values, rated, strict=True)]
    )


def codes_of(ratings: FloatArray, categories: tuple[float, ...]) -> FloatArray:
    """Positions in ``categories``, NaN kept. Raises ``ValueError`` where a rating is none of them."""
    import numpy as np

    given = ~np.isnan(ratings)
    strange = np.setdiff1d(ratings[given], categories)
    if strange.size:
        raise ValueError(f"ratings: found {strange.tolist()}; expected one of the categories {categories}")
    codes = np.full_like(ratings, np.nan)
    codes[given] = np.searchsorted(categories, ratings[given])
    return codes


def too_little_varies(rows: FloatArray, groups: IntArray | None) -> Unmeasured | None:
    """Why agreement beyond chance cannot be told, if so: ratings, float64 [examples, raters], NaN where none was given,
    that are one and the same on all but a few examples.

    A draw without those says nothing of agreement. With five, one in 150 draws is like that and can be taken as chance
    (`chance_where_undefined`); with one it would be every third, and the bootstrap's ends are of no use.
    """
    import numpy as np

    values, times = np.unique(rows[~np.isnan(rows)], return_counts=True)
    usual = values[np.argmax(times)] if values.size else 0.0
    on = (~np.isnan(rows) & (rows != usual)).any(axis=1)
    units = int(np.unique(np.flatnonzero(on) if groups is None else groups[on]).size)
    if units >= LEAST_VARYING:
        return None
    noun = "examples" if groups is None else "clusters"
    return Unmeasured(f"ratings vary on {units} {noun}: agreement beyond chance needs at least {LEAST_VARYING}")


def kept_rows(rows: FloatArray, groups: IntArray | None, kept: IntArray) -> tuple[FloatArray, IntArray | None]:
    """Rows that say something, at positions ``kept``; no groups where no two of them share one."""
    import numpy as np

    some = None if groups is None else groups[kept]
    return rows[kept], None if some is None or np.unique(some).size == some.size else some


def bootstrapped(
    statistic_of: Callable[[FloatArray], Statistic],
    rows: FloatArray,
    groups: IntArray | None,
    confidence: float,
    seed: int,
    bounds: tuple[float, float],
) -> Estimate | Unmeasured:
    """BCa interval of a statistic of rows, float64 [examples, anything], NaN allowed. Equal rows are drawn as one kind:
    a few raters and categories make few of them."""
    import numpy as np

    from ..statistics import paired_bootstrap

    size, counts = rows.shape[0], None
    if groups is None and size:
        kinds, found = np.unique(np.where(np.isnan(rows), np.inf, rows), axis=0, return_counts=True)
        rows, counts = np.where(np.isinf(kinds), np.nan, kinds), found.astype(np.int64)
    return paired_bootstrap(
        statistic_of(rows), size, groups=groups, multiplicity=counts, seed=seed, confidence=confidence, bounds=bounds
    )
