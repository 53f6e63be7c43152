"""May a judge stand in for a person? Estimators on the alternative annotator test (`alt_test`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..absent import Unmeasured
from .ratings import BesideRaters, bootstrapped, kept_rows, ratings_of

if TYPE_CHECKING:  # see metrics.py: numpy and the statistics are imported where they are used
    from ..metrics import Columns, FloatArray, IntArray
    from ..statistics import Duels, Estimate, Nearness, Statistic


@dataclass(frozen=True, slots=True)
class AltTestWinningRate(BesideRaters):
    """Share of raters whom the judge beats, tests and all: 0.5 or more says that it may stand in for one of them.

    ``categories``, for the exact score: verdicts between two of them count as the nearer one, where otherwise they
    would match nobody.

    The value is its own interval. The rate counts how many of a few tests on the one sample came out for the judge, and
    the tests have taken its sampling error into account already: at a bound of 0.5 a rule is the authors' own
    criterion. There is no population value for an interval to hold, since the rate to be expected grows with the
    number of examples; a bootstrap would tell how surely the tests would come out again, and ask for significance
    twice.
    """

    epsilon: float = 0.2
    score: Nearness = "exact"
    categories: tuple[float, ...] = ()
    alpha: float = 0.05
    least_items: int = 30

    def estimate(
        self, columns: Columns, groups: IntArray | None, confidence: float, seed: int
    ) -> Estimate | Unmeasured:
        from ..statistics import COUNTED, Estimate, Interval, alt_test

        found = alt_test(
            _verdicts(columns[self.judge], self.categories),
            ratings_of(columns, self.values, self.rated),
            self.epsilon,
            self.alpha,
            score=self.score,
            groups=groups,
            least_items=self.least_items,
        )
        if isinstance(found, Unmeasured):
            return found
        rate = found.winning_rate
        certain = Interval(rate, rate)
        return Estimate(rate, certain, found.items, found.clusters, COUNTED, 0.0, _left_out(found.untested))


@dataclass(frozen=True, slots=True)
class AdvantageProbability(BesideRaters):
    """The chance that the judge is as near to the other raters as one drawn from among them, or nearer: what tells
    judges apart, where the winning rate passes or fails them. Same raters as in `AltTestWinningRate`; a rater agreeing
    with the others as well as the judge does leaves it well above 0.5, since ties count for the judge."""

    score: Nearness = "exact"
    categories: tuple[float, ...] = ()
    least_items: int = 30

    def estimate(
        self, columns: Columns, groups: IntArray | None, confidence: float, seed: int
    ) -> Estimate | Unmeasured:
        import numpy as np

        from ..statistics import duels, tested_slots

        judge = _verdicts(columns[self.judge], self.categories)
        fought: Duels = duels(judge, ratings_of(columns, self.values, self.rated), self.score)
        slots = tested_slots(fought, groups, self.least_items)
        if isinstance(slots, Unmeasured):
            return slots
        tested, count = list(slots), len(slots)

        def statistic_of(rows: FloatArray) -> Statistic:
            def worlds(weights: IntArray) -> FloatArray:
                sums = weights.astype(np.float64) @ rows
                with np.errstate(invalid="ignore"):  # a rater without any drawn example: undefined, and said to be
                    return (sums[:, :count] / sums[:, count:]).mean(axis=1)

            return worlds

        features = np.concatenate([fought.judge[tested], fought.compared[tested]]).T
        rows, groups = kept_rows(features, groups, np.flatnonzero(fought.compared[tested].any(axis=0)))
        return bootstrapped(statistic_of, rows, groups, confidence, seed, (0.0, 1.0))


def _verdicts(judge: FloatArray, categories: tuple[float, ...]) -> FloatArray:
    """The verdicts at their nearest category, NaN where there is none."""
    import numpy as np

    from ..statistics import nearest_category

    if not categories:
        return judge
    given = ~np.isnan(judge)
    rounded = np.full_like(judge, np.nan)
    rounded[given] = np.asarray(categories)[nearest_category(judge[given], categories)]
    return rounded


def _left_out(slots: tuple[int, ...]) -> tuple[str, ...]:
    if not slots:
        return ()
    named = ", ".join(str(slot) for slot in slots)
    return (f"too few examples to test rater{'' if len(slots) == 1 else 's'} {named}; their ratings count for others",)
