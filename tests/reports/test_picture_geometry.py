"""Where things lie in pictures of evaluators, and that their counts add up."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finetune_gate.evaluators.absent import Unmeasured, Value
from finetune_gate.gate.record import EstimateRecord, UnmeasuredRecord
from finetune_gate.gate.reports.pictures.changes import MOST_STEPS, changes, turned
from finetune_gate.gate.reports.pictures.distributions import FEWEST_BINS, MOST_BINS, bins_of, distribution
from finetune_gate.gate.reports.pictures.drawing import EDGE, WIDTH, Axis, Picture, quantile, short
from finetune_gate.gate.reports.pictures.intervals import Bar, Group, interval_picture
from finetune_gate.gate.reports.pictures.quantities import Quantity

MISSING = Unmeasured("no answer came")
NUMBERS = st.lists(st.floats(-1e6, 1e6, allow_subnormal=False), min_size=2, max_size=200)
VALUES = st.lists(st.one_of(st.floats(-1e6, 1e6, allow_subnormal=False), st.just(MISSING)), min_size=1, max_size=80)


def of(better: bool | None = True, **values: list[Value]) -> Quantity:
    count = len(next(iter(values.values())))
    by_role = {role: tuple(some) for role, some in values.items()}
    return Quantity("Score", "", better, by_role, (("", tuple(range(count))),))


def places(picture: Picture) -> list[float]:
    """Every coordinate of a picture, as written."""
    drawn = [number for area in picture.areas for number in re.findall(r"-?\d+(?:\.\d+)?", area.d)]
    lines = [place for line in picture.lines for place in (line.x1, line.y1, line.x2, line.y2)]
    dots = [place for dot in picture.dots for place in (dot.x, dot.y)]
    return [*map(float, drawn), *lines, *dots, *(place for word in picture.words for place in (word.x, word.y))]


@pytest.mark.parametrize(
    ("values", "count", "low", "width"),
    [
        ([1.0, 2.0, 5.0], 5, 0.5, 1.0),
        ([1.0, 1.5, 3.0], 5, 0.75, 0.5),
        ([float(at) for at in range(100)], FEWEST_BINS, 0.0, 99 / 12),
        ([at / 1000 for at in range(8000)], 20, 0.0, 7.999 / 20),
    ],
    ids=["grades", "halves", "few values", "many values"],
)
def test_bins(values: list[float], count: int, low: float, width: float) -> None:
    bins = bins_of(values)
    assert (bins.count, bins.low) == (count, low)
    assert bins.width == pytest.approx(width)


@settings(max_examples=40, deadline=None)
@given(NUMBERS.filter(lambda values: len(set(values)) > 1))
def test_every_value_is_in_a_bin(values: list[float]) -> None:
    bins = bins_of(values)
    assert sum(bins.counts(values)) == len(values)
    assert bins.count <= MOST_BINS
    assert bins.count >= FEWEST_BINS or len(set(values)) <= FEWEST_BINS


def test_a_far_value_is_counted_in_the_outermost_bar_and_said() -> None:
    many = [at / 100 for at in range(100)]
    bins = bins_of([*many, 1e9])
    assert bins.high < 10
    assert bins.counts([1e9])[-1] == 1
    assert "1 value beyond the axis is in the outermost bars" in distribution(of(candidate=[*many, 1e9])).aid


@settings(max_examples=40, deadline=None)
@given(VALUES, VALUES)
def test_a_distribution_counts_every_example(mine: list[Value], theirs: list[Value]) -> None:
    count = min(len(mine), len(theirs))
    quantity = of(candidate=mine[:count], base=theirs[:count])
    if quantity.kind != "continuous":
        return
    picture = distribution(quantity)
    assert [(row[1], row[-1]) for row in picture.numbers.rows] == [
        (count - missing, missing) for missing in (some[:count].count(MISSING) for some in (mine, theirs))
    ]
    assert all(-1 <= place <= max(WIDTH, picture.height) for place in places(picture) if place != -9)
    assert picture == distribution(quantity)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([MISSING, MISSING], "nothing"),
        ([0.5, 0.5], "nothing"),
        ([1.0, 0.0], "right or wrong"),
        ([1.0, MISSING], "right or wrong"),
        ([1.0, 2.0], "continuous"),
        ([0.5, 1.0], "continuous"),
    ],
    ids=["unmeasured", "one value", "both", "right alone", "grades", "shares"],
)
def test_kinds_of_quantities(values: list[Value], kind: str) -> None:
    assert of(candidate=values).kind == kind


@pytest.mark.parametrize(("better", "won"), [(True, 2), (False, 1)], ids=["higher", "lower"])
def test_gains_are_in_the_better_direction(better: bool, won: int) -> None:
    quantity = of(better, candidate=[0.9, 0.5, 0.2, 0.4, MISSING], base=[0.1, 0.4, 0.6, 0.4, 0.5])
    picture = changes(quantity)
    assert picture is not None
    assert picture.numbers.rows[0][:5] == ("base", 4, won, 1, 3 - won)
    assert f"better {won} ({won / 4:.0%})" in [word.text for word in picture.words]


@settings(max_examples=40, deadline=None)
@given(VALUES, VALUES)
def test_better_equal_and_worse_are_all_examples_with_both_values(mine: list[Value], theirs: list[Value]) -> None:
    count = min(len(mine), len(theirs))
    picture = changes(of(candidate=mine[:count], base=theirs[:count]))
    both = sum(MISSING not in pair for pair in zip(mine[:count], theirs[:count], strict=True))
    if picture is None:
        assert both == 0
        return
    _, examples, won, tied, lost, *_ = picture.numbers.rows[0]
    assert (examples, int(won) + int(tied) + int(lost)) == (both, both)
    assert all(-1 <= place <= max(WIDTH, picture.height) for place in places(picture))


def test_lengths_have_no_better_side() -> None:
    assert changes(of(None, candidate=[1.0, 2.0], base=[2.0, 3.0])) is None
    assert distribution(of(None, candidate=[1.0, 2.0], base=[2.0, 3.0])).aid.startswith("Neither side is better")


def test_a_picture_of_many_examples_is_no_larger() -> None:
    mine, theirs = [at / 7 % 1 for at in range(20_000)], [at / 11 % 1 for at in range(20_000)]
    picture = changes(of(candidate=[*mine], base=[*theirs]))
    assert picture is not None
    assert sum(area.d.count("V") for area in picture.areas) <= MOST_STEPS + 2
    assert len(distribution(of(candidate=[*mine], base=[*theirs])).areas[0].d) < 1500


def test_right_and_wrong_beside_a_baseline() -> None:
    mine: list[Value] = [1.0, 1.0, 1.0, 0.0, 0.0, MISSING]
    theirs: list[Value] = [1.0, 0.0, 0.0, 1.0, 0.0, 1.0]
    (table,) = turned(of(candidate=mine, base=theirs))
    assert (table.both_right, table.fixed, table.broken, table.both_wrong) == (1, 2, 1, 1)
    assert sum(table.share.values()) == pytest.approx(1.0)
    (mirrored,) = turned(of(False, candidate=mine, base=theirs))
    assert (mirrored.both_right, mirrored.fixed, mirrored.broken, mirrored.both_wrong) == (1, 1, 2, 1)


@settings(max_examples=40, deadline=None)
@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9))
def test_ticks_are_few_and_inside(low: float, width: float) -> None:
    high = low + width
    if not high - low > 1e-9 * max(abs(low), 1):
        return
    axis = Axis(low, high)
    ticks = list(axis.ticks())
    assert len(ticks) <= 7
    assert all(before < after for before, after in pairwise(ticks))
    assert all(EDGE <= axis.x(tick) <= WIDTH - EDGE for tick in ticks)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1).map(sorted), st.floats(0, 1))
def test_quantiles_lie_between_the_ends(ordered: list[float], at: float) -> None:
    assert ordered[0] <= quantile(ordered, at) <= ordered[-1]
    assert quantile(ordered, 0.0) == ordered[0]
    assert quantile(ordered, 1.0) == ordered[-1]


@pytest.mark.parametrize(
    ("number", "text"), [(0.0, "0"), (1234.0, "1,234"), (0.12345, "0.123"), (-2.0, "-2"), (1.5e9, "1.5e+09")]
)
def test_numbers_are_short(number: float, text: str) -> None:
    assert short(number) == text


def test_intervals_lie_on_one_axis_and_what_has_none_is_said() -> None:
    one = EstimateRecord(value=0.5, low=0.4, high=0.6, n=50, clusters=50, method="t", standard_error=0.05)
    absent = UnmeasuredRecord(unmeasured="no such column")
    picture = interval_picture(
        "Shares", "", [Group("de", (Bar("candidate", one, "candidate"), Bar("base", absent, "base")), 0.5, "even")]
    )
    assert picture is not None
    (dot,) = picture.dots
    mark = next(line for line in picture.lines if line.style == "mark")
    assert dot.x == mark.x1 == WIDTH / 2
    assert "base: not measured" in [word.text for word in picture.words]
    assert picture.numbers.rows[1][2:4] == ("not measured", "no such column")
    assert interval_picture("Shares", "", [Group("de", (Bar("base", absent, "base"),))]) is None
