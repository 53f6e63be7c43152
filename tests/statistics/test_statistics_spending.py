"""Group-sequential boundaries: against print, against the multivariate normal, against seeded Brownian paths."""

from __future__ import annotations

from math import inf, sqrt

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from finetune_gate.evaluators.absent import Unmeasured, Value
from finetune_gate.evaluators.statistics import (
    LEAST_SPENT,
    Boundaries,
    Spending,
    alpha_spent,
    expected_information,
    fixed_drift,
    group_sequential,
    smallest_detectable,
    stopping,
)

CHECKED = settings(max_examples=60, deadline=None, derandomize=True)

looked_at = st.lists(st.integers(1, 100), min_size=1, max_size=8, unique=True).map(
    lambda percents: tuple(percent / 100 for percent in sorted(percents))
)
to_the_end = looked_at.map(lambda fractions: fractions if fractions[-1] == 1 else (*fractions, 1.0))
alphas = st.sampled_from((0.001, 0.01, 0.025, 0.05, 0.1, 0.2))
powers = st.sampled_from((0.5, 0.8, 0.9, 0.95))
spendings = st.sampled_from(("obrien_fleming", "pocock"))


def evenly(looks: int) -> tuple[float, ...]:
    return tuple(look / looks for look in range(1, looks + 1))


def bound(value: Value, otherwise: float) -> float:
    return otherwise if isinstance(value, Unmeasured) else value


def efficacy(boundaries: Boundaries) -> list[float]:
    return [bound(look.efficacy, inf) for look in boundaries.looks]


def futility(boundaries: Boundaries) -> list[float]:
    return [bound(look.futility, -inf) for look in boundaries.looks]


TWO_SIDED_OBRIEN_FLEMING = {
    2: (2.963, 1.969),
    3: (3.710, 2.511, 1.993),
    4: (4.333, 2.963, 2.359, 2.014),
    5: (4.877, 3.357, 2.680, 2.290, 2.031),
}
TWO_SIDED_POCOCK = {
    2: (2.157, 2.201),
    3: (2.279, 2.295, 2.296),
    4: (2.368, 2.368, 2.358, 2.350),
    5: (2.438, 2.427, 2.410, 2.397, 2.386),
}


@pytest.mark.parametrize("looks", [2, 3, 4, 5])
@pytest.mark.parametrize(
    ("spending", "table"), [("obrien_fleming", TWO_SIDED_OBRIEN_FLEMING), ("pocock", TWO_SIDED_POCOCK)]
)
def test_evenly_spaced_looks_as_printed_for_a_two_sided_5_percent(
    looks: int, spending: Spending, table: dict[int, tuple[float, ...]]
) -> None:
    """Lan-DeMets tables, as from the programs of Reboussin et al. 2000, ldbounds and gsDesign: 0.025 at each side."""
    found = efficacy(group_sequential(evenly(looks), alpha=0.025, spending=spending))
    assert [round(z, 3) for z in found] == list(table[looks])


@pytest.mark.parametrize(
    ("fractions", "obrien_fleming", "pocock"),
    [
        ((0.3, 0.9, 1.0), (3.929, 2.094, 2.053), (2.312, 2.162, 2.342)),
        ((0.8, 0.9, 1.0), (2.250, 2.177, 2.072), (2.021, 2.271, 2.332)),
        ((0.2, 0.4, 0.9, 1.0), (4.877, 3.357, 2.097, 2.054), (2.438, 2.427, 2.224, 2.376)),
        ((0.3, 0.6, 0.9, 1.0), (3.929, 2.670, 2.121, 2.063), (2.312, 2.321, 2.318, 2.412)),
    ],
)
def test_uneven_looks_as_the_boundary_programs_give_them(
    fractions: tuple[float, ...], obrien_fleming: tuple[float, ...], pocock: tuple[float, ...]
) -> None:
    assert efficacy(group_sequential(fractions, 0.025)) == pytest.approx(obrien_fleming, abs=6e-4)
    assert efficacy(group_sequential(fractions, 0.025, spending="pocock")) == pytest.approx(pocock, abs=6e-4)


