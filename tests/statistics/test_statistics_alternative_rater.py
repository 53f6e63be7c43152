"""The alternative annotator test: the authors' published figures, one example by hand, and its size."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from scipy import stats

from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.statistics import AltTest, alt_test, duels

NONE = np.nan

# Calderon, Reichart and Dror publish winning rate and advantage per data set and judge (github.com/nitaytech/AltTest,
# output of alt_test_example.ipynb). Their ratings counted by kind: one letter for each rater, the judge's last, "." for
# none. Framing, mistral-v03, epsilon 0.15: winning rate 0.25, advantage 0.80.
FRAMING = """
.nnnn 104 .nnny 46 .nnyn 11 .nnyy 6 .nynn 11 .nyny 7 .nyyn 6 .nyyy 14 .xnnn 1 .ynnn 13 .ynny 4 .ynyn 6 .ynyy 3 .yynn 8
.yyny 13 .yyyn 34 .yyyy 65 nn.nn 68 nn.ny 38 nn.yn 8 nn.yy 4 nnn.n 626 nnn.y 177 nny.n 45 nny.y 43 ny.nn 14 ny.ny 12
ny.yn 9 ny.yy 17 nyn.n 90 nyn.y 50 nyy.n 61 nyy.y 64 xxn.n 1 xyn.n 1 yn.nn 8 yn.ny 2 yn.yn 3 yn.yy 8 ynn.n 39 ynn.y 30
yny.n 30 yny.y 46 yxn.n 2 yxy.n 1 yy.nn 10 yy.ny 9 yy.yn 30 yy.yy 46 yyn.n 70 yyn.y 31 yyx.n 1 yyy.n 169 yyy.y 337
"""
# MT-Bench, gpt-4o, epsilon 0.2: winning rate 0.00, advantage 0.77
MT_BENCH = """
.aaa 7 .aab 3 .aat 1 .ata 2 .atb 1 .att 1 .bbb 10 .bta 2 .btb 4 .taa 2 .tab 1 .tba 1 .tbb 3 .tta 4 .ttb 2 .ttt 2 a.aa 8
aa.a 10 aaaa 1 at.a 1 b.ba 4 b.bb 9 b.ta 2 b.tb 1 ba.a 2 babb 1 bb.b 8 bbab 1 t.aa 3 t.bb 2 t.ta 7 ta.a 2 tabb 1 tatb 1
tb.b 4 tbba 1 tt.a 1 tt.b 4
"""


def measured(found: AltTest | Unmeasured) -> AltTest:
    assert isinstance(found, AltTest), found
    return found


def unfolded(kinds: str) -> tuple[np.ndarray, np.ndarray]:
    """Verdicts, shape (items,), and ratings, shape (raters, items)."""
    words = kinds.split()
    rows = [word for word, times in zip(words[::2], words[1::2], strict=True) for _ in range(int(times))]
    table = np.array([[NONE if letter == "." else ord(letter) for letter in row] for row in rows]).T
    return table[-1], table[:-1]


def rated(
    seed: int, items: int = 80, raters: int = 3, judge: float = 0.8, people: float = 0.8
) -> tuple[np.ndarray, np.ndarray]:
    """Verdicts and ratings in 1..4, each right with its own probability and else at random."""
    drawn = np.random.default_rng(seed)
    true = drawn.integers(1, 5, items)

    def rater(right: float) -> np.ndarray:
        return np.where(drawn.random(items) < right, true, drawn.integers(1, 5, items)).astype(float)

    return rater(judge), np.stack([rater(people) for _ in range(raters)])


@pytest.mark.parametrize(
    ("kinds", "epsilon", "winning_rate", "advantage"), [(FRAMING, 0.15, 0.25, 0.80), (MT_BENCH, 0.2, 0.0, 0.77)]
)
def test_the_authors_figures_come_out(kinds: str, epsilon: float, winning_rate: float, advantage: float) -> None:
    found = measured(alt_test(*unfolded(kinds), epsilon))
    assert found.winning_rate == winning_rate
    assert found.advantage == pytest.approx(advantage, abs=0.005)
    assert not found.passed


# five items, three raters, the judge:   1  1  2  3  4
SMALL = np.array([[1, 2, 2, 3, 4], [1, 2, 2, 3, NONE], [1, 1, 3, 3, 1.0]])
VERDICTS = np.array([1, 1, 2, 3, 4.0])


def test_duels_by_hand() -> None:
    """Left out rater 1. Item 1: all say 1, tie. Item 2: the others say 2 and 1; both rivals match one, tie. Item 3: the
    same, tie. Item 4: tie. Item 5: the only other says 1, neither does, tie. So 5 of 5 for both. Left out rater 2, who
    skipped item 5: others of item 2 say 2 and 1, tie; of item 3 2 and 3, tie: 4 of 4. Left out rater 3: item 2, the
    others say 2 and 2, neither matches, tie; item 3, they say 2 and 2, the judge does, the rater says 3: the judge's;
    item 5, the other says 4, so does the judge, not the rater: the judge's. Judge 5 of 5, rater 3 of 5."""
    found = duels(VERDICTS, SMALL, "exact")
    assert found.compared.tolist() == [[1, 1, 1, 1, 1], [1, 1, 1, 1, 0], [1, 1, 1, 1, 1]]
    assert found.judge.tolist() == [[1, 1, 1, 1, 1], [1, 1, 1, 1, 0], [1, 1, 1, 1, 1]]
    assert found.rater.tolist() == [[1, 1, 1, 1, 1], [1, 1, 1, 1, 0], [1, 1, 0, 1, 0]]


