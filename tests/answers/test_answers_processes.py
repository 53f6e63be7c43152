"""Several processes on one store, and processes that are killed: no finished shard is lost, no answer is wrong."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from answer_shards import BASE, BOT, LONG, address, answer, finish, long_only, shard, start, whole_shards

from finetune_gate.gate.answers import AnswerStore
from finetune_gate.gate.answers.contents import check, contents

HAMMER = """
import json, sys
from pathlib import Path
from random import Random
from answer_shards import BOT, shard
from finetune_gate.gate.answers import AnswerStore
path, first, count, step, seed = Path(sys.argv[1]), *map(int, sys.argv[2:])
random = Random(seed)
said = []
numbers = [first + at * step for at in range(count)]
random.shuffle(numbers)
for start in range(0, count, 5):
    with AnswerStore(path, said.append) as store:
        for number in numbers[start:start + 5]:
            store.put(shard(number), BOT)
            back = random.choice(numbers[:start + 5])
            found = store.get(list(shard(back)))
            assert all(shard(back)[at] == one for at, one in found.items())
            assert len(store.get(list(shard(number)))) == 32
print(json.dumps(said))
"""


@pytest.mark.parametrize(
    ("workers", "shards", "overlapping"),
    [
        (2, 20, False),
        (4, 15, True),
        pytest.param(2, 400, True, marks=long_only),
        pytest.param(4, 300, False, marks=long_only),
        pytest.param(8, 200, True, marks=long_only),
    ],
)
def test_several_processes_hammer_one_store(tmp_path: Path, workers: int, shards: int, overlapping: bool) -> None:
    """They open and close it all the time, too: the first to come creates it, the last to go tidies up."""
    path = tmp_path / "answers.sqlite"
    places = [(0, 1) if overlapping else (worker, workers) for worker in range(workers)]
    ended = finish([start(HAMMER, path, first, shards, step, worker) for worker, (first, step) in enumerate(places)])
    for status, output, errors in ended:
        assert (status, errors) == (0, "")
        assert json.loads(output) == []
    numbers = shards if overlapping else shards * workers
    with AnswerStore(path) as store:
        assert whole_shards(store, numbers) == list(range(numbers))
        assert check(store).removed == 0
        assert contents(store).answers == 32 * numbers


DIES = """
import os, sys
from pathlib import Path
from answer_shards import BASE, BOT, shard
from finetune_gate.gate.answers import AnswerStore, store as module
from finetune_gate.gate.answers.pruning import What, prune
from finetune_gate.gate.answers.encoding import model_number
path, kind, where = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
class Dying:
    '''Kills the process just before the statement of number ``where``.'''
    def __init__(self, connection):
        self.connection, self.made = connection, 0
    def __getattr__(self, name):
        method = getattr(self.connection, name)
        if name not in ("execute", "executemany", "executescript"):
            return method
        def statement(*arguments):
            self.made += 1
            if self.made == where:
                os.kill(os.getpid(), 9)
            return method(*arguments)
        return statement
store = AnswerStore(path)
for number in range(5):
    store.put(shard(number), BOT)
    store.put(shard(100 + number), BASE)
print("filled", flush=True)
store._connection = Dying(store._connection)
store._touched.clear()
if kind == "put":
    store.put(shard(5), BOT)
elif kind == "prune":
    prune(store, What(models=(model_number(BASE.digest),)))
elif kind == "mark":
    store._connection.connection.execute("update entries set used = 0")
    store.get(list(shard(1)))
    store.mark_used()