@pytest.mark.parametrize(
    ("looks", "spending", "table"),
    [
        (4, "obrien_fleming", (3.750, 2.540, 2.016, 1.720)),
        (5, "pocock", (2.176, 2.144, 2.113, 2.090, 2.071)),
    ],
)
def test_evenly_spaced_looks_as_printed_for_a_one_sided_5_percent(
    looks: int, spending: Spending, table: tuple[float, ...]
) -> None:
    assert [round(z, 3) for z in efficacy(group_sequential(evenly(looks), spending=spending))] == list(table)


@pytest.mark.parametrize(
    ("fractions", "alpha", "spending", "table"),
    [
        ((0.35, 0.7, 1.0), 0.13, "pocock", (1.5446617, 1.4828682, 1.4620058)),
        ((0.4, 0.7), 0.025, "pocock", (2.2238750, 2.3050796)),
        ((0.4, 0.75, 1.0), 0.13, "obrien_fleming", (2.1280732, 1.4368565, 1.2468994)),
        ((0.4, 0.75, 0.85, 1.0), 0.13, "obrien_fleming", (2.1280732, 1.4368565, 1.4228730, 1.2970881)),
    ],
)
def test_efficacy_is_that_of_rpact_to_six_decimals(
    fractions: tuple[float, ...], alpha: float, spending: Spending, table: tuple[float, ...]
) -> None:
    """One-sided, non-binding futility; the last look of the second design is before the end."""
    assert efficacy(group_sequential(fractions, alpha, spending=spending)) == pytest.approx(table, abs=5e-7)


def ends_here(boundaries: Boundaries, drift: float, look: int, side: int) -> float:
    """Chance to stop exactly at that look, from scipy's multivariate normal distribution."""
    fractions = np.array([each.fraction for each in boundaries.looks[: look + 1]])
    earlier, later = np.minimum.outer(fractions, fractions), np.maximum.outer(fractions, fractions)
    lows, highs = np.array(futility(boundaries))[: look + 1], np.array(efficacy(boundaries))[: look + 1]
    if side > 0:
        lows[-1], highs[-1] = highs[-1], inf
    else:
        lows[-1], highs[-1] = -inf, lows[-1]
    walk = stats.multivariate_normal(drift * np.sqrt(fractions), np.sqrt(earlier / later), abseps=1e-7, maxpts=200_000)
    return float(walk.cdf(highs, lower_limit=lows, rng=np.random.default_rng(5)))


@pytest.mark.parametrize("spending", ["obrien_fleming", "pocock"])
@pytest.mark.parametrize("fractions", [(0.25, 0.5, 0.75, 1.0), (0.1, 0.35, 0.4, 1.0)], ids=["even", "uneven"])
@pytest.mark.parametrize("of_fixed", [0.0, 1.0, 2.0])
def test_stopping_is_that_of_the_multivariate_normal(
    spending: Spending, fractions: tuple[float, ...], of_fixed: float
) -> None:
    boundaries = group_sequential(fractions, spending=spending)
    drift = of_fixed * fixed_drift()
    found = stopping(boundaries, drift)
    for look in range(len(fractions)):
        assert found.efficacy[look] == pytest.approx(ends_here(boundaries, drift, look, 1), abs=1e-5)
        assert found.futility[look] == pytest.approx(ends_here(boundaries, drift, look, -1), abs=1e-5)


@pytest.mark.parametrize("spending", ["obrien_fleming", "pocock"])
@pytest.mark.parametrize("fractions", [evenly(4), (0.1, 0.35, 0.4, 1.0)], ids=["even", "uneven"])
def test_efficacy_spends_what_it_may_by_the_multivariate_normal(
    spending: Spending, fractions: tuple[float, ...]
) -> None:
    """To 1e-5 in the last bound, which is 1e-6 in the probability where the bound is about 1.7."""
    boundaries = group_sequential(fractions, spending=spending)
    times = np.array(fractions)
    root = np.sqrt(np.minimum.outer(times, times) / np.maximum.outer(times, times))
    for looks in range(1, len(fractions) + 1):
        walk = stats.multivariate_normal(np.zeros(looks), root[:looks, :looks], abseps=1e-9, maxpts=1_000_000)
        inside = float(walk.cdf(np.array(efficacy(boundaries))[:looks], rng=np.random.default_rng(5)))
        assert 1 - inside == pytest.approx(alpha_spent(fractions[looks - 1], 0.05, spending), abs=1e-6)


