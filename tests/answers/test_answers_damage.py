"""A damaged store file costs the answers that lie where the damage is, no others, and never gives a wrong one."""

from __future__ import annotations

import ctypes
import ctypes.util
import shutil
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from random import Random

import pytest
from answer_shards import BOT, LONG, fill, finish, shard, start, whole_shards

from finetune_gate.evaluators.errors import EvaluationError
from finetune_gate.gate.answers import AnswerStore
from finetune_gate.gate.answers.salvage import PAGE, salvaged_rows
from finetune_gate.gate.answers.wal import wal_fault

SHARDS = 10

KILLED = """
import os, sys
from pathlib import Path
from answer_shards import BOT, shard
from finetune_gate.gate.answers import AnswerStore
store = AnswerStore(Path(sys.argv[1]))
for number in range(int(sys.argv[2])):
    store.put(shard(number), BOT)
os.kill(os.getpid(), 9)
"""


@pytest.fixture(scope="session")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that was closed in order: one file."""
    path = tmp_path_factory.mktemp("closed") / "answers.sqlite"
    fill(path, SHARDS)
    return path


@pytest.fixture(scope="session")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store whose process was killed: nearly everything is in its write-ahead log still."""
    path = tmp_path_factory.mktemp("killed") / "answers.sqlite"
    assert finish([start(KILLED, path, SHARDS)])[0][0] == -9
    assert path.with_name("answers.sqlite-wal").stat().st_size > 20 * PAGE
    return path


