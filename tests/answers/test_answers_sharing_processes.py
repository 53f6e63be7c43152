"""Machines that share a place at the same time, and that are killed: no answer is lost there."""

from __future__ import annotations

from pathlib import Path

from answer_shards import LONG, finish, start
from answer_sharing import run

COMPACTS = """
import os, sys
from pathlib import Path
from answer_shards import BOT, shard
from finetune_gate.gate.answers import StoreLimits, open_answers, shared_answers, sharing
home, url, fatal = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
sharing.MANY_PACKS = 5
place = shared_answers(url, None)
calls = 0
class Dying:
    def __init__(self, system):
        self.system = system
    def __getattr__(self, name):
        method = getattr(self.system, name)
        def call(*arguments, **named):
            global calls
            calls += 1
            if calls == fatal:
                os.kill(os.getpid(), 9)
            return method(*arguments, **named)
        return call
with open_answers(home, [BOT], shared=place, limits=StoreLimits(), say=print) as store:
    store.put(shard(1000), BOT)
    place._system = Dying(place._system)
"""


def test_a_kill_while_packs_are_put_together_loses_none(tmp_path: Path) -> None:
    """Killed before each step of one more run: pushing, reading the small ones, writing, removing."""
    small = 6
    first = tmp_path / "first"
    for number in range(small):
        run(tmp_path / "a", f"file://{first}", [number])
    killed = 0
    for fatal in range(1, 36, 1 if LONG else 5):
        shared = tmp_path / f"shared-{fatal}"
        for file in first.rglob("*.gz"):
            target = shared / file.relative_to(first)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
        home = tmp_path / f"home-{fatal}"
        ((status, _, errors),) = finish([start(COMPACTS, home, f"file://{shared}", fatal)])
        assert status in (0, -9), errors
        killed += status == -9
        assert run(tmp_path / f"new-{fatal}", f"file://{shared}", range(small))[0] == [], fatal
        assert run(home, f"file://{shared}", [1000])[0] == [], "what was put is here, pushed or not"
    assert killed >= 5


HAMMER = """
import sys
from pathlib import Path
from answer_shards import BOT, shard
from finetune_gate.gate.answers import StoreLimits, open_answers, shared_answers, sharing
sharing.MANY_PACKS = 3
home, url, first, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
for number in range(first, first + count):
    with open_answers(home, [BOT], shared=shared_answers(url, None), limits=StoreLimits(), say=print) as store:
        store.put(shard(number), BOT)
"""


def test_machines_that_share_and_tidy_up_at_once_lose_nothing(tmp_path: Path) -> None:
    url, count = f"file://{tmp_path}/shared", 60 if LONG else 12
    machines = [start(HAMMER, tmp_path / f"home-{at}", url, at * count, count) for at in range(3)]
    for status, output, errors in finish(machines):
        assert (status, errors) == (0, "")
        assert " ignored: " not in output
        assert "not shared" not in output
    assert run(tmp_path / "new", url, range(3 * count))[0] == []
