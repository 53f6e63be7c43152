"""Limits: the longest unused goes first, what the run needs stays, and the disk gets its space back."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from answer_shards import BASE, BOT, LONG, fill, shard, whole_shards

from finetune_gate.gate.answers import AnswerStore, StoreLimits, open_answers
from finetune_gate.gate.answers.contents import check, contents, live_bytes
from finetune_gate.gate.answers.encoding import model_number
from finetune_gate.gate.answers.pruning import What, prune

DAY = 86400


def used(store: AnswerStore, days_ago: Mapping[int, float]) -> None:
    """Set when shards were last used."""
    statement = "update entries set used = ? where id = (select id from answers where address = ?)"
    now = time.time()
    rows = [(int(now - days * DAY), at.encode()) for number, days in days_ago.items() for at in shard(number)]
    store.run(lambda connection: connection.executemany(statement, rows))


def test_what_is_unused_for_long_goes(tmp_path: Path) -> None:
    fill(tmp_path / "answers.sqlite", 6)
    with AnswerStore(tmp_path / "answers.sqlite") as store:
        used(store, {0: 100, 1: 5, 2: 91, 3: 89, 4: 0, 5: 400})
        wanted = prune(store, What(unused_days=90), dry_run=True)
        assert wanted.answers == 3 * 32
        assert whole_shards(AnswerStore(store.path), 6) == list(range(6))
        assert prune(store, What(unused_days=90)).answers == 3 * 32
        assert prune(store, What(unused_days=90)).answers == 0
        assert whole_shards(store, 6) == [1, 3, 4]


def test_the_longest_unused_goes_first_and_the_file_shrinks(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    fill(path, 40)
    with AnswerStore(path) as store:
        used(store, {number: 40 - (number * 7) % 40 for number in range(40)})
        most = path.stat().st_size // 3
        planned = prune(store, What(max_bytes=most), dry_run=True)
        pruned = prune(store, What(max_bytes=most))
        assert pruned.answers >= planned.answers > 0
        assert store.run(live_bytes) <= most
        left = whole_shards(store, 40)
        recent = sorted(range(40), key=lambda number: (number * 7) % 40)[-len(left) :]
        assert left == sorted(recent)
        assert check(store).removed == 0
    assert path.stat().st_size <= most


def test_what_this_run_has_read_or_put_stays(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    fill(path, 10)
    with open_answers(tmp_path, [BOT], shared=None, limits=StoreLimits(0, 0.0), say=print) as store:
        store.put(shard(77), BASE)
        used(store, {number: 10 * number for number in range(10)})
        assert store.get(list(shard(9))) == shard(9)
        assert store.count(list(shard(8))) == 32
    with AnswerStore(path) as store:
        assert whole_shards(store, 10) == [9]
        assert store.get(list(shard(77))) == shard(77)


def test_reading_makes_it_recent(tmp_path: Path) -> None:
    fill(tmp_path / "answers.sqlite", 3)
    with AnswerStore(tmp_path / "answers.sqlite") as store:
        used(store, {0: 100, 1: 100, 2: 100})
    with AnswerStore(tmp_path / "answers.sqlite") as store:
        store.get(list(shard(1)))
    with AnswerStore(tmp_path / "answers.sqlite") as store:
        prune(store, What(unused_days=90))
        assert whole_shards(store, 3) == [1]


def test_one_models_answers(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    fill(path, 3)
    with AnswerStore(path) as store:
        store.put(shard(10), BASE)
    with AnswerStore(path) as store:
        assert prune(store, What(models=(model_number(BASE.digest),), unused_days=1)).answers == 0
        assert prune(store, What(models=(model_number(BASE.digest),))).answers == 32
        assert [model.label for model in contents(store).models] == [BOT.label]
        assert prune(store, What()).answers == 96
        assert contents(store).models == ()


def test_others_are_not_kept_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No step of pruning and vacuuming holds the lock for long."""
    path = tmp_path / "answers.sqlite"
    fill(path, 400 if LONG else 60, 64)
    longest = 0.0
    with AnswerStore(path) as store:
        run = store.run

        def timed(work):  # type: ignore[no-untyped-def]
            nonlocal longest
            begun = time.thread_time()
            try:
                return run(work)
            finally:
                longest = max(longest, time.thread_time() - begun)

        monkeypatch.setattr(store, "run", timed)
        prune(store, What())
    assert longest < 0.5
    assert path.stat().st_size < 100_000


def test_a_store_within_its_limits_is_left_alone(tmp_path: Path) -> None:
    fill(tmp_path / "answers.sqlite", 5)
    before = (tmp_path / "answers.sqlite").read_bytes()
    with open_answers(tmp_path, [BOT], shared=None, limits=StoreLimits(), say=print):
        pass
    assert (tmp_path / "answers.sqlite").read_bytes() == before


def test_check_removes_what_does_not_check_out(tmp_path: Path) -> None:
    fill(tmp_path / "answers.sqlite", 5)
    with AnswerStore(tmp_path / "answers.sqlite") as store:
        store.run(lambda connection: connection.execute("update answers set content = content || x'00' where id < 5"))
        found = check(store)
        assert (found.answers, found.removed, found.mended) == (160, 4, None)
        assert check(store).removed == 0
        assert contents(store).answers == 156
        store.run(lambda connection: connection.execute("delete from entries"))
        assert check(store).answers == 156
