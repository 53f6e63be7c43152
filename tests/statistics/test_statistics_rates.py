"""Rates: Wilson against statsmodels, McNemar against scipy, Tango against print and its own equation."""

from __future__ import annotations

from math import log, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats
from statsmodels.stats.proportion import proportion_confint

from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.statistics import (
    Estimate,
    mcnemar_exact,
    paired_counts,
    paired_proportions,
    wilson,
)

CHECKED = settings(max_examples=60, deadline=None, derandomize=True)


def measured(result: Estimate | Unmeasured) -> Estimate:
    assert isinstance(result, Estimate)
    return result


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.995])
@pytest.mark.parametrize(("successes", "n"), [(0, 2), (1, 2), (7, 20), (20, 20), (999, 1000)])
def test_wilson_is_statsmodels_at_the_matching_two_sided_level(successes: int, n: int, confidence: float) -> None:
    found = measured(wilson(successes, n, confidence))
    low, high = proportion_confint(successes, n, alpha=2 * (1 - confidence), method="wilson")
    assert (found.interval.low, found.interval.high) == pytest.approx((low, high), abs=1e-12)
    assert found.value in found.interval
    assert found.standard_error is not None
    assert found.standard_error > 0


def test_wilson_touches_the_ends_exactly() -> None:
    assert measured(wilson(0, 7)).interval.low == 0.0
    assert measured(wilson(7, 7)).interval.high == 1.0


@pytest.mark.parametrize("n", [0, 1])
def test_below_two_examples_there_is_no_interval(n: int) -> None:
    assert isinstance(wilson(n, n), Unmeasured)
    assert isinstance(paired_proportions([1] * n, [0] * n), Unmeasured)


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (1, 0), (0, 9), (3, 7), (6, 6), (40, 61), (500, 440)])
def test_mcnemar_is_the_binomial_test(gained: int, lost: int) -> None:
    total = gained + lost
    expected = stats.binomtest(gained, total).pvalue if total else 1.0
    assert mcnemar_exact(gained, lost) == pytest.approx(expected, rel=1e-10)


def test_tango_as_printed_for_airway_responsiveness() -> None:
    """Bentur et al. 2009, 21 children, 1 and 7 discordant, 95 %: (-0.517, -0.026) in Fagerland et al. 2014."""
    found = measured(paired_counts(1, 7, 21, 0.975))
    assert found.value == pytest.approx(-0.286, abs=5e-4)
    assert found.interval.low == pytest.approx(-0.517, abs=5e-4)
    assert found.interval.high == pytest.approx(-0.026, abs=5e-4)


def constrained_error(gained: int, lost: int, n: int, difference: float) -> float:
    """Standard error of (gained - lost)/n under that difference, its likelihood maximised numerically."""

    def cost(share_lost: float) -> float:
        terms = (
            (gained, share_lost + difference),
            (lost, share_lost),
            (n - gained - lost, 1 - 2 * share_lost - difference),
        )
        return -sum(count * log(max(share, 1e-300)) for count, share in terms if count)

    start = max(0.0, -difference)
    best = optimize.minimize_scalar(
        cost, bounds=(start, (1 - difference) / 2), method="bounded", options={"xatol": 1e-12}
    )
    return sqrt((2 * best.x + difference - difference**2) / n)


@pytest.mark.parametrize(("gained", "lost", "n"), [(1, 7, 21), (12, 5, 100), (0, 1, 44), (3, 0, 40), (30, 31, 64)])
@pytest.mark.parametrize("confidence", [0.9, 0.975])
def test_tango_ends_solve_the_score_equation(gained: int, lost: int, n: int, confidence: float) -> None:
    found = measured(paired_counts(gained, lost, n, confidence))
    for end, sign in ((found.interval.low, 1), (found.interval.high, -1)):
        score = (found.value - end) / constrained_error(gained, lost, n, end)
        assert score == pytest.approx(sign * stats.norm.ppf(confidence), rel=1e-4)


def test_tango_without_any_disagreement_has_a_closed_form_and_a_width() -> None:
    z = stats.norm.ppf(0.95)
    found = measured(paired_proportions(np.ones(50), np.ones(50)))
    assert found.interval.high == pytest.approx(z * z / (50 + z * z), rel=1e-12)
    assert found.interval.low == -found.interval.high
    assert found.standard_error is not None
    assert found.standard_error > 0


@CHECKED
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=60), st.floats(0.6, 0.999))
def test_swapping_the_models_negates_and_order_does_not_matter(rows: list[tuple[bool, bool]], c: float) -> None:
    cand, base = np.array(rows).T
    one = measured(paired_proportions(cand, base, c))
    other = measured(paired_proportions(base, cand, c))
    assert one.value == -other.value
    assert (one.interval.low, one.interval.high) == (-other.interval.high, -other.interval.low)
    assert -1 <= one.interval.low <= one.value <= one.interval.high <= 1
    assert one.interval.width > 0
    assert measured(paired_proportions(cand[::-1], base[::-1], c)) == one


@CHECKED
@given(st.integers(2, 200), st.data())
def test_more_confidence_never_narrows(n: int, data: st.DataObject) -> None:
    gained = data.draw(st.integers(0, n))
    lost = data.draw(st.integers(0, n - gained))
    for narrow, wide in (
        (wilson(gained, n, 0.9), wilson(gained, n, 0.99)),
        (paired_counts(gained, lost, n, 0.9), paired_counts(gained, lost, n, 0.99)),
    ):
        assert measured(narrow).interval.low in measured(wide).interval
        assert measured(narrow).interval.high in measured(wide).interval


@pytest.mark.parametrize(("gain", "loss", "n"), [(0.3, 0.1, 25), (0.05, 0.0501, 40), (0.12, 0.08, 60)])
def test_tango_keeps_its_level(gain: float, loss: float, n: int) -> None:
    """Exactly, by summing over all tables; the worst of these is 5.52 % at a nominal 5 % end."""
    too_high = too_low = total = 0.0
    for gained in range(n + 1):
        lost = np.arange(n + 1 - gained)
        tables = np.stack([np.full_like(lost, gained), lost, n - gained - lost], axis=1)
        for row, chance in zip(lost, stats.multinomial.pmf(tables, n, [gain, loss, 1 - gain - loss]), strict=True):
            ends = measured(paired_counts(gained, int(row), n)).interval
            too_high += chance * (gain - loss < ends.low)
            too_low += chance * (gain - loss > ends.high)
            total += chance
    assert total == pytest.approx(1, abs=1e-9)
    assert max(too_high, too_low) < 0.056


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: wilson(5, 4), "expected 0 <= successes <= n"),
        (lambda: wilson(1, 4, 95), "expected a share such as 0.95"),
        (lambda: paired_proportions([0.5, 1], [0, 1]), "neither 0 nor 1"),
        (lambda: paired_proportions([0, 1, 1], [0, 1]), "one row per example"),
        (lambda: paired_proportions([0, float("nan")], [0, 1]), "not finite"),
        (lambda: paired_counts(3, 2, 4), "at most n in all"),
        (lambda: mcnemar_exact(-1, 2), "counts >= 0"),
    ],
)
def test_wrong_arguments_say_what_was_expected(call: object, message: str) -> None:
    assert callable(call)
    with pytest.raises(ValueError, match=message):
        call()
