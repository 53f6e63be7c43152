"""May a judge stand in for a person? The alternative annotator test, and the advantage probability beside it."""

from __future__ import annotations

from dataclasses import dataclass
from math import fsum
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt

from ..absent import Unmeasured
from .agreement import checked_ratings
from .clusters import Partition, partition
from .estimate import Estimate, FloatArray
from .means import clustered_mean, mean_t

Nearness = Literal["exact", "rmse"]
"""How near an answer is to those of the other raters: the share that equals it, or minus the root mean square."""

LEAST_RATERS = 3
LEAST_ITEMS = 30


@dataclass(frozen=True, slots=True)
class Trial:
    """One rater against the judge, by the other raters' ratings. ``slot`` is the rater's row, from 1.

    ``judge`` and ``rater``: the shares of ``items`` on which each was as near to the others as its rival, or nearer;
    ties count for both. ``p``: of the hypothesis that the rater wins more often by epsilon or more. ``beaten``: it is
    rejected, all raters' tests taken together.
    """

    slot: int
    items: int
    judge: float
    rater: float
    p: float
    beaten: bool


@dataclass(frozen=True, slots=True)
class AltTest:
    """What `alt_test` found. ``untested``: slots of raters with too few items, who were others to the tested ones.
    ``items`` were compared for any tested rater, ``clusters`` are the independent units among them."""

    trials: tuple[Trial, ...]
    untested: tuple[int, ...]
    items: int
    clusters: int
    epsilon: float
    alpha: float

    @property
    def winning_rate(self) -> float:
        """Omega: the share of tested raters that the judge beats."""
        return sum(trial.beaten for trial in self.trials) / len(self.trials)

    @property
    def advantage(self) -> float:
        """Rho: the chance that the judge is as near to the others as a rater drawn at random, or nearer."""
        return fsum(trial.judge for trial in self.trials) / len(self.trials)

    @property
    def passed(self) -> bool:
        """The judge beats half of the raters or more."""
        return self.winning_rate >= 0.5


@dataclass(frozen=True, slots=True)
class Duels:
    """Judge against each rater on each item, by the ratings of the others; all shape (raters, items), of 0 and 1.

    ``compared``: the judge, this rater and another one rated the item; elsewhere ``judge`` and ``rater`` are 0.
    """

    compared: FloatArray
    judge: FloatArray
    rater: FloatArray


def alt_test(
    judge: npt.ArrayLike,
    raters: npt.ArrayLike,
    epsilon: float = 0.2,
    alpha: float = 0.05,
    *,
    score: Nearness = "exact",
    groups: npt.ArrayLike | None = None,
    least_items: int = LEAST_ITEMS,
) -> AltTest | Unmeasured:
    """``alt_test(verdicts, ratings).passed``: is the judge as good a rater as most of the people, less epsilon?

    ``judge``: shape (items,); ``raters``: shape (raters, items); NaN where a rating was not given. Each rater is left
    out in turn and set against the judge: on every item that both and at least one other rated, the one nearer to the
    others' ratings wins, or both where they are equally near. H0, "the rater wins more often than the judge by epsilon
    or more", is put to a one-sided paired t test, and the p-values of all raters to Benjamini and Yekutieli's procedure
    at false discovery rate ``alpha``. The winning rate is the share of raters for whom H0 falls; the judge passes from
    0.5.

    ``epsilon`` is what a judge's lower price may cost: the authors take 0.2 for experts, 0.15 for skilled raters, 0.1
    for crowd workers. They ask for three raters and 50 to 100 items. ``least_items``: a rater who shares fewer items
    (or clusters, where ``groups`` makes them) is not tested but still counts among the others.

    Two things differ from the authors' code. Below 30 items they advise Wilcoxon's signed-rank test; lowering
    ``least_items`` keeps the t test, for the differences are -1, 0 and 1, of which Wilcoxon's tests something other
    than the mean: on the border of H0 it rejected 13 to 69 % of samples of 10 to 25 items, the t test 4 to 9 %. And
    where all differences are equal, so that t is infinite and its p 0 whatever the number of items, p is the largest
    probability of such a sample under H0.

    Unmeasured with fewer than three tested raters. Raises ``ValueError`` on wrong shapes or an epsilon or alpha outside
    of 0 to 1. Sources: Calderon, Reichart and Dror, arXiv 2501.10970; github.com/nitaytech/AltTest; Benjamini and
    Yekutieli 2001 (Annals of Statistics 29:1165).
    """
    if not (0 <= epsilon < 1 and 0 < alpha < 1):
        raise ValueError(
            f"alt_test: found epsilon {epsilon!r}, alpha {alpha!r}; expected 0 <= epsilon < 1, 0 < alpha < 1"
        )
    fought = duels(judge, raters, score)
    units = partition(fought.compared.shape[1], groups)
    slots = tested_slots(fought, groups, least_items)
    if isinstance(slots, Unmeasured):
        return slots
    p_values = [_p_value(fought, slot, units, epsilon) for slot in slots]
    beaten = _rejected(p_values, alpha)
    trials: list[Trial] = []
    for slot, p, lost in zip(slots, p_values, beaten, strict=True):
        items = fought.compared[slot].sum()
        rates = float(fought.judge[slot].sum() / items), float(fought.rater[slot].sum() / items)
        trials.append(Trial(slot + 1, int(items), *rates, p, lost))
    untested = tuple(slot + 1 for slot in range(fought.compared.shape[0]) if slot not in slots)
    on = fought.compared[list(slots)].any(axis=0)
    clusters = int(np.unique(units.codes[on]).size)
    return AltTest(tuple(trials), untested, int(on.sum()), clusters, epsilon, alpha)