print(f"lived through {store._connection.made}", flush=True)
store.close()
"""


@pytest.mark.parametrize(
    ("kind", "where"),
    [
        *(("put", where) for where in ((1, 2, 3, 4, 35, 65, 66, 67) if not LONG else range(1, 70))),
        *(("prune", where) for where in ((4, 8, 9, 10, 11, 12, 13, 14, 15, 16) if not LONG else range(1, 25))),
        *(("mark", where) for where in (2, 3, 4, 5)),
    ],
)
def test_a_kill_between_any_two_statements_loses_no_finished_shard(tmp_path: Path, kind: str, where: int) -> None:
    path = tmp_path / "answers.sqlite"
    ((status, output, errors),) = finish([start(DIES, path, kind, where)])
    assert output.startswith("filled"), errors
    assert status == -9 or "lived through" in output
    said: list[str] = []
    with AnswerStore(path, said.append) as store:
        whole = whole_shards(store, 6)
        assert whole[:5] == list(range(5))
        assert len(store.get(list(shard(5)))) in (0, 32), "half a shard"
        assert check(store).removed == 0
    assert said == []


RUNS = """
import sys
from pathlib import Path
from answer_shards import BASE, BOT, shard
from finetune_gate.gate.answers import AnswerStore, StoreLimits, open_answers
from finetune_gate.gate.answers.pruning import What, prune
from finetune_gate.gate.answers.encoding import model_number
path, first, prunes = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "prune"
print("begun", flush=True)
while True:
    with AnswerStore(path) as store:
        for number in range(first, first + 3):
            store.put(shard(number), BOT)
            print(number, flush=True)
        first += 3
        if prunes:
            for at in range(3):
                store.put(shard(1_000_000 + at), BASE)
            store._touched.clear()
            prune(store, What(models=(model_number(BASE.digest),)))
"""


def test_kills_at_any_moment_lose_no_finished_shard(tmp_path: Path) -> None:
    """Two processes, one of which also prunes and vacuums, killed again and again after random times."""
    path = tmp_path / "answers.sqlite"
    random = Random(4)
    finished = 0
    for round_ in range(60 if LONG else 5):
        processes = [start(RUNS, path, finished + 1000 * at, "prune" if at else "") for at in range(2)]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "begun\n"
        time.sleep(random.uniform(0.05, 0.5))
        for process in processes:
            process.kill()
        said: list[str] = []
        numbers: list[int] = []
        for status, output, errors in finish(processes):
            assert (status, errors) == (-9, "")
            # a last line may be cut off
            numbers += [int(line) for line in output.split("\n")[:-1]]
        with AnswerStore(path, said.append) as store:
            for number in numbers:
                assert store.get(list(shard(number))) == shard(number), f"round {round_}: shard {number}"
        assert said == []
        finished += 10_000
    assert finished


def test_a_kill_while_a_damaged_store_is_salvaged(tmp_path: Path) -> None:
    """At each step of putting the new file in place; the next to open the store goes on."""
    steps: Counter[str] = Counter()
    for fatal in range(1, 12):
        path = tmp_path / str(fatal) / "answers.sqlite"
        with AnswerStore(path) as store:
            for number in range(4):
                store.put(shard(number), BOT)
        with path.open("r+b") as file:
            file.write(b"damaged!")
        script = """
import os, sys
from pathlib import Path
made = 0
def dying(name):
    real = getattr(os, name)
    def call(*arguments, **named):
        global made
        made += 1
        if made == int(sys.argv[2]):
            os.kill(os.getpid(), 9)
        return real(*arguments, **named)
    setattr(os, name, call)
from finetune_gate.gate.answers import AnswerStore
dying("replace")
dying("unlink")
AnswerStore(Path(sys.argv[1])).close()
"""
        ((status, _, errors),) = finish([start(script, path, fatal)])
        steps["killed" if status == -9 else "lived"] += 1
        assert status in (-9, 0), errors
        with AnswerStore(path) as store:
            assert whole_shards(store, 4) == [0, 1, 2, 3], fatal
    assert steps["killed"] >= 8
    assert steps["lived"] >= 1


def test_a_store_that_is_deleted_while_it_is_open(tmp_path: Path) -> None:
    """Somebody makes room by hand: the next run begins with an empty store."""
    path = tmp_path / "answers.sqlite"
    with AnswerStore(path) as first:
        first.put({address("a"): answer("a")}, BOT)
        path.unlink()
        with AnswerStore(path) as second:
            assert second.get([address("a")]) == {}
            second.put({address("b"): answer("b")}, BASE)
    with AnswerStore(path) as third:
        assert third.get([address("b")]) == {address("b"): answer("b")}
