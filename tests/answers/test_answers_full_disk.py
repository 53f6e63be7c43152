"""A full disk: one clear error, finished shards stay, reading goes on, and nothing is ever wrong."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from answer_shards import BOT, fill, finish, shard, start, whole_shards

from finetune_gate.evaluators.errors import EvaluationError
from finetune_gate.gate.answers import AnswerStore
from finetune_gate.gate.answers.contents import Checked, check

ROOM = 2 << 20


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of two MiB, where this user may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting is not allowed here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def use_up(ballast: Path) -> None:
    """The disk, to its last byte."""
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 512)


def fill_up(store: AnswerStore, limit: int = 400) -> int:
    """Put shards until there is no room; how many were put."""
    for number in range(limit):
        try:
            store.put(shard(number), BOT)
        except EvaluationError as error:
            if "free some space, or set FINETUNE_GATE_HOME" not in str(error):
                raise
            return number
    raise AssertionError("the disk never got full")


def test_a_disk_that_gets_full(tiny_disk: Path) -> None:
    path = tiny_disk / "answers.sqlite"
    (tiny_disk / "ballast").write_bytes(b"x" * (ROOM // 2))
    with AnswerStore(path) as store:
        put = fill_up(store)
        assert put > 5
        assert whole_shards(store, put + 1) == list(range(put))
        with pytest.raises(EvaluationError, match="free some space"):
            store.put(shard(put), BOT)
        assert whole_shards(store, put + 1) == list(range(put))
    with AnswerStore(path) as store:
        assert whole_shards(store, put + 1) == list(range(put)), "the next run, on a disk as full as before"
        with pytest.raises(EvaluationError, match="free some space"):
            store.put(shard(put), BOT)
    (tiny_disk / "ballast").unlink()
    with AnswerStore(path) as store:
        assert whole_shards(store, put + 1) == list(range(put))
        store.put(shard(put), BOT)
        assert check(store) == Checked(32 * (put + 1), 0, None)


def test_a_disk_that_others_filled(tiny_disk: Path) -> None:
    """Not even the memory that SQLite's users share has room: it is read without."""
    path = tiny_disk / "answers.sqlite"
    fill(path, 5)
    use_up(tiny_disk / "ballast")
    said: list[str] = []
    with AnswerStore(path, said.append) as store:
        assert whole_shards(store, 6) == [0, 1, 2, 3, 4]
        with pytest.raises(EvaluationError, match="free some space"):
            store.put(shard(5), BOT)
        assert whole_shards(store, 6) == [0, 1, 2, 3, 4]
    (tiny_disk / "ballast").unlink()
    with AnswerStore(path, said.append) as store:
        store.put(shard(5), BOT)
        assert whole_shards(store, 6) == [0, 1, 2, 3, 4, 5]
    assert said == []


def test_a_full_disk_when_the_store_is_first_opened(tiny_disk: Path) -> None:
    use_up(tiny_disk / "ballast")
    with pytest.raises(EvaluationError, match="free some space"):
        AnswerStore(tiny_disk / "answers.sqlite")
    (tiny_disk / "ballast").unlink()
    with AnswerStore(tiny_disk / "answers.sqlite") as store:
        store.put(shard(1), BOT)
        assert store.get(list(shard(1))) == shard(1)


def test_no_room_to_salvage_a_damaged_store(tiny_disk: Path) -> None:
    """It stays as it is until there is room."""
    path = tiny_disk / "answers.sqlite"
    with AnswerStore(path) as store:
        for number in range(20):
            store.put(shard(number), BOT)
    with path.open("r+b") as file:
        file.write(b"damaged!")
    assert path.stat().st_size > ROOM // 6
    ballast = tiny_disk / "ballast"
    ballast.write_bytes(b"x" * (ROOM - path.stat().st_size - 100_000))
    for _ in range(2):
        with pytest.raises(EvaluationError, match="free some space"):
            AnswerStore(path)
    ballast.unlink()
    with AnswerStore(path) as store:
        assert whole_shards(store, 20) == list(range(20))


LIMITED = """
import resource, signal, sys
from pathlib import Path
from answer_shards import BOT, shard, whole_shards
from finetune_gate.evaluators.errors import EvaluationError
from finetune_gate.gate.answers import AnswerStore
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
with AnswerStore(Path(sys.argv[1])) as store:
    for number in range(400):
        try:
            store.put(shard(number), BOT)
        except EvaluationError as error:
            assert "free some space" in str(error), error
            break
    assert whole_shards(store, number + 1) == list(range(number))
print(number)
"""


def test_files_that_may_not_grow(tmp_path: Path) -> None:
    """Quotas look like this; it needs no rights to mount anything."""
    path = tmp_path / "answers.sqlite"
    ((status, output, errors),) = finish([start(LIMITED, path, 300_000)])
    assert (status, errors) == (0, "")
    put = int(output)
    assert 5 < put < 399
    with AnswerStore(path) as store:
        assert whole_shards(store, put + 1) == list(range(put))
        store.put(shard(put), BOT)
