"""Ratios: the delta method against itself written out, invariances, and coverage on documents of unequal length."""

from __future__ import annotations

from math import exp, log, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.statistics import Estimate, exponential, mean_t, ratio, ratio_difference

CHECKED = settings(max_examples=50, deadline=None, derandomize=True)
DOCUMENTS = st.lists(
    st.tuples(st.floats(0.1, 5), st.floats(0.1, 5), st.integers(1, 500), st.integers(1, 500)), min_size=3, max_size=30
)


def measured(result: Estimate | Unmeasured) -> Estimate:
    assert isinstance(result, Estimate)
    return result


def corpus(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tokens per document, and each model's nats; hard documents are hard for both."""
    tokens = rng.geometric(1 / 60, size=n) + 5.0
    hard = rng.normal(2.0, 0.4, size=n)
    base = tokens * (hard + rng.normal(0, 0.1, size=n))
    return tokens, base - tokens * rng.normal(0.05, 0.05, size=n), base


def test_ratio_is_cochrans_formula_less_what_each_document_decides() -> None:
    tokens, nats, _ = corpus(np.random.default_rng(1), 80)
    found = measured(ratio(nats, tokens))
    value, shares = nats.sum() / tokens.sum(), tokens / tokens.sum()
    residual = nats - value * tokens
    error = sqrt((residual**2 / (1 - shares)).sum()) / tokens.sum()
    bent = shares**2 / (1 - shares)
    freedom = 1 / ((shares**2).sum() + bent.sum() ** 2 - (bent**2).sum())
    assert 20 < freedom < 79
    assert found.value == pytest.approx(value, rel=1e-12)
    assert found.standard_error == pytest.approx(error, rel=1e-12)
    assert found.interval.high == pytest.approx(value + stats.t.ppf(0.95, freedom) * error, rel=1e-12)
    cochrans = sqrt((residual**2).sum() / 79) / tokens.mean() / sqrt(80)
    assert cochrans < error < 1.1 * cochrans


def test_equal_denominators_make_it_the_mean() -> None:
    nats = np.random.default_rng(2).normal(size=50)
    as_ratio, as_mean = measured(ratio(nats * 8, np.full(50, 8))), measured(mean_t(nats))
    assert as_ratio.interval.low == pytest.approx(as_mean.interval.low, rel=1e-9)
    assert as_ratio.standard_error == pytest.approx(as_mean.standard_error, rel=1e-9)


def test_perplexity_is_formed_on_the_log_scale() -> None:
    tokens, nats, _ = corpus(np.random.default_rng(3), 60)
    plain, perplexity = measured(ratio(nats, tokens)), measured(ratio(nats, tokens, transform="exp"))
    assert perplexity.value == exp(plain.value)
    assert perplexity.interval.low == exp(plain.interval.low)
    assert perplexity.interval.high == exp(plain.interval.high)
    assert plain.standard_error is not None
    assert perplexity.standard_error == pytest.approx(exp(plain.value) * plain.standard_error)
    assert perplexity.method == f"exp of {plain.method}"


def test_difference_of_perplexities_is_the_delta_method() -> None:
    tokens, cand, base = corpus(np.random.default_rng(4), 60)
    found = measured(ratio_difference(cand, tokens, base, tokens, transform="exp"))
    rc, rb = cand.sum() / tokens.sum(), base.sum() / tokens.sum()
    psi = (exp(rc) * (cand - rc * tokens) - exp(rb) * (base - rb * tokens)) / tokens.mean()
    assert found.value == pytest.approx(exp(rc) - exp(rb), rel=1e-12)
    error = sqrt((psi**2 / (1 - tokens / tokens.sum())).sum()) / 60
    assert found.standard_error == pytest.approx(error, rel=1e-9)


def test_pairing_pays() -> None:
    tokens, cand, base = corpus(np.random.default_rng(5), 100)
    paired = measured(ratio_difference(cand, tokens, base, tokens)).standard_error
    alone = measured(ratio(cand, tokens)).standard_error
    assert paired is not None
    assert alone is not None
    assert paired < alone / 3


def test_groups_reach_the_error() -> None:
    tokens, nats, _ = corpus(np.random.default_rng(6), 60)
    twice = measured(ratio(np.tile(nats, 2), np.tile(tokens, 2), groups=np.tile(np.arange(60), 2)))
    once = measured(ratio(nats, tokens))
    assert twice.standard_error == pytest.approx(once.standard_error, rel=1e-9)
    assert (twice.n, twice.clusters) == (120, 60)
    assert measured(ratio(nats, tokens, groups=np.arange(60) % 6)).warnings


def test_identical_models_differ_by_zero_and_say_so() -> None:
    tokens, nats, _ = corpus(np.random.default_rng(7), 30)
    found = measured(ratio_difference(nats, tokens, nats, tokens, transform="exp"))
    assert (found.value, found.interval.width) == (0.0, 0.0)
    assert "rests on nothing" in found.warnings[0]


def test_what_cannot_be_estimated_is_unmeasured() -> None:
    for result, reason in (
        (ratio([1.0], [2]), "at least 2"),
        (ratio([0.0, 0.0], [0, 0]), "sum to zero"),
        (ratio([900.0, 900.0], [1, 1], transform="exp"), "beyond the range"),
        (ratio_difference([900.0, 1.0], [1, 1], [2.0, 3.0], [0, 0]), "baseline: "),
        (ratio_difference([900.0, 990.0], [1, 1], [2.0, 3.0], [1, 1], transform="exp"), "beyond the range"),
        (ratio([1.0, 2.0], [1, 1], groups=[3, 3]), "one cluster"),
    ):
        assert isinstance(result, Unmeasured)
        assert reason in result.reason


def test_wrong_arguments_say_what_was_expected() -> None:
    with pytest.raises(ValueError, match="counts >= 0"):
        ratio([1.0, 2.0], [1, -1])
    with pytest.raises(ValueError, match="one row per example in each"):
        ratio_difference([1.0, 2.0], [1, 1], [1.0, 2.0, 3.0], [1, 1, 1])


@CHECKED
@given(DOCUMENTS, st.sampled_from(["identity", "exp"]))
def test_swapping_negates_and_units_cancel(rows: list[tuple[float, float, int, int]], transform: str) -> None:
    assert transform in ("identity", "exp")
    cand_mean, base_mean, tokens, bytes_ = np.array(rows, dtype=float).T
    cand, base = cand_mean * tokens, base_mean * bytes_
    one = measured(ratio_difference(cand, tokens, base, bytes_, transform=transform))  # type: ignore[arg-type]
    other = measured(ratio_difference(base, bytes_, cand, tokens, transform=transform))  # type: ignore[arg-type]
    slack = 1e-9 * (1 + one.interval.width + abs(one.value))
    assert one.value in one.interval
    assert one.value == -other.value
    assert one.interval.low == pytest.approx(-other.interval.high, abs=slack)
    bits = measured(ratio_difference(cand / log(2), tokens, base / log(2), bytes_))
    nats = measured(ratio_difference(cand, tokens, base, bytes_))
    assert bits.interval.high == pytest.approx(nats.interval.high / log(2), abs=1e-6, rel=1e-9)
    backwards = measured(ratio(cand[::-1], tokens[::-1]))
    assert backwards.interval.low == pytest.approx(measured(ratio(cand, tokens)).interval.low, abs=1e-9)


@CHECKED
@given(DOCUMENTS)
def test_exponential_keeps_the_order(rows: list[tuple[float, float, int, int]]) -> None:
    mean, _, tokens, _ = np.array(rows, dtype=float).T
    found = exponential(measured(ratio(mean * tokens, tokens)))
    if isinstance(found, Estimate):
        assert 0 <= found.interval.low <= found.value <= found.interval.high


@pytest.mark.parametrize("transform", ["identity", "exp"])
def test_coverage_of_perplexity_differences(transform: str) -> None:
    assert transform in ("identity", "exp")
    rng, worlds, too_high, too_low = np.random.default_rng(31), 400, 0, 0
    truth = -0.05 if transform == "identity" else exp(1.95) - exp(2.0)
    for _ in range(worlds):
        tokens, cand, base = corpus(rng, 80)
        ends = measured(ratio_difference(cand, tokens, base, tokens, transform=transform)).interval  # type: ignore[arg-type]
        too_high += truth < ends.low
        too_low += truth > ends.high
    assert max(too_high, too_low) / worlds < 0.05 + 3 * sqrt(0.05 * 0.95 / worlds)
