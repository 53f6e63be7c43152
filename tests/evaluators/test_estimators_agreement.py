"""Estimators over people's ratings and over pairs: what they count, what they leave out, and that their ends hold."""

from __future__ import annotations

from math import sqrt
from statistics import fmean

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import cohen_kappa_score

from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.estimators import (
    AdvantageProbability,
    AltTestWinningRate,
    JudgeKappa,
    JudgeSpearman,
    KrippendorffAlpha,
    LengthControlled,
    Part,
    RaterKappa,
)
from finetune_gate.evaluators.metrics import Estimator
from finetune_gate.evaluators.statistics import (
    COUNTED,
    Estimate,
    alt_test,
    equal_length_rate,
    krippendorff_alpha,
    spearman,
)

Columns = dict[str, NDArray[np.float64]]
SLOTS = 3
VALUES = tuple(f"choice_{slot}" for slot in range(1, SLOTS + 1))
RATED = tuple(f"{name}_rated" for name in VALUES)
CHOICES = (0.0, 0.5, 1.0)

ALPHA = KrippendorffAlpha(VALUES, RATED)
RATERS = RaterKappa(VALUES, RATED, CHOICES)
KAPPA = JudgeKappa("verdict", VALUES, RATED, CHOICES)
RANKS = JudgeSpearman("verdict", VALUES, RATED)
WINNING = AltTestWinningRate("verdict", VALUES, RATED, categories=CHOICES)
ADVANTAGE = AdvantageProbability("verdict", VALUES, RATED, categories=CHOICES)
OF_PEOPLE: tuple[Estimator, ...] = (ALPHA, RATERS)
OF_A_JUDGE: tuple[Estimator, ...] = (KAPPA, RANKS, WINNING, ADVANTAGE)


def known(found: Estimate | Unmeasured) -> Estimate:
    assert isinstance(found, Estimate), found
    return found


def rated(seed: int, size: int = 90, slips: float = 0.3, given: float = 0.85) -> Columns:
    """A judge and three people who see the same and slip, each on their own; people skip some."""
    drawn = np.random.default_rng(seed)
    true = drawn.choice(CHOICES, p=(0.35, 0.2, 0.45), size=size)

    def rater() -> NDArray[np.float64]:
        return np.where(drawn.random(size) < slips, drawn.choice(CHOICES, size=size), true)

    columns = {"verdict": rater()}
    for name, flag in zip(VALUES, RATED, strict=True):
        columns[flag] = (drawn.random(size) < given).astype(float)
        columns[name] = rater() * columns[flag]
    return columns


def table_of(columns: Columns) -> NDArray[np.float64]:
    pairs = zip(VALUES, RATED, strict=True)
    return np.stack([np.where(columns[flag] == 1, columns[name], np.nan) for name, flag in pairs])


def some(columns: Columns, rows: NDArray[np.intp]) -> Columns:
    return {name: column[rows] for name, column in columns.items()}


def test_alpha_is_that_of_the_ratings_given() -> None:
    columns = rated(0)
    found = known(ALPHA.estimate(columns, None, 0.95, 0))
    assert found.value == krippendorff_alpha(table_of(columns), "ordinal")
    assert found.n == int(((~np.isnan(table_of(columns))).sum(axis=0) >= 2).sum()), "one rating is no agreement"
    assert found.interval.low < found.value < found.interval.high


def test_rater_kappa_is_the_mean_over_pairs() -> None:
    columns = rated(1)
    table = table_of(columns)
    expected = []
    for one, other in ((0, 1), (0, 2), (1, 2)):
        both = ~np.isnan(table[one]) & ~np.isnan(table[other])
        codes = (2 * table[[one, other]][:, both]).astype(int)
        expected.append(cohen_kappa_score(*codes, weights="quadratic"))
    assert known(RATERS.estimate(columns, None, 0.95, 0)).value == pytest.approx(fmean(expected), abs=1e-12)


def test_thin_pairs_of_raters_are_left_out_and_named() -> None:
    columns = rated(2)
    columns[RATED[2]][5:] = 0.0
    columns[VALUES[2]][5:] = 0.0
    found = known(RATERS.estimate(columns, None, 0.95, 0))
    two = RaterKappa(VALUES[:2], RATED[:2], CHOICES)
    assert found.value == pytest.approx(known(two.estimate(columns, None, 0.95, 0)).value)
    assert "2 of 3 pairs of raters are left out" in found.warnings[-1]
    alone = RaterKappa(VALUES[1:], RATED[1:], CHOICES).estimate(columns, None, 0.95, 0)
    assert isinstance(alone, Unmeasured)


