"""Splits: nothing lost, nothing doubled, nothing moved by added rows, nothing alike on two sides."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from finetune_gate.evaluators.datasets import Dataset
from finetune_gate.evaluators.errors import DatasetError
from finetune_gate.evaluators.splitting import likeness
from finetune_gate.evaluators.splitting.deduplicating import deduplicate
from finetune_gate.evaluators.splitting.leakage import find_leaks
from finetune_gate.evaluators.splitting.reporting import report_split
from finetune_gate.evaluators.splitting.settings import Side, Split, SplitSettings
from finetune_gate.evaluators.splitting.strategies import chance, split, text_columns
from finetune_gate.evaluators.splitting.timestamps import duration, moment
from finetune_gate.evaluators.testing import made_dataset

WORDS = [f"w{at}" for at in range(2_000)]
Rows = list[dict[str, Any]]


def rows(count: int, seed: int = 0, prefix: str = "r") -> Rows:
    """Every fifth row repeats an earlier one in another dress or with a word more."""
    drawn = random.Random(seed)
    made: Rows = []
    for at in range(count):
        text = " ".join(drawn.choices(WORDS, k=30))
        if at % 5 == 4:
            text = drawn.choice(made)["text"]
            text = text.upper() + "!" if at % 2 else text + " more"
        day = drawn.randrange(360)
        time = f"{at % 24:02}:{at % 60:02}:{drawn.randrange(60):02}"
        made.append(
            {
                "id": f"{prefix}{at}",
                "text": text,
                "category": drawn.choice(("billing", "bug", "praise")),
                "group": f"g{drawn.randrange(max(1, count // 4))}",
                "timestamp": f"2026-{day // 30 + 1:02}-{day % 28 + 1:02}T{time}",
            }
        )
    return made


def splitted(some: Rows, **asked: Any) -> tuple[Dataset, Split]:
    dataset = made_dataset("rows", some)
    return dataset, split(dataset, SplitSettings(**asked))


def side_by_id(dataset: Dataset, found: Split) -> dict[str, Side]:
    return {example.id: side for example, side in zip(dataset.examples, found.sides, strict=True)}


def texts_of(dataset: Dataset, places: Sequence[int]) -> list[str]:
    return [str(dataset.examples[at].row["text"]) for at in places]


EVERY: list[dict[str, Any]] = [
    {"strategy": "random"},
    {"strategy": "random", "validation_share": 0.2},
    {"strategy": "category", "test_share": 0.3},
    {"strategy": "category", "leave_out": ("praise",), "validation_share": 0.2},
    {"strategy": "group"},
    {"strategy": "temporal", "cut": "2026-09-01", "embargo": "2d"},
    {"strategy": "temporal", "validation_share": 0.2, "embargo": "12h"},
]


@pytest.mark.parametrize("asked", EVERY)
def test_no_row_is_lost_or_doubled(asked: dict[str, Any]) -> None:
    dataset, found = splitted(rows(400), **asked)
    placed = [at for side in ("train", "validation", "test", "set aside") for at in found.rows(side)]
    assert sorted(placed) == list(range(len(dataset.examples)))
    assert all(bool(reason) == (side == "set aside") for side, reason in zip(found.sides, found.reasons, strict=True))


@pytest.mark.parametrize("asked", EVERY)
def test_nothing_of_a_later_part_lies_in_an_earlier_one(asked: dict[str, Any]) -> None:
    """The search of the holdout evaluator finds no copy and no near-duplicate across a split."""
    dataset, found = splitted(rows(400), **asked)
    train = texts_of(dataset, found.rows("train"))
    for side in ("validation", "test"):
        leaks = find_leaks(train, texts_of(dataset, found.rows(side)))
        assert [leak for leak in leaks if leak.kind != "overlap"] == []


def test_without_care_duplicates_would_leak() -> None:
    """Negative control: the same rows cut in two by position do leak."""
    dataset = made_dataset("rows", rows(400))
    assert find_leaks(texts_of(dataset, range(300)), texts_of(dataset, range(300, 400)))


@settings(deadline=None, max_examples=25)
@given(
    st.integers(2, 60),
    st.integers(0, 60),
    st.integers(0, 5),
    st.sampled_from([EVERY[0], EVERY[1], {**EVERY[2]}, EVERY[3], EVERY[4]]),
)
def test_added_rows_never_move_old_ones(old: int, new: int, seed: int, asked: Mapping[str, Any]) -> None:
    """New rows of their own: near copies of old rows join those, and are tested apart."""
    before, after = rows(old, seed), rows(new, seed + 100, prefix="n")
    for row in after:
        row["group"] = row["group"].replace("g", "new ")
    try:
        first = side_by_id(*splitted(before, **asked))
    except DatasetError as error:
        assert any(says in str(error) for says in ("left for", "no row with"))  # noqa: PT017 - too few rows for a part
        return
    mixed = side_by_id(*splitted([*before, *after], **asked))
    assert {name: mixed[name] for name in first} == first


def test_rows_that_join_a_group_or_a_cluster_go_where_it_is() -> None:
    before = rows(200)
    for asked in (EVERY[0], EVERY[4]):
        first = side_by_id(*splitted(before, **asked))
        joining = [
            {**row, "id": f"j{at}", "text": row["text"] if asked["strategy"] == "random" else f"{at} of its own kind"}
            for at, row in enumerate(before)
        ]
        mixed = side_by_id(*splitted([*before, *joining], **asked))
        assert {name: mixed[name] for name in first} == first
        assert all(mixed[f"j{at}"] == mixed[f"r{at}"] for at in range(200))


def test_the_order_of_other_rows_does_not_matter() -> None:
    distinct = [row for at, row in enumerate(rows(300)) if at % 5 != 4]
    first = side_by_id(*splitted(distinct, strategy="random"))
    random.Random(1).shuffle(distinct)
    assert side_by_id(*splitted(distinct, strategy="random")) == first


def test_a_group_never_spans_sides() -> None:
    dataset, found = splitted(rows(500), strategy="group", validation_share=0.2)
    sides: dict[object, set[str]] = {}
    for example, side in zip(dataset.examples, found.sides, strict=True):
        sides.setdefault(example.row["group"], set()).add(side)
    assert all(len(one) == 1 for one in sides.values())


def test_near_duplicates_and_what_links_them_share_a_side() -> None:
    _, found = splitted(rows(500), strategy="random", test_share=0.5)
    for at, first in enumerate(found.firsts):
        assert found.sides[at] == found.sides[first]
    assert sum(at != first for at, first in enumerate(found.firsts)) == 100


def test_shares_are_met_on_average_and_salts_differ() -> None:
    some = [row for at, row in enumerate(rows(3_000)) if at % 5 != 4]
    dataset, found = splitted(some, strategy="category", test_share=0.25, validation_share=0.1)
    report = report_split(dataset, SplitSettings(strategy="category", test_share=0.25, validation_share=0.1), found)
    assert report.parts["test"].share == pytest.approx(0.25, abs=0.03)
    assert report.parts["validation"].share == pytest.approx(0.1, abs=0.02)
    assert {name: sum(counts.values()) for name, counts in report.strata.items()}.keys() == {"billing", "bug", "praise"}
    assert all(0.2 < counts["test"] / sum(counts.values()) < 0.3 for counts in report.strata.values())
    assert splitted(some, strategy="random", salt="other")[1].sides != splitted(some, strategy="random")[1].sides


def test_a_validation_part_takes_nothing_from_test() -> None:
    some = rows(300)
    alone = side_by_id(*splitted(some, strategy="random"))
    both = side_by_id(*splitted(some, strategy="random", validation_share=0.3))
    assert {name for name, side in alone.items() if side == "test"} == {
        name for name, side in both.items() if side == "test"
    }


def test_a_stratum_that_got_nothing_is_warned_of() -> None:
    some = rows(100)
    some[0]["category"] = "rare"
    dataset, found = splitted(some, strategy="category")
    warnings = report_split(dataset, SplitSettings(strategy="category"), found).warnings
    assert any("category 'rare': none of its 1 rows is in " in warning for warning in warnings)
    assert any("groups have rows in several parts" in warning for warning in warnings)


def test_values_are_left_out_altogether() -> None:
    dataset, found = splitted(rows(400), strategy="category", leave_out=("praise",))
    for example, side in zip(dataset.examples, found.sides, strict=True):
        assert (example.row["category"] == "praise") == (side in ("test", "set aside"))
    assert any(reason.startswith("repeats 'r") for reason in found.reasons)
    with pytest.raises(DatasetError, match="no row with the value 'nothing'"):
        splitted(rows(40), strategy="category", leave_out=("nothing",))


def test_time_is_cut_strictly_and_with_an_embargo() -> None:
    dataset, found = splitted(rows(400), strategy="temporal", cut="2026-09-01", embargo="7d")
    for example, side, reason in zip(dataset.examples, found.sides, found.reasons, strict=True):
        at = str(example.row["timestamp"])
        if side == "train":
            assert at < "2026-08-25"
        elif side == "test":
            assert at >= "2026-09-01"
        elif "embargo" in reason:
            assert "2026-08-25" <= at < "2026-09-01"
        else:
            assert reason.startswith("repeats")
            assert at >= "2026-09-01"
    assert any("embargo" in reason for reason in found.reasons)


def test_without_a_cut_the_latest_share_is_test() -> None:
    some = [row for at, row in enumerate(rows(500)) if at % 5 != 4]
    dataset, found = splitted(some, strategy="temporal", test_share=0.25, validation_share=0.25)
    report = report_split(dataset, SplitSettings(strategy="temporal", test_share=0.25, validation_share=0.25), found)
    assert [report.parts[part].rows for part in ("train", "validation", "test")] == [200, 100, 100]
    assert report.parts["train"].latest < report.parts["validation"].earliest
    assert report.parts["validation"].latest < report.parts["test"].earliest == report.boundaries["test"]
    assert any("--cut" in warning for warning in report.warnings)


def timed(*moments: object) -> Rows:
    return [{"id": at, "text": f"text {at} about {at * 7}", "timestamp": one} for at, one in enumerate(moments)]


@pytest.mark.parametrize(
    ("moments", "asked", "says"),
    [
        (("2026-01-01", None, "2026-01-03"), {}, "no value"),
        (("2026-01-01", "", "2026-01-03"), {}, "no value"),
        (("2026-01-01", "yesterday", "2026-01-03"), {}, "'yesterday'"),
        (("2026-01-01", True, 3), {}, "'True'"),
        ((1, 2, 1_767_225_600_000), {}, "'1767225600000'"),
        (("2026-01-01T00:00:00Z", "2026-01-02T00:00:00"), {}, "some have none"),
        (("2026-01-01T10:00:00", "2026-01-02T10:00:00"), {"cut": "2026-01-02T00:00:00Z"}, "the cut among them"),
        (("2026-01-01", "2026-01-02", "2026-01-02"), {"test_share": 0.3}, "2 rows at 2026-01-02"),
        (("2026-01-01", "2026-01-02", "2026-01-03T10:00:00"), {"cut": "2026-01-02T12:00:00"}, "no time of day"),
        (("2026-01-01", "2026-01-02"), {"cut": "2027-01-01"}, "is left for test"),
        (("2026-01-01", "2026-01-02"), {"cut": "2025-01-01"}, "is left for train"),
    ],
)
def test_times_that_leave_a_side_open_are_refused(moments: Sequence[object], asked: dict[str, Any], says: str) -> None:
    with pytest.raises(DatasetError, match=says):
        splitted(timed(*moments), strategy="temporal", **asked)


def test_moments_are_read_as_people_write_them() -> None:
    zone = moment("2026-03-01T12:00:00+02:00")
    assert zone is not None
    assert str(zone) == "2026-03-01T10:00:00Z"
    assert str(moment("2026-03-01")) == "2026-03-01"
    assert str(moment(0)) == "1970-01-01T00:00:00Z"
    assert moment(float("nan")) is None
    assert str(duration("36h")) == "1 day, 12:00:00"
    assert duration("a week") is None


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"strategy": "random", "cut": "2026-01-01"}, "temporal"),
        ({"strategy": "random", "leave_out": ("a",)}, "category strategy"),
        ({"strategy": "temporal", "salt": "x"}, "no salt"),
        ({"strategy": "temporal", "cut": "soon"}, "no moment"),
        ({"strategy": "temporal", "embargo": "7"}, "no duration"),
        ({"strategy": "temporal", "cut": "2026-01-01", "test_share": 0.3}, "does not go with them"),
        ({"strategy": "random", "test_share": 0.6, "validation_share": 0.4}, "nothing to train on"),
        ({"strategy": "random", "test_share": 1.0}, "less than 1"),
    ],
)
def test_settings_that_would_not_be_used_are_refused(asked: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        SplitSettings(**asked)


def test_columns_of_texts_are_found() -> None:
    dataset = made_dataset("rows", rows(20))
    assert text_columns(dataset) == ("text",)
    assert text_columns(made_dataset("rows", [{"word": "one"}, {"word": "two"}])) == ("word",)
    with pytest.raises(DatasetError, match="none of them with texts"):
        text_columns(made_dataset("rows", [{"n": 1}, {"n": 2}]))
    for asked in ({"strategy": "random", "text": ("body",)}, {"strategy": "group", "by": "body"}):
        with pytest.raises(DatasetError, match="no column 'body'"):
            split(dataset, SplitSettings(**asked))


def test_clusters_are_those_of_a_naive_search(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = random.Random(3)
    texts = [" ".join(drawn.choices(WORDS, k=70)) for _ in range(60)]
    for _ in range(60):
        words = drawn.choice(texts).split()
        words[drawn.randrange(70)] = "changed"
        texts.append(" ".join(words))

    def index(one: str, other: str) -> float:
        sets = [{tuple(text.split()[at : at + 5]) for at in range(len(text.split()) - 4)} for text in (one, other)]
        return len(sets[0] & sets[1]) / len(sets[0] | sets[1])

    clusters = deduplicate(texts)
    near = [(one, other) for other in range(120) for one in range(other) if index(texts[one], texts[other]) >= 0.8]
    assert len(near) > 30
    joined = sum(clusters.first_of(one) == clusters.first_of(other) for one, other in near)
    assert joined >= 0.97 * len(near)
    monkeypatch.setattr(likeness, "_PAIRS_AT_ONCE", 3)
    assert deduplicate(texts).firsts().tolist() == clusters.firsts().tolist()
    assert deduplicate(texts, near=1).firsts().tolist() == [texts.index(one) for one in texts]


def test_chances_are_even() -> None:
    drawn = [chance("", f"id {at}") for at in range(4_000)]
    assert all(0 <= one < 1 for one in drawn)
    assert sum(one < 0.2 for one in drawn) / 4_000 == pytest.approx(0.2, abs=0.03)
    assert chance("a", "b") == chance("a", "b") != chance("", "ab")
