"""Packs from a place that is trusted less than this machine: exactly right, or refused as a whole."""

from __future__ import annotations

import gzip
import hashlib
import json
import tracemalloc
from collections.abc import Callable

import pytest
from answer_shards import BASE, BOT, shard

from finetune_gate.gate.answers import packs
from finetune_gate.gate.answers.encoding import encode
from finetune_gate.gate.answers.packs import BadPack, folder_name, read_pack, write_packs

ANSWERS = {at: encode(answer) for at, answer in shard(0).items()}  # pyright: ignore[reportArgumentType] - none Failed


def packed(lines: bytes) -> tuple[str, bytes]:
    content = gzip.compress(lines)
    return hashlib.sha256(content).hexdigest() + ".jsonl.gz", content


def lines_of(answers: dict[str, bytes] = ANSWERS) -> list[bytes]:
    ((_, content),) = write_packs(BOT.digest, answers)
    return gzip.decompress(content).split(b"\n")


def test_packs_come_back_and_do_not_depend_on_order() -> None:
    ((name, content),) = write_packs(BOT.digest, ANSWERS)
    assert read_pack(name, content, BOT.digest) == ANSWERS
    assert list(write_packs(BOT.digest, dict(reversed(ANSWERS.items())))) == [(name, content)]
    assert list(write_packs(BOT.digest, {})) == []


def test_many_answers_make_several_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packs, "PACK_BYTES", 3000)
    made = list(write_packs(BOT.digest, ANSWERS))
    assert len(made) > 2
    found = {}
    for name, content in made:
        found |= read_pack(name, content, BOT.digest)
    # what fits into no pack stays at home
    assert found == {at: answer for at, answer in ANSWERS.items() if len(answer) < 2000}


def test_a_pack_that_is_not_its_name_or_not_this_models() -> None:
    ((name, content),) = write_packs(BOT.digest, ANSWERS)
    for cut in (1, 10, len(content) // 2, len(content)):
        with pytest.raises(BadPack, match="not the hash"):
            read_pack(name, content[:-cut], BOT.digest)
    with pytest.raises(BadPack, match="not the hash"):
        read_pack("0" * 64 + ".jsonl.gz", content, BOT.digest)
    with pytest.raises(BadPack, match="of this model"):
        read_pack(name, content, BASE.digest)


HEAD = lines_of()[0]
LINE = lines_of()[1]


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (b"", "no JSON"),
        (b"\n" * 1000, "no JSON"),
        (b"\xff\xfe", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"1" * 10_000, "no JSON"),
        (LINE, "of this model"),
        (HEAD + b"\n\n", "no JSON"),
        (HEAD + b"\nnull\n", "no list"),
        (HEAD + b'\n{"a": "b"}\n', "no list"),
        (HEAD + b'\n["a"]\n', "not an address"),
        (HEAD + b'\n["a", 1]\n', "not an address"),
        (HEAD + b'\n["", "TAAAAAAAAAAA"]\n', "not an address"),
        (HEAD + b'\n["\\ud800", "TAAAAAAAAAAA"]\n', "not an address"),
        (HEAD + b'\n["' + b"a" * 5000 + b'", "TAAAAAAAAAAA"]\n', "not an address"),
        (HEAD + b'\n["a", "****"]\n', "no answer"),
        (HEAD + b'\n["a", "\\u20ac"]\n', "no answer"),
        (HEAD + b'\n["a", ""]\n', "no answer"),
        (HEAD + b'\n["a", "TAAAAAAAAAA="]\n', "no answer"),
        # a log-probability that is no number
        (HEAD + b'\n["a", "TAAAAAAAAAAAAAAAAAAA+H8="]\n', "no answer"),
        (HEAD + b"\n" + LINE + b"\nnull\n", "no list"),
    ],
)
def test_a_pack_with_a_line_that_is_not_right(lines: bytes, reason: str) -> None:
    with pytest.raises(BadPack, match=reason):
        read_pack(*packed(lines), BOT.digest)


@pytest.mark.parametrize("unit", [b"\0", b"\n", LINE + b"\n"], ids=["zeros", "lines", "answers"])
def test_a_bomb_is_not_unpacked(unit: bytes) -> None:
    bomb = gzip.compress(HEAD + b"\n" + unit * ((1 << 26) // len(unit)), compresslevel=9)
    name = hashlib.sha256(bomb).hexdigest() + ".jsonl.gz"
    tracemalloc.start()
    try:
        with pytest.raises(BadPack, match="it holds more than 24 MiB"):
            read_pack(name, bomb, BOT.digest)
        assert tracemalloc.get_traced_memory()[1] < 80 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda content: content[:-5], "too early"),
        (lambda content: content + content, "not where it should"),
        (lambda content: b"no gzip at all", "cannot be decompressed"),
        (lambda content: content[:50] + b"\xff\xff\xff" + content[53:], "decompressed|too early|no JSON|no answer"),
        (lambda content: b"\0" * (33 << 20), "larger than 32 MiB"),
    ],
)
def test_a_pack_that_is_no_gzip(damage: Callable[[bytes], bytes], reason: str) -> None:
    ((_, content),) = write_packs(BOT.digest, ANSWERS)
    damaged = damage(content)
    with pytest.raises(BadPack, match=reason):
        read_pack(hashlib.sha256(damaged).hexdigest() + ".jsonl.gz", damaged, BOT.digest)


def test_no_folder_comes_from_a_digest_that_is_none() -> None:
    assert folder_name(BOT.digest) == BOT.digest
    for digest in ("../../etc", "sha256:abc", "", "A" * 64, json.dumps({})):
        assert len(folder_name(digest)) == 64
        assert folder_name(digest) != digest
