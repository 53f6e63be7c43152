"""What one machine has asked, another does not ask again; and nothing in a shared place can break or fool a run."""

from __future__ import annotations

import gzip
import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from answer_shards import BASE, BOT, shard, whole_shards
from answer_sharing import LIMITS, packs_in, place_at, run

from finetune_gate.evaluators.errors import ConfigurationError, EvaluationError, Problem
from finetune_gate.gate.answers import (
    AnswerStore,
    ModelKey,
    StoreLimits,
    fsspec_place,
    open_answers,
    shared_answers,
    sharing,
)
from finetune_gate.gate.answers.encoding import encode
from finetune_gate.gate.answers.packs import write_packs
from finetune_gate.gate.answers.places import Pack


@pytest.fixture(params=["file", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "file":
        yield f"file://{tmp_path}/shared place"
        return
    import fsspec

    yield f"memory://{tmp_path.name}/shared"
    fsspec.filesystem("memory").store.clear()


def test_another_machine_asks_nothing_again(tmp_path: Path, url: str) -> None:
    label = place_at(url).label
    assert run(tmp_path / "a", url, [0, 1, 2]) == ([0, 1, 2], [f"96 answers shared at {label}"])
    assert run(tmp_path / "b", url, [0, 1, 2, 3]) == (
        [3],
        [f"96 answers brought from {label}", f"32 answers shared at {label}"],
    )
    assert run(tmp_path / "a", url, [0, 1, 2, 3]) == ([], [f"32 answers brought from {label}"])
    assert run(tmp_path / "a", url, [0, 1, 2, 3]) == ([], [])
    assert len(packs_in(url)) == 2


def test_what_was_computed_before_the_place_was_named_is_shared_too(tmp_path: Path, url: str) -> None:
    with open_answers(tmp_path / "a", [BOT], shared=None, limits=LIMITS, say=print) as store:
        store.put(shard(1), BOT)
        store.put(shard(2), ModelKey("0" * 64, "not this run's"))
    run(tmp_path / "a", url, [1])
    assert run(tmp_path / "b", url, [1, 2])[0] == [2]


def test_a_place_that_was_emptied_is_filled_again(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/shared"
    run(tmp_path / "a", url, [1, 2])
    for file in (tmp_path / "shared").rglob("*.gz"):
        file.unlink()
    assert run(tmp_path / "a", url, [1])[0] == []
    assert run(tmp_path / "b", url, [1, 2])[0] == []


def test_a_damaged_store_is_filled_again(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/shared"
    run(tmp_path / "a", url, [1, 2])
    (tmp_path / "a" / "answers.sqlite").write_bytes(b"gone")
    computed, said = run(tmp_path / "a", url, [1, 2])
    assert computed == []
    assert "set the damaged file aside" in said[0]


def test_new_answers_are_shared_while_the_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "PUSH_EVERY_SECONDS", 0.0)
    url = f"file://{tmp_path}/shared"
    with open_answers(tmp_path / "a", [BOT], shared=place_at(url), limits=LIMITS, say=print) as store:
        for number in range(3):
            store.put(shard(number), BOT)
            assert len(packs_in(url)) == number + 1
    assert len(packs_in(url)) == 3


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_run_that_fails_shares_what_it_has(tmp_path: Path, url: str, error: type[BaseException]) -> None:
    def fails(store: AnswerStore) -> None:
        store.put(shard(1), BOT)
        raise error

    with pytest.raises(error), open_answers(tmp_path, [BOT], shared=place_at(url), limits=LIMITS, say=print) as store:
        fails(store)
    assert run(tmp_path / "b", url, [1])[0] == []


def hostile_packs() -> dict[str, tuple[str, bytes]]:
    """By what is wrong with them: name and bytes of packs that hold a wrong answer to what is asked."""
    wrong = {at: encode(answer) for at, answer in zip(shard(1), shard(2).values(), strict=True)}  # pyright: ignore[reportArgumentType] - none Failed
    ((name, content),) = write_packs(BOT.digest, wrong)
    ((_, others),) = write_packs(BASE.digest, wrong)
    head = gzip.decompress(content).split(b"\n")[0]
    bomb = gzip.compress(head + b"\n" + b"\0" * (1 << 26))
    broken = gzip.compress(gzip.decompress(content) + b"null\n")

    def named(data: bytes) -> tuple[str, bytes]:
        return hashlib.sha256(data).hexdigest() + ".jsonl.gz", data

    return {
        "truncated": (name, content[:-20]),
        "empty": (name, b""),
        "under another name": ("0" * 64 + ".jsonl.gz", content),
        "of another model": named(others),
        "bomb": named(bomb),
        "broken line": named(broken),
        "too large": ("1" * 64 + ".jsonl.gz", b"\0" * ((32 << 20) + 1)),
        "no pack's name": ("readme.txt", content),
        "temporary": (f"{name}.part-123", content),
    }


@pytest.mark.parametrize("kind", list(hostile_packs()))
def test_a_pack_that_does_not_check_out_is_ignored(tmp_path: Path, url: str, kind: str) -> None:
    name, content = hostile_packs()[kind]
    run(tmp_path / "a", url, [0])
    place = place_at(url)
    place.write(BOT, {name: content})
    computed, said = run(tmp_path / "b", url, [0, 1])
    assert computed == [1]
    ignored = [line for line in said if " ignored: " in line]
    if kind in ("no pack's name", "temporary"):
        assert ignored == []
    else:
        assert ignored[0].startswith(f"{place.label}: pack {name[:12]} of support-bot v7 ignored: ")
        assert len(ignored) == 1


def test_many_bad_packs_make_few_lines(tmp_path: Path, url: str) -> None:
    place_at(url).write(BOT, {hashlib.sha256(bytes([at])).hexdigest() + ".jsonl.gz": b"x" for at in range(20)})
    _, said = run(tmp_path, url, [1])
    assert sum(" ignored: " in line for line in said) == 3


def test_many_small_packs_are_put_together(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "MANY_PACKS", 8)
    for number in range(sharing.MANY_PACKS + 3):
        run(tmp_path / str(number), url, [number])
        assert len(packs_in(url)) <= sharing.MANY_PACKS + 1
    assert len(packs_in(url)) <= 4
    everything = list(range(sharing.MANY_PACKS + 3))
    assert run(tmp_path / "new", url, everything)[0] == []
    assert run(tmp_path / "0", url, everything)[0] == []


def test_a_bad_pack_is_not_tidied_away(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/shared"
    name = "0" * 64 + ".jsonl.gz"
    place_at(url).write(BOT, {name: b"not ours to judge"})
    for number in range(sharing.MANY_PACKS + 1):
        run(tmp_path / "a", url, [number])
    assert name in {pack.name for pack in packs_in(url)}
    assert len(packs_in(url)) <= 4


class Away:
    """A place that cannot be reached."""

    label = "s3://bucket\x1b[31m"
    number = 7
    asked = 0

    def _fail(self) -> EvaluationError:
        self.asked += 1
        return EvaluationError(Problem("shared answers at s3://bucket\x1b[31m", "cannot list: no route to host"))

    def packs(self, digest: str) -> list[Pack]:
        raise self._fail()

    def read(self, digest: str, pack: Pack, limit: int) -> bytes | None:
        raise self._fail()

    def write(self, model: ModelKey, packs: Mapping[str, bytes]) -> None:
        raise self._fail()

    def remove(self, digest: str, packs: Sequence[Pack]) -> None:
        raise self._fail()

    def close(self) -> None:
        raise self._fail()


def test_a_place_that_cannot_be_reached_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "PUSH_EVERY_SECONDS", 0.0)
    place, said = Away(), list[str]()
    with open_answers(tmp_path, [BOT, BASE], shared=place, limits=LIMITS, say=said.append) as store:
        for number in range(5):
            store.put(shard(number), BOT)
        assert whole_shards(store, 5) == list(range(5))
    (line,) = said
    assert line.startswith(
        "answers are not shared: shared answers at s3://bucket\\x1b[31m: cannot list: no route to host"
    )
    assert "\x1b" not in line
    assert place.asked <= 4


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    computed, said = run(tmp_path / "a", f"file://{tmp_path}/file/inside", [1])
    assert computed == [1]
    assert len(said) == 1
    assert "answers are not shared" in said[0]


def test_a_place_that_does_not_answer_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fsspec_place, "ASKING_SECONDS", 0.2)
    place = place_at(f"file://{tmp_path}/shared")
    monkeypatch.setattr(place._system, "ls", lambda *arguments, **named: time.sleep(3))  # type: ignore[attr-defined]
    with pytest.raises(EvaluationError, match="cannot list: no answer in 0 s"):
        place.packs(BOT.digest)


def test_a_pack_that_vanishes_while_it_is_read(tmp_path: Path) -> None:
    """Another machine has just put packs together: its pack is looked for."""
    url = f"file://{tmp_path}/shared"
    run(tmp_path / "a", url, [1])
    place = place_at(url)
    real, listings = place.packs, list[int]()

    def packs(digest: str) -> list[Pack]:
        listings.append(1)
        return [Pack("f" * 64 + ".jsonl.gz", "x", 5)] if len(listings) == 1 else real(digest)

    place.packs = packs  # type: ignore[method-assign]
    with open_answers(tmp_path / "b", [BOT], shared=place, limits=LIMITS, say=print) as store:
        assert store.get(list(shard(1))) == shard(1)


def test_no_more_is_brought_than_the_store_may_hold(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/shared"
    for number in range(6):
        run(tmp_path / "a", url, [number])
    said: list[str] = []
    limits = StoreLimits(max_bytes=10_000)
    with open_answers(tmp_path / "b", [BOT], shared=place_at(url), limits=limits, say=said.append) as store:
        held = whole_shards(store, 6)
    assert 1 <= len(held) < 6
    assert any("more than this machine's store may hold" in line for line in said)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("s3", "execution.store 's3': this is no place for answers"),
        ("", "this is no place for answers"),
        ("/mnt/answers", "expected: local (this machine only), mlflow, or an fsspec URL"),
        ("nothing://x", "it cannot be opened: Protocol not known"),
        ("simplecache::s3://bucket", "this is no place for answers"),
        ("s3://key:secret@bucket/path", "the package for s3:// is not installed\n"),
        ("gs://bucket/path", "way out:  pip install gcsfs"),
        ("abfs://container@account/path", "way out:  pip install adlfs"),
        ("mlflow", "there is no connection to MLflow here"),
    ],
)
def test_what_is_no_place_says_what_is(spec: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        shared_answers(spec, None)
    assert message in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "expected: local (this machine only), mlflow, or an fsspec URL" in str(caught.value)


def test_local_is_nobody_elses() -> None:
    assert shared_answers("local", None) is None


def test_what_is_shared_can_be_read_without_this_program(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/shared"
    run(tmp_path / "a", url, [1])
    (file,) = (tmp_path / "shared" / "v1" / BOT.digest).iterdir()
    assert file.name == hashlib.sha256(file.read_bytes()).hexdigest() + ".jsonl.gz"
    first, *lines = gzip.decompress(file.read_bytes()).splitlines()
    assert json.loads(first) == {"format": "finetune-gate answers 1", "model": BOT.digest}
    assert {json.loads(line)[0] for line in lines} == set(shard(1))


def test_a_store_is_an_answer_store(tmp_path: Path) -> None:
    with open_answers(tmp_path, [], shared=None, limits=LIMITS, say=print) as store:
        assert isinstance(store, AnswerStore)
        assert store.path == tmp_path / "answers.sqlite"