def test_distances_tell_more_than_matches() -> None:
    """By squares: rater 1 at item 2 says 2, the judge 1, the others 2 and 1: equal. At item 5 both say 4. With a judge
    of 2 there: 1 off the only other's 1, where rater 1 is 3 off."""
    nearer = np.array([1, 1, 2, 3, 2.0])
    found = duels(nearer, SMALL, "rmse")
    assert found.judge[0].tolist() == [1, 1, 1, 1, 1]
    assert found.rater[0].tolist() == [1, 1, 1, 1, 0]
    assert duels(nearer, SMALL, "exact").rater[0].tolist() == [1, 1, 1, 1, 1]


def test_the_small_example_as_a_test() -> None:
    """Rater 3: differences 0 0 -1 0 -1, mean -0.4, deviation sqrt(0.3), so t = (-0.4 - 0.2) / sqrt(0.3 / 5) = -2.4495
    with 4 degrees of freedom, p = 0.0353. The others differ nowhere: p = (1 - 0.2)^5 and (1 - 0.2)^4. In order 0.0353
    0.3277 0.4096 against 0.05 / (11/6) * (1/3, 2/3, 1) = 0.0091 0.0182 0.0273: nobody is beaten."""
    found = measured(alt_test(VERDICTS, SMALL, 0.2, least_items=2))
    assert [(trial.items, trial.judge, trial.rater) for trial in found.trials] == [(5, 1, 1), (4, 1, 1), (5, 1, 0.6)]
    assert [trial.p for trial in found.trials] == pytest.approx([0.8**5, 0.8**4, 0.03525], abs=1e-5)
    assert found.winning_rate == 0
    assert found.advantage == 1.0
    generous = measured(alt_test(VERDICTS, SMALL, 0.2, alpha=0.3, least_items=2))
    assert [trial.beaten for trial in generous.trials] == [False, False, True], "0.3 / (11/6) / 3 is 0.0545"


def test_p_values_and_procedure_are_scipys() -> None:
    judge, good = rated(1, items=150, judge=0.75, people=0.85)
    raters = np.concatenate([good, rated(1, items=150, judge=0.75, people=0.5)[1]])
    raters[:, :20][np.random.default_rng(2).random((6, 20)) < 0.4] = NONE
    found = measured(alt_test(judge, raters, 0.1))
    fought = duels(judge, raters, "exact")
    expected = []
    for row in range(6):
        on = fought.compared[row] > 0
        gaps = (fought.rater[row] - fought.judge[row])[on]
        expected.append(stats.ttest_1samp(gaps, 0.1, alternative="less").pvalue)
    assert [trial.p for trial in found.trials] == pytest.approx(expected, rel=1e-9)
    adjusted = stats.false_discovery_control(expected, method="by")
    assert [trial.beaten for trial in found.trials] == (adjusted <= 0.05).tolist()
    assert 0 < found.winning_rate < 1, "an example in which something is decided"
    assert found.advantage == pytest.approx((fought.judge.sum(axis=1) / fought.compared.sum(axis=1)).mean())


