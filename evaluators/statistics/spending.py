"""Group-sequential tests: look at part of the examples, stop where the answer is clear, keep the promised alpha."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from math import e, inf, isfinite, log, sqrt
from typing import Literal

from ..absent import Unmeasured, Value
from .brownian import Walk, falling_root, log_ratio
from .quantiles import normal_cdf, normal_quantile

Spending = Literal["obrien_fleming", "pocock"]
"""How alpha is spent over the looks: ``obrien_fleming`` little at first and nearly all at the end, ``pocock`` about
evenly, which stops earlier and costs more power at the end."""

LEAST_SPENT = 1e-12
"""A look that would spend less takes no decision: no normal approximation is worth that much so far out. What it would
have spent goes to the next look."""

LEAST_GAP = 0.001
"""Looks are at least so far apart, as shares of the whole, the first one from 0."""

MOST_LOOKS = 50
"""More looks than this gain nothing and take long to compute."""


@dataclass(frozen=True, slots=True)
class Look:
    """One look at the examples so far.

    ``fraction``    share of all examples (of the information) that is there
    ``efficacy``    the effect is shown where z is above it; Unmeasured where this look is too early to show one
    ``level``       the nominal one-sided alpha, 1 - Phi(efficacy); 0.0 where there is no efficacy bound
    ``alpha_spent`` chance to have shown an effect by now, where there is none
    ``futility``    nothing is to be expected of the rest where z is below it; Unmeasured where it is too early to tell
    ``beta_spent``  chance to have been given up by now, where the true drift is that of the design

    The interval with ends at confidence 1 - ``level`` is one of a sequence that holds at all looks together with
    confidence 1 - alpha at each end: a repeated confidence interval. A rule may be decided by it at any look, for good
    and for bad. Source: Jennison & Turnbull 1989, JRSS B 51:305-361.
    """

    fraction: float
    efficacy: Value
    level: float
    alpha_spent: float
    futility: Value
    beta_spent: float


@dataclass(frozen=True, slots=True)
class Boundaries:
    """What `group_sequential` gives: its settings and its ``looks``, in order.

    ``drift`` is the expected z at the whole for which the design, with futility obeyed, has its ``power``. It is
    Unmeasured where no look is at the whole; there is no futility bound then.
    """

    alpha: float
    power: float
    spending: Spending
    looks: tuple[Look, ...]
    drift: Value


@dataclass(frozen=True, slots=True)
class Stopping:
    """What `stopping` gives: where a test ends if the true drift is ``drift``.

    ``efficacy`` and ``futility`` hold the chance to stop there, per look; ``undecided`` is the chance to come to the
    end without either. All of them sum to 1. ``expected_information`` is the expected share of the examples.
    """

    drift: float
    efficacy: tuple[float, ...]
    futility: tuple[float, ...]
    undecided: float
    expected_information: float

    @property
    def power(self) -> float:
        """The chance that the effect is shown at some look."""
        return sum(self.efficacy)


def alpha_spent(fraction: float, alpha: float = 0.05, spending: Spending = "obrien_fleming") -> float:
    """``alpha_spent(0.5, 0.05)``: how much of a *one-sided* alpha may be spent until this share of the examples.

    O'Brien-Fleming type: 2 - 2 Phi(z_(alpha/2) / sqrt(t)). Pocock type: alpha log(1 + (e - 1) t).

    Convention: alpha is that of the one side, and the function is applied to it as it is. Tables for a two-sided 5 %
    apply it to 0.025 at each side; ``alpha=0.025`` gives those.

    Raises ``ValueError`` unless 0 < fraction <= 1. Source: Lan & DeMets 1983, Biometrika 70:659-663.
    """
    _checked_alpha(alpha)
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction: found {fraction!r}; expected a share of the examples, above 0, up to 1")
    if _checked_spending(spending) == "obrien_fleming":
        return _obrien_fleming(fraction, alpha)
    return alpha * log(1 + (e - 1) * fraction) if fraction < 1 else alpha


def fixed_drift(alpha: float = 0.05, power: float = 0.8) -> float:
    """z_alpha + z_power: the least expected z that a test with one look at the whole shows that often (``power``)."""
    return normal_quantile(_checked_power(power)) - normal_quantile(_checked_alpha(alpha))


def group_sequential(
    fractions: Sequence[float] = (0.25, 0.5, 0.75, 1.0),
    alpha: float = 0.05,
    power: float = 0.8,
    spending: Spending = "obrien_fleming",
) -> Boundaries:
    """``group_sequential((0.5, 1.0)).looks[0].efficacy``: one-sided boundaries on the z scale, exact for normal data.

    Efficacy at a look depends on the looks up to it only, so later looks may be moved, added or left out, for reasons
    other than the results. Alpha sums to ``alpha`` at the whole; where the last look is before that, the rest of it is
    not spent.

    Futility is *non-binding*: efficacy is found as if there were no futility, so going on in spite of it never costs
    alpha. Its bounds spend 1 - ``power`` by the O'Brien-Fleming type function at the drift at which just this much is
    lost, the last bound being that of efficacy.

    A look too early for its share of alpha (`LEAST_SPENT`) takes no decision for efficacy: its bound is Unmeasured, its
    level 0.0. The same for futility and its share of beta.

    Raises ``ValueError`` unless the fractions grow, from above 0 up to 1, by `LEAST_GAP` at least, 1 to `MOST_LOOKS`
    of them; unless 1e-6 <= alpha < 0.5; unless 0.5 <= power < 1. Answers are kept: a second call costs nothing.

    Sources: Lan & DeMets 1983, Biometrika 70:659-663 (spending); Armitage, McPherson & Rowe 1969, JRSS A 132:235-244
    (boundaries); Pampallona, Tsiatis & Kim 2001, Drug Information Journal 35:1113-1121 (spending beta).
    """
    return _group_sequential(
        _checked_fractions(fractions), _checked_alpha(alpha), _checked_power(power), _checked_spending(spending)
    )


@lru_cache(maxsize=1024)
def stopping(boundaries: Boundaries, drift: float, *, obey_futility: bool = True) -> Stopping:
    """``stopping(group_sequential(), 2 * fixed_drift()).power``: what happens at each look under a true drift.

    ``drift`` is the expected z at the whole: 0 where there is no effect. Futility is obeyed, or ignored throughout.
    Raises ``ValueError`` unless the drift is finite.
    """
    if not isfinite(drift):
        raise ValueError(f"drift: found {drift!r}; expected a finite number, the expected z at the whole")
    looks = boundaries.looks
    highs = [_or(look.efficacy, inf) for look in looks]
    lows = [_or(look.futility, -inf) if obey_futility else -inf for look in looks]
    shown: list[float] = []
    given_up: list[float] = []
    walk = Walk.from_zero(drift)
    for index, look in enumerate(looks):
        if index:
            walk = walk.kept(lows[index - 1], highs[index - 1], looks[index - 1].fraction, look.fraction)
        shown.append(walk.above(highs[index], look.fraction))
        given_up.append(walk.below(lows[index], look.fraction))
    undecided = max(0.0, 1 - sum(shown) - sum(given_up))
    ends = (high + low for high, low in zip(shown, given_up, strict=True))
    expected = sum(end * look.fraction for end, look in zip(ends, looks, strict=True)) + undecided * looks[-1].fraction
    return Stopping(drift, tuple(shown), tuple(given_up), undecided, expected)


def expected_information(boundaries: Boundaries, drift: float, *, obey_futility: bool = True) -> float:
    """``expected_information(group_sequential(), 0.0)``: the share of the examples that is needed on average."""
    return stopping(boundaries, drift, obey_futility=obey_futility).expected_information


@lru_cache(maxsize=256)
def _group_sequential(fractions: tuple[float, ...], alpha: float, power: float, spending: Spending) -> Boundaries:
    highs, spent = _efficacy(fractions, alpha, spending)
    if fractions[-1] < 1:
        drift: Value = Unmeasured(f"the last look is at {fractions[-1]:g} of the examples: futility needs one at 1")
        lows, lost = [-inf] * len(fractions), [0.0] * len(fractions)
    else:
        drift, lows, lost = _futility(fractions, highs, alpha, power)
    looks = tuple(
        Look(
            fraction,
            high if high < inf else Unmeasured(_too_early(fraction, "alpha")),
            normal_cdf(-high),
            alpha_by_now,
            low if low > -inf else drift if isinstance(drift, Unmeasured) else Unmeasured(_too_early(fraction, "beta")),
            beta_by_now,
        )
        for fraction, high, alpha_by_now, low, beta_by_now in zip(fractions, highs, spent, lows, lost, strict=True)
    )
    return Boundaries(alpha, power, spending, looks, drift)


def _efficacy(fractions: tuple[float, ...], alpha: float, spending: Spending) -> tuple[list[float], list[float]]:
    """Upper bounds, inf where a look takes no decision, and the alpha spent by each look."""
    highs: list[float] = []
    spent: list[float] = []
    walk = Walk.from_zero()
    for index, fraction in enumerate(fractions):
        if index:
            walk = walk.kept(-inf, highs[-1], fractions[index - 1], fraction)
        before = spent[-1] if spent else 0.0
        due = alpha_spent(fraction, alpha, spending)
        decides = due - before >= LEAST_SPENT
        highs.append(walk.upper(due - before, fraction) if decides else inf)
        spent.append(due if decides else before)
    return highs, spent


def _futility(
    fractions: tuple[float, ...], highs: list[float], alpha: float, power: float
) -> tuple[float, list[float], list[float]]:
    """The drift of the design, lower bounds, -inf where a look takes no decision, and the beta spent by each look.

    More drift loses less, so the drift is where the loss comes down to 1 - power. It is never below that of the fixed
    design, which is the most powerful test.
    """

    def excess(drift: float) -> float:
        return log_ratio(_lower_bounds(fractions, highs, power, drift)[1][-1], 1 - power)

    least = most = fixed_drift(alpha, power)
    while excess(most) > 0:
        most += 0.25
    drift = falling_root(excess, least, most)
    return drift, *_lower_bounds(fractions, highs, power, drift)


def _lower_bounds(
    fractions: tuple[float, ...], highs: list[float], power: float, drift: float
) -> tuple[list[float], list[float]]:
    """Lower bounds and the beta spent by each look, under the drift. The last bound is the upper one."""
    lows: list[float] = []
    lost: list[float] = []
    walk = Walk.from_zero(drift)
    for index, (fraction, high) in enumerate(zip(fractions, highs, strict=True)):
        if index:
            walk = walk.kept(lows[-1], highs[index - 1], fractions[index - 1], fraction)
        before = lost[-1] if lost else 0.0
        due = _obrien_fleming(fraction, 1 - power) - before
        at_most = walk.below(high, fraction)
        if fraction == 1 or at_most <= due:  # beyond the upper bound there is nothing left to lose
            lows.append(high)
            lost.append(before + at_most)
        elif due < LEAST_SPENT:
            lows.append(-inf)
            lost.append(before)
        else:
            lows.append(walk.lower(due, fraction))
            lost.append(before + due)
    return lows, lost


def _obrien_fleming(fraction: float, total: float) -> float:
    return 2 * normal_cdf(normal_quantile(total / 2) / sqrt(fraction)) if fraction < 1 else total


def _or(value: Value, otherwise: float) -> float:
    return otherwise if isinstance(value, Unmeasured) else value


def _too_early(fraction: float, what: str) -> str:
    return f"at {fraction:g} of the examples hardly any {what} may be spent: no decision at this look"


def _checked_fractions(fractions: Sequence[float]) -> tuple[float, ...]:
    checked = tuple(float(fraction) for fraction in fractions)
    if not 1 <= len(checked) <= MOST_LOOKS:
        raise ValueError(f"fractions: found {len(checked)} looks; expected 1 to {MOST_LOOKS}")
    if not all(0 < fraction <= 1 for fraction in checked):
        raise ValueError(f"fractions: found {checked}; expected shares of the examples, above 0, up to 1")
    if not all(later - earlier > LEAST_GAP * 0.999 for earlier, later in pairwise((0.0, *checked))):
        raise ValueError(f"fractions: found {checked}; expected each at least {LEAST_GAP:g} above the one before it")
    return checked


def _checked_alpha(alpha: float) -> float:
    if not 1e-6 <= alpha < 0.5:
        raise ValueError(f"alpha: found {alpha!r}; expected a one-sided level such as 0.05, from 1e-6 and below 0.5")
    return float(alpha)


def _checked_power(power: float) -> float:
    if not 0.5 <= power < 1:
        raise ValueError(f"power: found {power!r}; expected a share such as 0.8, from 0.5 and below 1")
    return float(power)


def _checked_spending(spending: Spending) -> Spending:
    if spending not in ("obrien_fleming", "pocock"):
        raise ValueError(f"spending: found {spending!r}; expected 'obrien_fleming' or 'pocock'")
    return spending