def duels(judge: npt.ArrayLike, raters: npt.ArrayLike, score: Nearness) -> Duels:
    """Who is nearer to the others, judge or rater? Raises ``ValueError`` unless there is one verdict per item."""
    table, verdicts = checked_ratings(raters), np.asarray(judge, dtype=np.float64)
    if verdicts.shape != (table.shape[1],):
        raise ValueError(f"judge: found shape {verdicts.shape}; expected one verdict per item, ({table.shape[1]},)")
    given = ~np.isnan(table)
    others = given[None, :, :] & ~np.eye(table.shape[0], dtype=bool)[:, :, None]  # [left out, other, item]
    compared = given & others.any(axis=1) & ~np.isnan(verdicts)

    def nearness(answers: FloatArray) -> FloatArray:
        """Of ``answers`` [left out or 1, items] to the others. Sums do for means: both rivals have the same others."""
        apart = table[None, :, :] - answers[:, None, :]
        near = (apart == 0).astype(np.float64) if score == "exact" else -np.square(apart)
        return np.where(others & np.isfinite(near), near, 0.0).sum(axis=1)

    of_judge, of_rater = nearness(verdicts[None, :]), nearness(table)
    return Duels(
        compared.astype(np.float64),
        (compared & (of_judge >= of_rater)).astype(np.float64),
        (compared & (of_rater >= of_judge)).astype(np.float64),
    )


def tested_slots(fought: Duels, groups: npt.ArrayLike | None, least_items: int) -> tuple[int, ...] | Unmeasured:
    """Rows of the raters with ``least_items`` compared items or more, in clusters where ``groups`` makes them.

    Unmeasured where they are fewer than three: with two there is no consensus that either could be near to.
    """
    raters, items = fought.compared.shape
    units = partition(items, groups)
    found = [int(np.unique(units.codes[row > 0]).size) for row in fought.compared]
    slots = tuple(slot for slot in range(raters) if found[slot] >= max(least_items, 2))
    if len(slots) >= LEAST_RATERS:
        return slots
    shared = ", ".join(str(count) for count in found) or "none"
    return Unmeasured(
        f"{len(slots)} of {raters} raters share {least_items} or more {units.noun} with the judge and another rater, "
        f"and {LEAST_RATERS} are needed; found by rater: {shared}"
    )


def _p_value(fought: Duels, slot: int, units: Partition, epsilon: float) -> float:
    """Of H0: rater minus judge is epsilon or more, on average."""
    on = fought.compared[slot] > 0
    differences = (fought.rater[slot] - fought.judge[slot])[on]
    found = clustered_mean(differences, units.codes[on]) if units.grouped else mean_t(differences)
    measured = cast(Estimate, found)  # a tested rater has two units or more
    if not measured.standard_error:
        share = (1 - epsilon) / (1 - measured.value) if measured.value < 1 else 1.0
        return min(1.0, share) ** measured.clusters
    return _t_cdf((measured.value - epsilon) / measured.standard_error, measured.clusters - 1)


def _rejected(p_values: list[float], alpha: float) -> list[bool]:
    """By Benjamini and Yekutieli, as raters are each other's measure and their tests depend: all p up to the largest
    that is at most its rank's share of alpha / (1 + 1/2 + ... + 1/m)."""
    count = len(p_values)
    level = alpha / fsum(1 / rank for rank in range(1, count + 1))
    passing = [p for rank, p in enumerate(sorted(p_values), start=1) if p <= rank / count * level]
    return [bool(passing) and p <= passing[-1] for p in p_values]


def _t_cdf(t: float, df: int) -> float:
    """P(T <= t), Student's t with ``df`` degrees of freedom."""
    from scipy import special  # pyright: ignore[reportMissingTypeStubs]

    function: Any = special.stdtr  # compiled, without type information
    return float(cast(np.float64, function(df, t)))