def copied(source: Path, folder: Path, name: str = "", content: bytes = b"") -> Path:
    """A copy of the store, with ``content`` instead of its file of that ending."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for ending in ("", "-wal"):
        file = source.with_name(source.name + ending)
        if file.exists():
            (folder / file.name).write_bytes(file.read_bytes())
    if content:
        (folder / (source.name + name)).write_bytes(content)
    return folder / source.name


def check_loss(path: Path, what: str, *, most: int = 2) -> list[str]:
    """Open the store, fail if it lost more than neighbours; put everything again; what was said."""
    said: list[str] = []
    with AnswerStore(path, said.append) as store:
        lost = sorted(set(range(SHARDS)) - set(whole_shards(store, SHARDS)))
        assert len(lost) <= most, (what, lost, said)
        assert not lost or lost[-1] - lost[0] < 2, (what, lost, said)
        for number in lost:
            store.put(shard(number), BOT)
        assert whole_shards(store, SHARDS) == list(range(SHARDS)), what
    assert len(said) <= 2, said  # that it was mended; and that single answers were not believed
    return said


def steps(length: int, stride: int) -> Iterable[int]:
    """1 to ``length``: all of them in the long version, else some, with both ends."""
    return range(1, length + 1) if LONG else sorted({1, 2, 3, length - 1, length, *range(1, length + 1, stride)})


def test_the_undamaged_ones_are_in_order(closed: Path, killed: Path, tmp_path: Path) -> None:
    for source in (closed, killed):
        assert check_loss(copied(source, tmp_path / "store"), "nothing", most=0) == []
    assert {row.address for row in salvaged_rows(closed)} == {row.address for row in salvaged_rows(killed)}
    assert len({row.address for row in salvaged_rows(closed)}) == 32 * SHARDS


def test_a_file_cut_anywhere_in_its_last_page(closed: Path, tmp_path: Path) -> None:
    content = closed.read_bytes()
    for cut in steps(PAGE, 97):
        check_loss(copied(closed, tmp_path / "store", "", content[:-cut]), f"cut by {cut}")


@pytest.mark.parametrize("pages", [2, 5, 20])
def test_a_file_that_lost_pages(closed: Path, tmp_path: Path, pages: int) -> None:
    """More is gone than one page; what is left is right and complete."""
    content = closed.read_bytes()[: -pages * PAGE]
    path = copied(closed, tmp_path / "store", "", content)
    left = {row.address for row in salvaged_rows(path)}
    with AnswerStore(path) as store:
        whole_shards(store, SHARDS)
        assert store.count([at for number in range(SHARDS) for at in shard(number)]) == len(left) > 0


def test_a_log_cut_anywhere_in_its_last_frames(killed: Path, tmp_path: Path) -> None:
    """As a kill or a full disk leaves it: the transaction that is cut is gone, and nothing is amiss."""
    content = killed.with_name(killed.name + "-wal").read_bytes()
    for cut in steps(3 * (PAGE + 24), 411):
        path = copied(killed, tmp_path / "store", "-wal", content[:-cut])
        assert wal_fault(path) is None
        assert check_loss(path, f"log cut by {cut}", most=1) == []


def test_one_flipped_bit_anywhere_in_the_file(closed: Path, tmp_path: Path) -> None:
    content = closed.read_bytes()
    random = Random(1)
    places = [*range(100), *random.sample(range(100, len(content)), 2000 if LONG else 50)]
    if not LONG:
        places = [*random.sample(range(100), 25), *places[100:]]
    for place in places:
        flipped = bytearray(content)
        flipped[place] ^= 1 << random.randrange(8)
        check_loss(copied(closed, tmp_path / "store", "", bytes(flipped)), f"byte {place} of {len(content)}")


def test_one_damaged_byte_anywhere_in_the_schema(closed: Path, tmp_path: Path) -> None:
    """SQLite quotes from it when it complains, letters or not."""
    content = closed.read_bytes()
    places = [place for place in range(100, PAGE) if content[place]]
    for number, place in enumerate(places):
        for byte in (content[place] ^ 0x80, 0x1B) if LONG else (content[place] ^ (0x80, 0x20, 0x01)[number % 3],):
            if LONG or number % 29 == 0:
                damaged = content[:place] + bytes([byte]) + content[place + 1 :]
                said = check_loss(
                    copied(closed, tmp_path / "store", "", damaged), f"byte {place} of the schema", most=0
                )
                assert "\x1b" not in "".join(said)


def test_one_flipped_bit_anywhere_in_the_log(killed: Path, tmp_path: Path) -> None:
    """SQLite alone would forget everything behind it."""
    content = killed.with_name(killed.name + "-wal").read_bytes()
    random = Random(2)
    for place in [*range(0, 32, 1 if LONG else 7), *random.sample(range(32, len(content)), 1500 if LONG else 20)]:
        flipped = bytearray(content)
        flipped[place] ^= 1 << random.randrange(8)
        check_loss(copied(killed, tmp_path / "store", "-wal", bytes(flipped)), f"byte {place} of the log")


def test_pages_of_zeros_and_noise(closed: Path, tmp_path: Path) -> None:
    content = closed.read_bytes()
    random = Random(3)
    for number in range(0, len(content) // PAGE, 1 if LONG else 6):
        for filling in (b"\0" * PAGE, random.randbytes(PAGE)):
            damaged = content[: number * PAGE] + filling + content[(number + 1) * PAGE :]
            check_loss(copied(closed, tmp_path / "store", "", damaged), f"page {number + 1}")


def test_a_store_by_a_build_of_sqlite_that_reserves_bytes(tmp_path: Path) -> None:
    """As that of some systems does: pages hold twelve bytes less."""
    name = ctypes.util.find_library("sqlite3")
    if name is None:
        pytest.skip("no SQLite library of the system's")
    library = ctypes.CDLL(name)
    path = tmp_path / "answers.sqlite"
    handle, reserved = ctypes.c_void_p(), ctypes.c_int(12)
    assert library.sqlite3_open(str(path).encode(), ctypes.byref(handle)) == 0
    assert library.sqlite3_file_control(handle, b"main", 38, ctypes.byref(reserved)) == 0
    fill(tmp_path / "model.sqlite", 0)
    with sqlite3.connect(tmp_path / "model.sqlite") as model:
        schema = ";".join(sql for (sql,) in model.execute("select sql from sqlite_master where sql is not null"))
        numbers = [model.execute(f"pragma {name}").fetchone()[0] for name in ("user_version", "application_id")]
    model.close()
    settings = (
        "pragma page_size=4096; pragma auto_vacuum=incremental; pragma user_version={}; pragma application_id={};"
    )
    script = settings.format(*numbers) + schema + "; pragma journal_mode=wal"
    assert library.sqlite3_exec(handle, script.encode(), None, None, None) == 0
    assert library.sqlite3_close(handle) == 0
    assert path.read_bytes()[20] == 12
    fill(path, SHARDS)
    assert check_loss(path, "nothing", most=0) == []
    with path.open("r+b") as file:
        file.write(b"damaged!")
    assert f"{32 * SHARDS} answers" in check_loss(path, "head gone", most=0)[0]


def test_damage_that_shows_while_the_store_is_used(tmp_path: Path) -> None:
    """Too large to be checked whole at every opening: found when it is come upon, mended, and the work goes on."""
    path = tmp_path / "answers.sqlite"
    fill(path, SHARDS)
    said: list[str] = []
    with AnswerStore(path, said.append) as store, path.open("r+b") as file:
        roots = store.run(lambda connection: connection.execute("select rootpage from sqlite_master").fetchall())
        for (root,) in roots:
            file.seek((root - 1) * PAGE)
            file.write(b"\x07" * PAGE)
        file.flush()
        store.run(lambda connection: connection.execute("pragma cache_size = 0"))
        assert len(whole_shards(store, SHARDS)) >= SHARDS - 4
        store.put(shard(99), BOT)
        assert store.get(list(shard(99))) == shard(99)
    assert "malformed" in said[0]
    assert len(said) == 1


def test_a_damaged_store_that_others_use_is_left_to_them(closed: Path, tmp_path: Path) -> None:
    path = copied(closed, tmp_path / "store")
    with AnswerStore(path):
        with path.open("r+b") as file:
            file.write(b"x" * 2000)
        with pytest.raises(EvaluationError, match=r"run again when the other processes .* salvaged then"):
            AnswerStore(path)
    assert len(check_loss(path, "head gone")) == 1


def test_only_the_last_damaged_file_is_kept(closed: Path, tmp_path: Path) -> None:
    path = copied(closed, tmp_path / "store")
    for _ in range(3):
        with path.open("r+b") as file:
            file.write(b"x")
        with AnswerStore(path) as store:
            assert len(whole_shards(store, SHARDS)) == SHARDS
    assert len(list(path.parent.glob("*.damaged-*"))) == 1


def test_a_log_that_sqlite_believes_is_in_order(tmp_path: Path) -> None:
    """The running checksum is SQLite's, over logs of several rounds and of either byte order's magic."""
    path = tmp_path / "answers.sqlite"
    fill(path, 1)
    with AnswerStore(path) as store:
        for number in range(60):
            store.put(shard(number), BOT)
            if number % 9 == 0:
                store.run(lambda connection: connection.execute("pragma wal_checkpoint").fetchall())
            assert wal_fault(path) is None
    reader = sqlite3.connect(path)
    assert reader.execute("pragma integrity_check").fetchone() == ("ok",)
    reader.close()