def paths(fractions: tuple[float, ...], drift: float, count: int, seed: int) -> npt.NDArray[np.float64]:
    """z statistics of Brownian paths, shape (count, looks)."""
    steps = np.diff((0.0, *fractions))
    moves = np.random.default_rng(seed).normal(drift * steps, np.sqrt(steps), (count, len(steps)))
    return moves.cumsum(axis=1) / np.sqrt(fractions)


def walked(boundaries: Boundaries, z: npt.NDArray[np.float64], obey: bool) -> tuple[float, float]:
    """Share of the paths that show an effect, and the mean share of the examples that they took."""
    above = z > np.array(efficacy(boundaries))
    below = z < np.array(futility(boundaries)) if obey else np.zeros_like(above)
    stops = above | below
    stops[:, -1] = True
    first = stops.argmax(axis=1)
    fractions = np.array([look.fraction for look in boundaries.looks])
    return float(above[np.arange(len(z)), first].mean()), float(fractions[first].mean())


@pytest.mark.parametrize("obey", [False, True], ids=["futility ignored", "futility obeyed"])
@pytest.mark.parametrize("spending", ["obrien_fleming", "pocock"])
def test_brownian_paths_without_an_effect_show_one_in_no_more_than_alpha(spending: Spending, obey: bool) -> None:
    count = 400_000
    boundaries = group_sequential(spending=spending)
    shown, share = walked(boundaries, paths(evenly(4), 0.0, count, seed=11), obey)
    error = sqrt(0.05 * 0.95 / count)
    assert shown <= 0.05 + 3 * error
    assert shown == pytest.approx(stopping(boundaries, 0.0, obey_futility=obey).power, abs=4 * error)
    assert share == pytest.approx(expected_information(boundaries, 0.0, obey_futility=obey), abs=4 * 0.5 / sqrt(count))


@pytest.mark.parametrize("of_fixed", [0.5, 1.0, 2.0])
def test_brownian_paths_with_an_effect_end_where_stopping_says(of_fixed: float) -> None:
    count, drift = 200_000, of_fixed * fixed_drift()
    boundaries = group_sequential()
    shown, share = walked(boundaries, paths(evenly(4), drift, count, seed=12), obey=True)
    assert shown == pytest.approx(stopping(boundaries, drift).power, abs=4 * 0.5 / sqrt(count))
    assert share == pytest.approx(expected_information(boundaries, drift), abs=4 * 0.5 / sqrt(count))


@pytest.mark.parametrize("spending", ["obrien_fleming", "pocock"])
@pytest.mark.parametrize("obey", [False, True], ids=["futility ignored", "futility obeyed"])
def test_a_drift_of_twice_the_smallest_detectable_needs_at_most_60_percent(spending: Spending, obey: bool) -> None:
    boundaries = group_sequential((0.25, 0.5, 0.75, 1.0), alpha=0.05, spending=spending)
    assert expected_information(boundaries, 2 * fixed_drift(0.05, 0.8), obey_futility=obey) <= 0.6


def test_looking_costs_little_power_with_obrien_fleming_and_more_with_pocock() -> None:
    """At the drift that one look at the end would show in 80 %, futility ignored."""
    little = stopping(group_sequential(), fixed_drift(), obey_futility=False).power
    more = stopping(group_sequential(spending="pocock"), fixed_drift(), obey_futility=False).power
    assert 0.785 < little < 0.8
    assert 0.7 < more < 0.75


