"""Looks: which rows are seen when, at what level a look decides, and when no further one is worth taking."""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from pathlib import Path

import pytest

from finetune_gate.evaluators.classification import Classification
from finetune_gate.evaluators.datasets import Dataset, Example
from finetune_gate.evaluators.evaluator import divisible
from finetune_gate.evaluators.holdout import Holdout
from finetune_gate.evaluators.measurement import Comparison, Measurement
from finetune_gate.evaluators.statistics import Estimate, Interval, group_sequential
from finetune_gate.gate.deciding import Circumstances, Decision, decide
from finetune_gate.gate.gate_file import Rule
from finetune_gate.gate.run.looks import Levels, part_of, why_stopped

SHARES = (0.25, 0.5, 0.75, 1.0)
ROWS = tuple(Example(f"e{i}", {"text": str(i)}, group=f"g{i % 40}" if i % 2 else None) for i in range(200))
DATA = Dataset("holdout", Path("holdout.jsonl"), "0" * 64, ("text",), ROWS)
CLASSIFY = Classification(data="holdout", labels=("a", "b"))


def ids(share: float, seed: int = 0) -> list[str]:
    return [one.id for one in part_of(DATA, share, seed).examples]


def test_each_look_holds_the_one_before_and_the_last_holds_everything() -> None:
    parts = [ids(share) for share in SHARES]
    assert all(set(earlier) < set(later) for earlier, later in pairwise(parts))
    assert parts[-1] == [one.id for one in ROWS]
    assert all(part == sorted(part, key=lambda one: int(one[1:])) for part in parts), "rows stay in their own order"
    assert ids(0.25) == ids(0.25)
    assert ids(0.25) != ids(0.25, seed=1)


def test_clusters_stay_together() -> None:
    taken = part_of(DATA, 0.5, 3).examples
    groups = {one.group for one in taken if one.group is not None}
    assert all((one in taken) == (one.group in groups) for one in ROWS if one.group is not None)
    clusters = len(groups) + sum(one.group is None for one in taken)
    assert clusters == 60, "half of 100 rows without a group and 20 groups"


def test_a_dataset_that_somebody_must_see_whole_is_seen_whole() -> None:
    assert divisible([CLASSIFY]) == {"holdout"}
    whole = Holdout(seen="train", unseen="holdout", scored_by="loss", text="text")
    assert divisible([CLASSIFY, whole]) == frozenset()
    assert divisible([whole]) == frozenset()


def levels(at: int, counts: tuple[int, ...] = (50, 100, 150, 200), **slices: tuple[int, ...]) -> Levels:
    by_slice = {("c", (("language", name),)): units for name, units in slices.items()}
    return Levels(at, SHARES, {("c", ()): counts, **by_slice})


def test_a_look_decides_at_its_share_of_alpha() -> None:
    planned = group_sequential(SHARES, alpha=1 - 0.95)
    for at, look in enumerate(planned.looks, 1):
        assert levels(at).confidence("c", {}, 0.95) == 1 - look.level
    assert levels(1).confidence("c", {}, 0.95) > 0.999
    assert 0.95 < levels(4).confidence("c", {}, 0.95) < 0.97
    assert levels(3).futility("c", {}, 0.95) == planned.looks[2].futility
    assert levels(4).futility("c", {}, 0.95) is None


def test_a_slice_spends_by_its_own_examples() -> None:
    found = levels(2, fr=(0, 30, 30, 40), de=(0, 0, 0, 0))
    assert (
        found.confidence("c", {"language": "fr"}, 0.95)
        == 1 - group_sequential((0.75, 1.0), alpha=1 - 0.95).looks[0].level
    )
    assert levels(1, fr=(0, 30, 30, 40)).confidence("c", {"language": "fr"}, 0.95) is None, "nothing was seen yet"
    assert levels(3, fr=(0, 30, 30, 40)).confidence("c", {"language": "fr"}, 0.95) == found.confidence(
        "c", {"language": "fr"}, 0.95
    ), "what has not grown is the same test again"
    assert found.confidence("c", {"language": "de"}, 0.95) == 0.95


def test_what_is_seen_whole_at_once_is_tested_once() -> None:
    found = levels(1, (200, 200, 200, 200))
    assert found.confidence("c", {}, 0.95) == 0.95
    assert found.futility("c", {}, 0.95) is None
    assert Levels(1, (1.0,), {("c", ()): (200,)}).confidence("c", {}, 0.95) == 0.95


RULE = Rule(metric="c.accuracy", min_change=0.0, margin=0.02, against="base")


def decided(value: float, half: float, error: float = 0.02, rule: Rule = RULE) -> Decision:
    difference = Estimate(value, Interval(value - half, value + half), 50, 50, "t", error)
    measurement = Measurement(
        "c.accuracy",
        True,
        "",
        0.95,
        50,
        {"candidate": 50, "base": 50},
        difference,
        {"base": Comparison(difference, difference)},
    )
    return decide([rule], {0: measurement}, Circumstances(False, (), date(2026, 6, 1)))


@pytest.mark.parametrize(
    ("value", "half", "at", "stopped"),
    [
        (0.10, 0.05, 1, "success"),
        (-0.20, 0.05, 1, "failure"),
        (0.00, 0.05, 1, None),
        (-0.03, 0.10, 3, "futility"),
        (-0.03, 0.10, 1, None),
        (-0.06, 0.10, 4, None),
        (0.10, 0.05, 4, None),
    ],
    ids=[
        "clear",
        "clearly bad",
        "open",
        "hopeless late",
        "hopeless is not yet hopeless",
        "last look",
        "last and clear",
    ],
)
def test_when_no_further_look_is_taken(value: float, half: float, at: int, stopped: str | None) -> None:
    assert why_stopped(decided(value, half), levels(at)) == stopped


def test_what_only_warns_stops_nothing() -> None:
    warned = RULE.model_copy(update={"severity": "warn"})
    assert why_stopped(decided(-0.06, 0.10, rule=warned), levels(3)) is None
