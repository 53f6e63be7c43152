"""SIGKILL at every step, between shards of answers and before writes to the registry: nothing half done.

After each kill the alias is at its old or its new value; the next run decides the same, with the same scores to the
last bit, asks no finished shard again, and leaves one published run and no trace of an unfinished promotion.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from workshop import MODEL, Workshop, copy_workshop

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
HERE = Path(__file__).parent
LONG = bool(os.environ.get("FINETUNE_GATE_LONG_TESTS"))
STEPS = ("resolve", "plan", "answer", "score", "decide", "act", "publish")


@pytest.fixture(scope="module")
def gated(original: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """Version 1 serves; version 2 is about to be promoted."""
    workshop = copy_workshop(original, tmp_path_factory.mktemp("gated") / "workshop")
    workshop.gate("{metric: perplexity.bits_per_byte, min_change: 0, margin: 2}", classify=False)
    workshop.client().set_registered_model_alias(MODEL, "champion", "1")
    return workshop


def killed(workshop: Workshop, scratch: Path, points: Sequence[str]) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, str(HERE / "killing.py"), str(workshop.folder), str(scratch), *points],
        env={**os.environ, "PYTHONPATH": f"{HERE}{os.pathsep}{HERE.parent}"},
        capture_output=True, text=True, timeout=850, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def check(workshop: Workshop, scratch: Path, points: Sequence[str]) -> list[dict[str, Any]]:
    whole, *interrupted = killed(workshop, scratch, ["count", *points])
    assert whole["decision"] == "promote"
    for found in interrupted:
        assert found["killed"] == 9, found
        assert found["between"]["champion"] in ("1", "2"), found
        again = found["again"]
        assert (again["decision"], again["rules"], again["scores"], again["record"]) == (
            "promote",
            ["passed"],
            whole["scores"],
            whole["record"],
        ), found
        assert found["end"] == {"champion": "2", "intents": 0, "published": True}, found
    assert len(interrupted) == len(points)
    return [whole, *interrupted]


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_a_step(gated: Workshop, tmp_path: Path, when: str) -> None:
    steps = STEPS if LONG else ("plan", "answer", "act") if when == "after" else ("resolve", "score", "act", "publish")
    _, *found = check(gated, tmp_path, [f"{when}:{step}" for step in steps])
    asked = dict(zip(steps, [run["again"]["asked"] for run in found], strict=True))
    answered = STEPS[3:] if when == "before" else STEPS[2:]
    assert all(asked[step] == 0 for step in answered if step in asked)


def test_killed_between_shards(gated: Workshop, tmp_path: Path) -> None:
    whole, *found = check(gated, tmp_path, ["shard:1", "shard:6", "shard:12"])
    assert whole["asked"] == 180  # sixty documents, three models, shards of sixteen
    assert [run["again"]["asked"] for run in found] == [164, 180 - 60 - 16 * 2, 0]


WRITES = 29
BEFORE = range(1, WRITES + 1, 1 if LONG else 5)
"""FINETUNE_GATE_LONG_TESTS=1 takes every write, otherwise every fifth."""


@pytest.mark.parametrize("half", [0, 1])
def test_killed_before_writes_to_the_registry(gated: Workshop, tmp_path: Path, half: int) -> None:
    whole, *_ = check(gated, tmp_path, [f"write:{number}" for number in BEFORE[half::2]])
    assert whole["writes"] == WRITES