@given(alpha=alphas, power=powers)
@CHECKED
def test_one_look_is_the_fixed_test(alpha: float, power: float) -> None:
    boundaries = group_sequential((1.0,), alpha, power)
    look = boundaries.looks[0]
    assert bound(look.efficacy, inf) == pytest.approx(stats.norm.isf(alpha), abs=1e-10)
    assert look.level == pytest.approx(alpha, rel=1e-9)
    assert boundaries.drift == pytest.approx(smallest_detectable(1.0, 1 - alpha, power), abs=1e-9)


@given(fractions=to_the_end, alpha=alphas, spending=spendings)
@CHECKED
def test_spent_alpha_grows_and_sums_to_alpha(fractions: tuple[float, ...], alpha: float, spending: Spending) -> None:
    boundaries = group_sequential(fractions, alpha, spending=spending)
    spent = [look.alpha_spent for look in boundaries.looks]
    assert spent == sorted(spent)
    assert spent[-1] == alpha
    assert stopping(boundaries, 0.0, obey_futility=False).power == pytest.approx(alpha, rel=1e-9)
    for look, before in zip(boundaries.looks, [0.0, *spent], strict=False):
        assert look.alpha_spent <= alpha_spent(look.fraction, alpha, spending)
        if isinstance(look.efficacy, Unmeasured):
            assert (look.level, look.alpha_spent) == (0.0, before)
        else:
            # of the nominal level, part is spent on paths that have crossed before
            assert look.alpha_spent - before <= look.level * (1 + 1e-9)
            assert look.level <= look.alpha_spent * (1 + 1e-9)
            assert look.level == pytest.approx(stats.norm.sf(look.efficacy), rel=1e-9)


@given(fractions=to_the_end, alpha=alphas, power=powers, spending=spendings)
@CHECKED
def test_futility_keeps_the_power_and_never_raises_alpha(
    fractions: tuple[float, ...], alpha: float, power: float, spending: Spending
) -> None:
    boundaries = group_sequential(fractions, alpha, power, spending)
    assert not isinstance(boundaries.drift, Unmeasured)
    assert boundaries.drift >= fixed_drift(alpha, power) - 1e-9
    obeyed, ignored = (
        stopping(boundaries, boundaries.drift),
        stopping(boundaries, boundaries.drift, obey_futility=False),
    )
    assert obeyed.power == pytest.approx(power, abs=1e-9)
    assert ignored.power >= obeyed.power - 1e-12
    assert stopping(boundaries, 0.0).power <= stopping(boundaries, 0.0, obey_futility=False).power + 1e-12
    assert all(low <= high for low, high in zip(futility(boundaries), efficacy(boundaries), strict=True))
    assert futility(boundaries)[-1] == efficacy(boundaries)[-1]
    lost = [look.beta_spent for look in boundaries.looks]
    assert lost == sorted(lost)
    assert lost[-1] == pytest.approx(1 - power, abs=1e-9)


@given(fractions=looked_at, alpha=alphas, spending=spendings)
@CHECKED
def test_efficacy_does_not_depend_on_later_looks(
    fractions: tuple[float, ...], alpha: float, spending: Spending
) -> None:
    whole = group_sequential(fractions, alpha, spending=spending).looks
    for count in range(1, len(fractions) + 1):
        part = group_sequential(fractions[:count], alpha, spending=spending).looks
        for of_part, of_whole in zip(part, whole, strict=False):
            assert of_part.efficacy == of_whole.efficacy
            assert (of_part.level, of_part.alpha_spent) == (of_whole.level, of_whole.alpha_spent)


@given(fractions=looked_at, drift=st.floats(-50, 50), obey=st.booleans(), spending=spendings)
@CHECKED
def test_every_path_ends_somewhere(fractions: tuple[float, ...], drift: float, obey: bool, spending: Spending) -> None:
    found = stopping(group_sequential(fractions, spending=spending), drift, obey_futility=obey)
    assert min(*found.efficacy, *found.futility, found.undecided) >= 0
    assert found.power + sum(found.futility) + found.undecided == pytest.approx(1, abs=1e-12)
    assert fractions[0] - 1e-12 <= found.expected_information <= fractions[-1] + 1e-12
    more = stopping(group_sequential(fractions, spending=spending), drift + 0.5, obey_futility=obey)
    assert more.power >= found.power - 1e-12


