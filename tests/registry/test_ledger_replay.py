"""Which entries of a ledger count: tables of single cases, and any interleaving of writers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finetune_gate.gate.registry.ledger_entries import (
    DONE,
    ENTRY_TAG,
    LATE_WRITE_S,
    SETTING_TAG,
    Entry,
    Fate,
    Kind,
    Row,
    condition,
    ledger_name,
    replay,
)
from finetune_gate.gate.registry.own_models import is_own

NOW = 1_800_000_000_000


def row(
    number: int,
    before: str | None = None,
    after: str | None = None,
    generation: int = 0,
    *,
    seen: int | None = None,
    kind: Kind = "promotion",
    alias: str = "champion",
    done: bool = True,
    begun: int | None = None,
    id: str | None = None,
) -> Row:
    entry = Entry(
        id=id or f"id-{number}",
        kind=kind,
        alias=alias,
        before=before,
        after=after,
        generation=generation,
        seen=number - 1 if seen is None else seen,
        actor="a",
        trigger="t",
        reason="r",
        at="2026-01-01T00:00:00+00:00",
    )
    setters = ({"x": None} if done else {}) | ({} if begun is None else {"y": begun})
    return Row(number, NOW, entry, setters)


def fates(*rows: Row) -> list[Fate]:
    found = replay(rows)
    return [found.fates[one.number] for one in sorted(rows, key=lambda one: one.number)]


def test_a_chain_of_moves() -> None:
    found = replay([row(2, "1", "2", 1), row(1, None, "1"), row(3, "2", "5", 2)])
    standing = found.standing("champion")
    assert (standing.generation, standing.version, standing.broken_at) == (3, "5", None)
    assert [one.number for one in found.moves("champion")] == [1, 2, 3]
    assert found.head == 3


def test_of_two_that_were_judged_against_one_generation_the_first_counts() -> None:
    assert fates(row(1, "1", "2"), row(2, "1", "3"), row(3, "2", "4", 1)) == ["counts", "late", "counts"]


@pytest.mark.parametrize(
    ("second", "fate"),
    [
        (row(2, "9", "3", 1), "late"),  # the generation is right, and the version is not what it left behind
        (row(2, "2", "3", 1, kind="rollback"), "counts"),
        (row(2, "2", "7", 1, kind="hand-made"), "counts"),
        (row(2, "2", None, 1, kind="hand-made"), "counts"),
        (row(2, "2", "3", 0), "late"),
        (row(2, "2", "3", 1, kind="refusal"), "refusal"),
        (row(2, "1", "2", 0, id="id-1"), "repeat"),
        (Row(2, NOW, None), "unreadable"),
        (row(2, None, "9", 0, alias="staging"), "counts"),
    ],
)
def test_what_may_follow_a_move(second: Row, fate: Fate) -> None:
    assert fates(row(1, "1", "2"), second) == ["counts", fate]


def test_aliases_have_generations_of_their_own() -> None:
    found = replay([row(1, None, "1"), row(2, None, "4", alias="staging"), row(3, "1", "2", 1)])
    assert found.standing("champion").generation == 3
    assert found.standing("staging").generation == 2
    assert found.standing("nobody").generation == 0


# -- deleted entries -----------------------------------------------------------------------------------------------


def test_after_a_deleted_entry_nothing_counts_until_somebody_who_knows_says_where_the_alias_is() -> None:
    rows = [row(1, "1", "2"), row(3, "2", "4", 2), row(4, "2", "3", 1)]
    assert fates(*rows) == ["counts", "unclear", "unclear"]
    assert replay(rows).standing("champion").broken_at == 2
    assert replay(rows).standing("staging").broken_at == 2
    unaware = row(5, "2", "4", 1, kind="hand-made", seen=1)
    assert fates(*rows, unaware)[-1] == "unclear"
    aware = row(6, "2", "4", 1, kind="hand-made", seen=5)
    twice = row(7, "2", "4", 1, kind="hand-made", seen=5)
    found = replay([*rows, unaware, aware, twice, row(8, "4", "5", 6)])
    assert [found.fates[at] for at in (6, 7, 8)] == ["counts", "late", "counts"]
    assert found.standing("champion").broken_at is None
    assert found.missing == (2,)


def test_a_refused_move_does_not_come_to_count_because_the_winner_was_deleted() -> None:
    winner, loser = row(1, "1", "2"), row(2, "1", "3")
    assert fates(winner, loser) == ["counts", "late"]
    assert replay([loser]).fates[2] == "unclear"


def test_the_last_entry_deleted_is_seen_by_the_gap_before_the_next() -> None:
    assert fates(row(1, "1", "2"), row(3, "2", "5", 1, seen=1)) == ["counts", "unclear"]


# -- the alias beside the ledger -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "serves", "expected"),
    [
        ([], "7", "settled"),
        ([row(1, "1", "2", kind="refusal")], "7", "settled"),
        ([row(1, "1", "2")], "2", "settled"),
        ([row(1, "1", "2", done=False)], "1", "unfinished"),  # killed before the alias moved
        ([row(1, "1", "2", done=False)], "2", "unfinished"),  # killed after it, maybe before the stage
        ([row(1, None, "2", done=False)], None, "unfinished"),
        ([row(1, "1", "2")], "1", "hand-made"),  # moved back by hand: it was seen to be carried out
        ([row(1, "1", "2")], "3", "hand-made"),
        ([row(1, "1", "2")], None, "hand-made"),
        ([row(1, "1", "2", done=False)], "3", "hand-made"),
        ([row(1, "1", "2", done=False)], None, "hand-made"),
        ([row(1, "1", "2", done=False, begun=NOW - 1000)], "1", "unfinished"),
        # the first move's writer slept while the second was made, woke up, and set the alias to where its own led
        ([row(1, "1", "2", begun=NOW - 1000), row(2, "2", "3", 1)], "2", "late write"),
        ([row(1, "1", "2", begun=NOW + 5000), row(2, "2", "3", 1)], "2", "late write"),
        ([row(1, "1", "2", begun=NOW - int(LATE_WRITE_S * 1000)), row(2, "2", "3", 1)], "2", "hand-made"),
        ([row(1, "1", "2"), row(2, "2", "3", 1)], "2", "hand-made"),
        ([row(1, "1", "2"), row(2, "1", "4", begun=NOW), row(3, "2", "3", 1)], "4", "hand-made"),  # 2 never counted
        ([row(2, "1", "2")], "2", "hand-made"),  # entry 1 is gone
        ([row(1, "1", "2", kind="refusal"), row(3, "1", "2", kind="refusal")], "2", "hand-made"),
    ],
)
def test_how_an_alias_compares_with_its_ledger(rows: list[Row], serves: str | None, expected: str) -> None:
    assert condition(replay(rows), "champion", serves, NOW) == expected


# -- any interleaving ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Turn:
    writer: int
    does: str
    to: int


turns = st.lists(
    st.builds(
        Turn, st.integers(0, 4), st.sampled_from(["read", "promote", "back", "by hand", "refuse"]), st.integers(1, 9)
    ),
    max_size=60,
)


def written(steps: list[Turn]) -> tuple[list[Row], Counter[int]]:
    """Writers that read now and append later, as processes do; and how often each generation was moved from."""
    rows: list[Row] = []
    known: dict[int, tuple[int, int, str | None]] = {}
    named: Counter[int] = Counter()
    kinds: dict[str, Kind] = {"promote": "promotion", "back": "rollback", "by hand": "hand-made", "refuse": "refusal"}
    for step in steps:
        if step.does == "read" or step.writer not in known:
            found = replay(rows)
            standing = found.standing("champion")
            known[step.writer] = (found.head, standing.generation, standing.version)
        if step.does == "read":
            continue
        seen, generation, version = known[step.writer]
        number = len(rows) + 1
        rows.append(row(number, version, str(step.to), generation, seen=seen, kind=kinds[step.does]))
        if step.does != "refuse":
            named[generation] += 1
    return rows, named


@settings(max_examples=300, deadline=None)
@given(turns, st.randoms(use_true_random=False))
def test_any_interleaving_gives_exactly_one_move_for_each_generation(steps: list[Turn], chance: Any) -> None:
    rows, named = written(steps)
    found = replay(rows)
    assert set(found.fates.values()) <= {"counts", "late", "refusal"}
    moves = found.moves("champion")
    moved_from = Counter(one.entry.generation for one in moves if one.entry)
    assert moved_from == Counter(dict.fromkeys(named, 1))
    for earlier, later in pairwise(moves):
        assert earlier.entry is not None
        assert later.entry is not None
        assert (later.entry.generation, later.entry.before) == (earlier.number, earlier.entry.after)
    shuffled = list(rows)
    chance.shuffle(shuffled)
    assert replay(shuffled) == found
    for at in range(len(rows)):  # what was decided once stays decided, whatever is appended
        assert all(found.fates[number] == fate for number, fate in replay(rows[:at]).fates.items())


@settings(max_examples=300, deadline=None)
@given(turns, st.sets(st.integers(1, 60), min_size=1, max_size=5))
def test_deleting_entries_never_makes_one_count(steps: list[Turn], deleted: set[int]) -> None:
    rows, _ = written(steps)
    whole = replay(rows)
    left = replay([one for one in rows if one.number not in deleted])
    for number, fate in left.fates.items():
        entry = rows[number - 1].entry
        if fate == "counts" and entry is not None and entry.kind != "hand-made":
            assert whole.fates[number] == "counts"


# -- how it is kept ------------------------------------------------------------------------------------------------


def version_of(number: int | str, tags: dict[str, str]) -> Any:
    return SimpleNamespace(version=number, tags=tags, creation_timestamp=NOW)


def test_an_entry_comes_back_from_its_tags() -> None:
    kept = row(3, "1", "2", 1, seen=2, done=False).entry
    assert kept is not None
    text = kept.model_dump_json()
    assert '"from":"1","to":"2"' in text
    back = Row.of(
        version_of("3", {ENTRY_TAG: text, SETTING_TAG + "a": "begun 17", SETTING_TAG + "b": DONE, "other": "x"})
    )
    assert back == Row(3, NOW, kept, {"a": 17, "b": None})
    assert back.done
    assert replace(back, setters={"a": NOW}).being_set(NOW)
    newer = text.replace("{", '{"of_a_later_version":1,', 1)
    assert Row.of(version_of(3, {ENTRY_TAG: newer})).entry == kept


@pytest.mark.parametrize(
    "change", ["", "{}", "[" * 9999, ('"seen":2', '"seen":3'), ('"generation":1', '"generation":3')]
)
def test_what_is_no_entry(change: str | tuple[str, str]) -> None:
    entry = row(3, "1", "2", 1, seen=2).entry
    assert entry is not None
    text = change if isinstance(change, str) else entry.model_dump_json().replace(*change)
    assert Row.of(version_of(3, {ENTRY_TAG: text})).entry is None


def test_names() -> None:
    assert ledger_name("support-bot") == "finetune-gate.ledger.support-bot"
    assert is_own(ledger_name("support-bot"))
    assert not is_own("support-bot")
    long = ["m" * 256, "m" * 255, "m" * 254 + "x"]
    assert len({ledger_name(name) for name in long}) == 3
    assert all(len(ledger_name(name)) <= 256 and is_own(ledger_name(name)) for name in long)
    assert ledger_name("m" * 235) == "finetune-gate.ledger." + "m" * 235