def test_a_judge_like_a_person_passes_and_one_at_random_does_not() -> None:
    good = measured(alt_test(*rated(3, items=100, judge=0.85), epsilon=0.2))
    assert good.passed
    poor = measured(alt_test(*rated(3, items=100, judge=0.0), epsilon=0.2))
    assert poor.winning_rate == 0
    assert poor.advantage < good.advantage


def test_raters_and_items_have_no_order() -> None:
    judge, raters = rated(4, raters=4)
    found = measured(alt_test(judge, raters))
    order, items = np.array([2, 0, 3, 1]), np.random.default_rng(5).permutation(judge.size)
    again = measured(alt_test(judge[items], raters[order][:, items]))
    assert again.winning_rate == found.winning_rate
    assert [trial.p for trial in again.trials] == pytest.approx([found.trials[slot].p for slot in order])


def test_clusters_are_the_units_of_the_test() -> None:
    judge, raters = rated(6, items=40, judge=0.7)
    twice, tables = np.repeat(judge, 2), np.repeat(raters, 2, axis=1)
    once = measured(alt_test(judge, raters))
    both = measured(alt_test(twice, tables, groups=np.repeat(np.arange(40), 2)))
    assert [trial.p for trial in both.trials] == pytest.approx([trial.p for trial in once.trials])
    assert (both.items, both.clusters) == (80, 40)
    few = alt_test(twice, tables, groups=np.repeat(np.arange(20), 4))
    assert isinstance(few, Unmeasured)
    assert "30 or more clusters" in few.reason


def test_too_few_raters_or_items_are_unmeasured() -> None:
    judge, raters = rated(7, raters=4)
    for table, verdicts in ((raters[:2], judge), (raters[:, :20], judge[:20]), (raters, np.full(80, NONE))):
        found = alt_test(verdicts, table)
        assert isinstance(found, Unmeasured)
        assert "3 are needed" in found.reason
    raters[3, 10:] = NONE
    found = measured(alt_test(judge, raters))
    assert found.untested == (4,)
    assert [trial.slot for trial in found.trials] == [1, 2, 3]
    alone = measured(alt_test(judge, raters[:3]))
    assert [trial.p for trial in alone.trials] != [trial.p for trial in found.trials], "rater 4 counts among the others"


def test_a_sample_without_differences_is_not_certainty() -> None:
    table = np.tile(np.arange(30.0) % 4, (3, 1))
    found = measured(alt_test(table[0], table, 0.2))
    assert [trial.p for trial in found.trials] == pytest.approx([0.8**30] * 3)
    assert found.passed
    strict = measured(alt_test(table[0], table, 0.0))
    assert [trial.p for trial in strict.trials] == [1.0, 1.0, 1.0], "nobody is better, and that is no news without cost"


@pytest.mark.parametrize(("items", "worse"), [(30, 0.05), (30, 0.3), (100, 0.1)])
def test_size_on_the_border_of_the_hypothesis(items: int, worse: float) -> None:
    """Differences -1, 0, 1 with mean epsilon: one rater is beaten in about 5 %, as one test of one rater would be."""
    drawn, worlds, epsilon = np.random.default_rng(8), 500, 0.2
    rejected = 0
    for _ in range(worlds):
        gaps = drawn.choice([-1, 0, 1], p=[worse, 1 - 2 * worse - epsilon, worse + epsilon], size=items)
        # rater 1 against the judge, by raters 2 and 3 who always agree on 0
        judge, rater = np.where(gaps == 1, 9.0, 0.0), np.where(gaps == -1, 9.0, 0.0)
        found = measured(alt_test(judge, np.stack([rater, np.zeros(items), np.zeros(items)]), epsilon))
        rejected += found.trials[0].p < 0.05
    assert rejected / worlds < 0.05 + 3 * sqrt(0.05 * 0.95 / worlds)


def test_wrong_arguments_say_what_was_expected() -> None:
    judge, raters = rated(9)
    for call, message in (
        (lambda: alt_test(judge, raters, epsilon=1.2), "0 <= epsilon < 1"),
        (lambda: alt_test(judge, raters, alpha=0.0), "0 < alpha < 1"),
        (lambda: alt_test(judge[:5], raters), "one verdict per item"),
        (lambda: alt_test(judge, raters[0]), "expected \\(raters, items\\)"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