def test_a_look_too_early_to_decide_says_so_and_spends_nothing() -> None:
    boundaries = group_sequential((0.001, 0.01, 0.5, 1.0))
    for look in boundaries.looks[:2]:
        assert alpha_spent(look.fraction) < LEAST_SPENT
        assert isinstance(look.efficacy, Unmeasured)
        assert "no decision at this look" in look.efficacy.reason
        assert isinstance(look.futility, Unmeasured)
        assert (look.level, look.alpha_spent, look.beta_spent) == (0.0, 0.0, 0.0)
    assert efficacy(boundaries)[2:] == pytest.approx(efficacy(group_sequential((0.5, 1.0))), abs=1e-9)
    found = stopping(boundaries, 3.0)
    assert (found.efficacy[:2], found.futility[:2]) == ((0.0, 0.0), (0.0, 0.0))


def test_without_a_look_at_the_whole_there_is_no_futility() -> None:
    boundaries = group_sequential((0.4, 0.7))
    assert isinstance(boundaries.drift, Unmeasured)
    assert all(look.futility == boundaries.drift for look in boundaries.looks)
    assert boundaries.looks[-1].alpha_spent == alpha_spent(0.7) < 0.05
    found = stopping(boundaries, 0.0)
    assert found.undecided == pytest.approx(1 - alpha_spent(0.7), abs=1e-9)
    assert found.expected_information == pytest.approx(0.7 - 0.3 * alpha_spent(0.4), abs=1e-9)


@pytest.mark.parametrize("spending", ["obrien_fleming", "pocock"])
@pytest.mark.parametrize("fractions", [evenly(20), tuple(1 - 0.001 * k for k in range(4, -1, -1))], ids=["20", "late"])
def test_many_looks_and_looks_close_together(fractions: tuple[float, ...], spending: Spending) -> None:
    boundaries = group_sequential(fractions, spending=spending)
    assert stopping(boundaries, 0.0, obey_futility=False).power == pytest.approx(0.05, rel=1e-9)
    assert not isinstance(boundaries.drift, Unmeasured)
    assert stopping(boundaries, boundaries.drift).power == pytest.approx(0.8, abs=1e-9)


@pytest.mark.parametrize("fraction", [0.0, -0.5, 1.01, float("nan")])
def test_a_fraction_is_a_share(fraction: float) -> None:
    with pytest.raises(ValueError, match="expected share"):
        group_sequential((fraction,))
    with pytest.raises(ValueError, match="expected a share"):
        alpha_spent(fraction)


@pytest.mark.parametrize("fractions", [(0.5, 0.5), (0.5, 0.25, 1.0), (0.5, 0.5004), (0.0004, 1.0)])
def test_fractions_grow(fractions: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="above the one before it"):
        group_sequential(fractions)


@pytest.mark.parametrize("looks", [0, 51])
def test_the_number_of_looks_has_bounds(looks: int) -> None:
    with pytest.raises(ValueError, match="expected 1 to 50"):
        group_sequential(evenly(looks))


def test_wrong_levels_powers_spendings_and_drifts_are_refused() -> None:
    for alpha in (0.0, 0.5, 95.0, float("nan")):
        with pytest.raises(ValueError, match="alpha: found"):
            group_sequential(alpha=alpha)
    for power in (0.4, 1.0, float("nan")):
        with pytest.raises(ValueError, match="power: found"):
            group_sequential(power=power)
    with pytest.raises(ValueError, match="drift: found"):
        stopping(group_sequential(), inf)
    with pytest.raises(ValueError, match="spending: found 'haybittle'"):
        group_sequential(spending="haybittle")  # pyright: ignore[reportArgumentType]


def test_the_same_question_is_answered_once() -> None:
    assert group_sequential([0.5, 1]) is group_sequential((0.5, 1.0))