def test_what_varies_within_one_cluster_only_is_no_ground() -> None:
    columns = {name: np.ones(60) for name in ("verdict", *VALUES, *RATED)}
    for name in ("verdict", *VALUES):
        columns[name][:12] = 0.0
    groups = np.arange(60) // 12
    for estimator in (ALPHA, RATERS, KAPPA, RANKS):
        assert isinstance(estimator.estimate(columns, None, 0.95, 0), Estimate)
        assert isinstance(estimator.estimate(columns, groups, 0.95, 0), Unmeasured)


def test_judge_kappa_counts_every_rating_once() -> None:
    columns = rated(3)
    table = table_of(columns)
    judge, people = np.broadcast_to(columns["verdict"], table.shape), ~np.isnan(table)
    expected = cohen_kappa_score(2 * judge[people], 2 * table[people], weights="quadratic")
    assert known(KAPPA.estimate(columns, None, 0.95, 0)).value == pytest.approx(expected, abs=1e-12)
    leaning = {**columns, "verdict": np.clip(columns["verdict"] + 0.1, 0.1, 0.9)}
    assert KAPPA.estimate(leaning, None, 0.95, 0) == KAPPA.estimate(columns, None, 0.95, 0), "the nearest category"


def test_judge_spearman_is_with_the_mean_of_people() -> None:
    columns = rated(4)
    table = table_of(columns)
    seen = (~np.isnan(table)).any(axis=0)
    found = known(RANKS.estimate(columns, None, 0.95, 0))
    assert found.value == spearman(columns["verdict"][seen], np.nanmean(table[:, seen], axis=0))
    assert RANKS.estimate({**columns, "verdict": columns["verdict"] / 3 + 5}, None, 0.95, 0) == found


def test_the_winning_rate_is_the_tests_own_and_certain() -> None:
    columns = rated(5, size=120, slips=0.2)
    expected = alt_test(columns["verdict"], table_of(columns), 0.2)
    assert not isinstance(expected, Unmeasured)
    found = known(WINNING.estimate(columns, None, 0.95, 0))
    assert (found.value, found.method, found.interval.width) == (expected.winning_rate, COUNTED, 0)
    assert (found.n, found.clusters) == (expected.items, expected.items)
    advantage = known(ADVANTAGE.estimate(columns, None, 0.95, 0))
    assert advantage.value == pytest.approx(expected.advantage)
    assert advantage.interval.low < advantage.value < advantage.interval.high <= 1


def test_a_leaning_verdict_matches_by_its_nearest_category() -> None:
    columns = rated(6, size=120, slips=0.2)
    leaning = {**columns, "verdict": np.clip(columns["verdict"], 0.1, 0.9)}
    assert WINNING.estimate(leaning, None, 0.95, 0) == WINNING.estimate(columns, None, 0.95, 0)
    bare = AdvantageProbability("verdict", VALUES, RATED)
    lost = known(bare.estimate(leaning, None, 0.95, 0)).value
    assert lost < known(ADVANTAGE.estimate(leaning, None, 0.95, 0)).value
    near = AdvantageProbability("verdict", VALUES, RATED, score="rmse")
    assert known(near.estimate(leaning, None, 0.95, 0)).value > lost, "by distance a lean costs little"


def test_raters_who_cannot_be_tested_are_named() -> None:
    columns = rated(7, size=120)
    for flag, name in zip(RATED, VALUES, strict=True):
        columns[f"more_{flag}"], columns[f"more_{name}"] = columns[flag].copy(), columns[name].copy()
    values, flags = (*VALUES, "more_choice_1"), (*RATED, "more_choice_1_rated")
    columns["more_choice_1"][20:] = columns["more_choice_1_rated"][20:] = 0.0
    found = known(AltTestWinningRate("verdict", values, flags).estimate(columns, None, 0.95, 0))
    assert found.warnings == ("too few examples to test rater 4; their ratings count for others",)


