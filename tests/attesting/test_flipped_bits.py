"""One flipped bit anywhere in what a run keeps of its decision is found, and never with a traceback."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

import pytest
from kept_runs import Signer

from finetune_gate.evaluators.errors import EvaluationError
from finetune_gate.evaluators.scores import ScoreTable
from finetune_gate.gate.attesting import verifying
from finetune_gate.gate.attesting.kept import kept_at
from finetune_gate.gate.attesting.keys import PublicKey, public_key
from finetune_gate.gate.attesting.rebuilding import Again, decide_again
from finetune_gate.gate.attesting.verifying import verify
from finetune_gate.gate.deciding import Circumstances
from finetune_gate.gate.gate_file import Gate
from finetune_gate.gate.run.looks import Levels

LONG = bool(os.environ.get("FINETUNE_GATE_LONG_TESTS"))
SMALL = 4096
"""Bytes; the long version flips every bit of a file up to this size, and those of a quarter as many bytes of others."""

FILES = (
    "decision-record.json",
    "scores.parquet",
    "findings.json",
    "examples.parquet",
    "decision-record.statements.jsonl",
    "decision-record.intoto.jsonl",
)


@pytest.fixture(autouse=True)
def measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same scores under the same gate file are measured once: almost every flip leaves them as they are."""
    known: dict[tuple[str, ...], Again] = {}

    def remembered(gate: Gate, table: ScoreTable, circumstances: Circumstances, levels: Levels | None) -> Again:
        key = (gate.file.model_dump_json(), table.digest(), repr(circumstances), repr(levels))
        if key not in known:
            known[key] = decide_again(gate, table, circumstances, levels)
        return known[key]

    monkeypatch.setattr(verifying, "decide_again", remembered)


def detected(folder: Path, key: PublicKey | None) -> bool:
    try:
        with kept_at(str(folder)) as kept:
            return verify(kept, key).outcome != "verified"
    except EvaluationError:
        return True


@pytest.mark.parametrize("file", FILES)
def test_every_flipped_bit_is_found(folder: Path, signer: Signer, file: str) -> None:
    key = public_key(signer.public)
    assert not detected(folder, key)
    content = (folder / file).read_bytes()
    flips = 0
    for at in _bytes_to_flip(len(content), file):
        for bit in range(8):
            flipped = bytearray(content)
            flipped[at] ^= 1 << bit
            (folder / file).write_bytes(flipped)
            flips += 1
            assert detected(folder, key), f"bit {bit} of byte {at} of {file}: {content[max(0, at - 40) : at + 40]!r}"
    print(f"{file}: {flips} flips of {8 * len(content)} bits, all detected")
    (folder / file).write_bytes(content)
    assert not detected(folder, key)


@pytest.mark.parametrize("file", [file for file in FILES if not file.endswith("intoto.jsonl")])
def test_and_without_signatures(folder: Path, file: str) -> None:
    """Statements alone hold every bit of all else, as long as nobody writes them again."""
    (folder / "decision-record.intoto.jsonl").unlink()
    content = (folder / file).read_bytes()
    for at in _bytes_to_flip(len(content), f"{file} unsigned")[:10]:
        flipped = bytearray(content)
        flipped[at] ^= 1 << at % 8
        (folder / file).write_bytes(flipped)
        assert detected(folder, None)


def test_bytes_more_or_less_are_found(folder: Path, signer: Signer) -> None:
    key = public_key(signer.public)
    for file in FILES:
        content = (folder / file).read_bytes()
        for other in (content + b"\n", content[:-1], content + content, b"", b"\n" + content):
            (folder / file).write_bytes(other)
            assert detected(folder, key), (file, len(other))
        (folder / file).write_bytes(content)


def _bytes_to_flip(size: int, seed: str) -> list[int]:
    if LONG and size <= SMALL:
        return list(range(size))
    count = min(size, SMALL // 4 if LONG else 8)
    return sorted({0, size - 1, *Random(seed).sample(range(size), count)})
