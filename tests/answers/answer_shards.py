"""Shards of answers that every process makes the same, so that each answer can be told right from wrong."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from random import Random

import pytest

from finetune_gate.evaluators.asking import Answer, Generation, TokenLogprobs
from finetune_gate.gate.answers import AnswerStore, ModelKey

LONG = os.environ.get("FINETUNE_GATE_LONG_TESTS") == "1"
long_only = pytest.mark.skipif(not LONG, reason="FINETUNE_GATE_LONG_TESTS=1 runs it")

BOT = ModelKey(hashlib.sha256(b"bot").hexdigest(), "support-bot v7")
BASE = ModelKey(hashlib.sha256(b"base").hexdigest(), "base-lm v1")


def address(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def answer(name: str) -> Answer:
    random = Random(name)
    if random.random() < 0.6:
        return TokenLogprobs(tuple(-random.expovariate(1) for _ in range(random.randrange(1, 30))), random.randrange(3))
    # now and then longer than a page of the file
    length = 9000 if random.random() < 0.03 else random.randrange(200)
    return Generation("".join(random.choices("abc é\u202e\U0001f600\n", k=length)), "stop", length)


@cache
def shard(number: int, size: int = 32) -> dict[str, Answer]:
    return {address(name): answer(name) for name in (f"{number}/{at}" for at in range(size))}


def fill(path: Path, shards: int, size: int = 32, model: ModelKey = BOT) -> None:
    with AnswerStore(path) as store:
        for number in range(shards):
            store.put(shard(number, size), model)


def whole_shards(store: AnswerStore, shards: int, size: int = 32) -> list[int]:
    """Which shards are held whole. Fails where any answer is wrong."""
    whole: list[int] = []
    for number in range(shards):
        wanted = shard(number, size)
        found = store.get(list(wanted))
        assert all(wanted[at] == one for at, one in found.items()), f"a wrong answer in shard {number}"
        if len(found) == size:
            whole.append(number)
    return whole


def start(script: str, *arguments: object, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
    """A process of its own; ``answer_shards`` can be imported in it."""
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent), **(env or {})},
    )


def finish(processes: Sequence[subprocess.Popen[str]]) -> list[tuple[int, str, str]]:
    """Exit status, output and errors of each."""
    ended: list[tuple[int, str, str]] = []
    for process in processes:
        output, errors = process.communicate(timeout=250)
        ended.append((process.returncode, output, errors))
    return ended