@pytest.mark.parametrize("estimator", [*OF_PEOPLE, *OF_A_JUDGE], ids=lambda one: type(one).__name__)
def test_examples_that_nobody_rated_change_nothing(estimator: Estimator) -> None:
    columns = rated(8, size=120)
    empty = {name: np.r_[column, np.zeros(50)] for name, column in columns.items()}
    assert estimator.estimate(empty, None, 0.95, 3) == estimator.estimate(columns, None, 0.95, 3)
    alone = np.r_[np.arange(120) // 2, np.full(50, 99)]
    grouped = estimator.estimate(columns, np.arange(120) // 2, 0.95, 3)
    assert estimator.estimate(empty, alone, 0.95, 3) == grouped


@pytest.mark.parametrize("estimator", OF_A_JUDGE, ids=lambda one: type(one).__name__)
def test_examples_without_a_verdict_do_not_count(estimator: Estimator) -> None:
    columns = rated(9, size=120)
    missing = {**columns, "verdict": np.where(np.arange(120) < 9, np.nan, columns["verdict"])}
    filled = estimator.impute(missing, best=False)
    assert not isinstance(filled, Unmeasured)
    assert estimator.estimate(filled, None, 0.95, 0) == estimator.estimate(
        some(columns, np.arange(9, 120)), None, 0.95, 0
    )
    none = {**columns, "verdict": np.full(120, np.nan)}
    assert isinstance(estimator.estimate(none, None, 0.95, 0), Unmeasured)


@pytest.mark.parametrize("estimator", [*OF_PEOPLE, *OF_A_JUDGE], ids=lambda one: type(one).__name__)
def test_ratings_are_not_made_up_and_have_no_difference(estimator: Estimator) -> None:
    columns = rated(10)
    assert estimator.impute(columns, best=True) is columns
    broken = {**columns, RATED[0]: np.where(np.arange(90) < 2, np.nan, columns[RATED[0]])}
    found = estimator.impute(broken, best=False)
    assert isinstance(found, Unmeasured)
    assert found.reason.startswith("2 of 90 examples have no ")
    difference = estimator.difference(columns, columns, None, 0.95, 0)
    assert isinstance(difference, Unmeasured)
    assert "no difference between models" in difference.reason


@pytest.mark.parametrize("estimator", [*OF_PEOPLE, *OF_A_JUDGE], ids=lambda one: type(one).__name__)
def test_a_seed_settles_it_and_rows_have_no_order(estimator: Estimator) -> None:
    columns = rated(11)
    found = known(estimator.estimate(columns, None, 0.95, 1))
    assert estimator.estimate(columns, None, 0.95, 1) == found
    shuffled = some(columns, np.random.default_rng(12).permutation(90))
    assert estimator.estimate(shuffled, None, 0.95, 1) == found


@pytest.mark.parametrize("estimator", [ALPHA, RATERS, KAPPA, RANKS, ADVANTAGE], ids=lambda one: type(one).__name__)
def test_clusters_are_drawn_whole(estimator: Estimator) -> None:
    columns = rated(13, size=60, given=1.0)
    twice = some(columns, np.repeat(np.arange(60), 2))
    once, both = (
        known(estimator.estimate(columns, None, 0.95, 0)),
        known(estimator.estimate(twice, np.repeat(np.arange(60), 2), 0.95, 0)),
    )
    assert (both.n, both.clusters) == (120, 60)
    assert both.value == pytest.approx(once.value, abs=0.01), "alpha draws without putting back"
    assert both.standard_error == pytest.approx(once.standard_error, rel=0.05)
    single = known(estimator.estimate(columns, np.arange(60), 0.95, 0))
    assert single == once, "clusters of one are none"


@pytest.mark.parametrize("estimator", [ALPHA, KAPPA, RANKS], ids=lambda one: type(one).__name__)
def test_full_agreement_is_1_and_not_certain(estimator: Estimator) -> None:
    columns = rated(14, slips=0.0)
    found = known(estimator.estimate(columns, None, 0.95, 0))
    assert found.value == pytest.approx(1.0, abs=1e-12)
    assert found.interval.low == pytest.approx(1 - 2 * (1 - 0.05 ** (1 / found.n)), abs=1e-6)
    assert "no resample changes the value" in found.warnings[0]


@pytest.mark.parametrize("estimator", [ALPHA, RATERS, KAPPA, RANKS], ids=lambda one: type(one).__name__)
@pytest.mark.parametrize("others", [0, 1, 4])
def test_ratings_that_hardly_vary_are_unmeasured(estimator: Estimator, others: int) -> None:
    """With one differing rating in 40, a third of all draws have none: no interval of such a value means anything."""
    columns = {name: np.ones(40) for name in ("verdict", *VALUES, *RATED)}
    for name in ("verdict", *VALUES):
        columns[name][:others] = 0.0
    found = estimator.estimate(columns, None, 0.95, 0)
    assert isinstance(found, Unmeasured)
    assert "var" in found.reason


def test_high_agreement_on_few_differences_is_said_to_be_rough() -> None:
    found = known(KAPPA.estimate(rated(15, size=60, slips=0.1), None, 0.95, 0))
    assert found.value > 0.8
    assert any("the lower end may err more" in warning for warning in found.warnings)


def test_without_raters_or_examples_there_is_a_reason() -> None:
    alone = VALUES[:1], RATED[:1]
    for estimator in (KrippendorffAlpha(*alone), RaterKappa(*alone, CHOICES), AltTestWinningRate("verdict", *alone)):
        assert isinstance(estimator.estimate(rated(22), None, 0.95, 0), Unmeasured)
    nobody = {name: np.zeros(30) for name in ("verdict", *VALUES, *RATED)}
    nothing = {name: np.zeros(0) for name in ("verdict", *VALUES, *RATED)}
    for estimator in (*OF_PEOPLE, *OF_A_JUDGE):
        for columns in (nobody, nothing):
            assert isinstance(estimator.estimate(columns, None, 0.95, 0), Unmeasured)


def test_two_items_of_an_example_are_resampled_together() -> None:
    columns = rated(16)
    second = {f"second_{name}": column for name, column in rated(17).items()}
    both = KrippendorffAlpha(
        (*VALUES, *(f"second_{name}" for name in VALUES)), (*RATED, *(f"second_{name}" for name in RATED)), items=2
    )
    found = known(both.estimate({**columns, **second}, None, 0.95, 0))
    tables = table_of(columns), table_of({name.removeprefix("second_"): column for name, column in second.items()})
    assert found.value == pytest.approx(krippendorff_alpha(np.hstack(tables), "ordinal"))
    alone = known(ALPHA.estimate(columns, None, 0.95, 0))
    assert found.standard_error is not None
    assert alone.standard_error is not None
    assert found.standard_error == pytest.approx(alone.standard_error / sqrt(2), rel=0.25)


def test_a_rating_outside_of_the_scale_is_an_error() -> None:
    columns = rated(18)
    columns[VALUES[0]][0] = 0.7
    columns[RATED[0]][0] = 1.0
    with pytest.raises(ValueError, match="expected one of the categories"):
        KAPPA.estimate(columns, None, 0.95, 0)


def test_length_control_is_the_statistics_own() -> None:
    drawn = np.random.default_rng(19)
    columns = {"win": drawn.choice(CHOICES, size=80), "longer": drawn.normal(30, 90, 80)}
    controlled = LengthControlled("win", "longer")
    assert controlled.components == ("win", "longer")
    assert controlled.estimate(columns, None, 0.95, 0) == equal_length_rate(columns["win"], columns["longer"])
    groups = np.arange(80) // 4
    part = Part(controlled, "part", 1.0, "first")
    found = part.estimate({**columns, "part": np.r_[np.ones(60), np.zeros(20)]}, groups, 0.95, 0)
    assert found == equal_length_rate(columns["win"][:60], columns["longer"][:60], groups=groups[:60])
    assert isinstance(controlled.difference(columns, columns, None, 0.95, 0), Unmeasured)


def test_a_failed_comparison_counts_as_lost_at_equal_length() -> None:
    drawn = np.random.default_rng(20)
    columns = {"win": drawn.choice(CHOICES, size=40), "longer": drawn.normal(30, 90, 40)}
    controlled = LengthControlled("win", "longer")
    assert controlled.impute(columns, best=False) is columns
    failed = {name: column.copy() for name, column in columns.items()}
    failed["win"][:2] = np.nan
    failed["longer"][0] = np.nan
    worst, best = controlled.impute(failed, best=False), controlled.impute(failed, best=True)
    assert not isinstance(worst, Unmeasured)
    assert not isinstance(best, Unmeasured)
    assert (worst["win"][:2].tolist(), best["win"][:2].tolist()) == ([0, 0], [1, 1])
    assert worst["longer"][:2].tolist() == [0.0, columns["longer"][1]]
    low, high = (known(controlled.estimate(filled, None, 0.95, 0)).value for filled in (worst, best))
    assert low < high
    odd = controlled.impute({**columns, "longer": failed["longer"]}, best=False)
    assert isinstance(odd, Unmeasured)
    assert "have a win but no longer" in odd.reason


@pytest.mark.parametrize("estimator", [ALPHA, KAPPA, RANKS], ids=lambda one: type(one).__name__)
def test_coverage_at_moderate_agreement(estimator: Estimator, monkeypatch: pytest.MonkeyPatch) -> None:
    from finetune_gate.evaluators import statistics

    whole = statistics.paired_bootstrap
    monkeypatch.setattr(
        statistics, "paired_bootstrap", lambda *args, **settings: whole(*args, resamples=600, **settings)
    )
    truth = known(estimator.estimate(rated(21, size=100_000), None, 0.95, 0)).value
    worlds, low, high = 150, 0, 0
    for world in range(worlds):
        found = known(estimator.estimate(rated(1000 + world), None, 0.95, world))
        low += found.interval.low > truth
        high += found.interval.high < truth
    assert max(low, high) / worlds < 0.06 + 3 * sqrt(0.06 * 0.94 / worlds)
