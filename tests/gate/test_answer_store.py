"""The answer store believes nothing it cannot check, and loses nothing it has finished."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from finetune_gate.evaluators.asking import Answer, Failed, Generation, TokenLogprobs
from finetune_gate.evaluators.errors import EvaluationError
from finetune_gate.gate.run.answer_store import AnswerStore

ANSWERS: dict[str, Answer] = {
    "a": TokenLogprobs((-0.1, -1e-17, -123.456789012345678), dropped_context=3),
    "b": Generation("tab\there \u202e \U0001f600 'quote'", "length", 9),
}


def test_answers_come_back_bit_for_bit(tmp_path: Path) -> None:
    with AnswerStore(tmp_path / "deep" / "answers.sqlite") as store:
        store.put(ANSWERS)
        assert store.get(["a", "b", "c"]) == ANSWERS
    with AnswerStore(tmp_path / "deep" / "answers.sqlite") as store:
        assert store.get(["b"]) == {"b": ANSWERS["b"]}


def test_failures_are_asked_again(tmp_path: Path) -> None:
    with AnswerStore(tmp_path / "answers.sqlite") as store:
        store.put({"a": Failed("timed out")})
        assert store.get(["a"]) == {}


@pytest.mark.parametrize(
    "tampering",
    [
        "update answers set answer = cast(replace(cast(answer as text), '0.1', '0.2') as blob)",
        "update answers set answer = substr(answer, 1, 5)",
        "update answers set address = 'x' where address = 'a'",
        "update answers set checksum = x'00'",
        "update answers set answer = 'text'",
    ],
)
def test_an_entry_that_does_not_check_out_is_forgotten(tmp_path: Path, tampering: str) -> None:
    path = tmp_path / "answers.sqlite"
    with AnswerStore(path) as store:
        store.put({"a": ANSWERS["a"]})
    connection = sqlite3.connect(path)
    connection.execute(tampering)
    connection.commit()
    connection.close()
    with AnswerStore(path) as store:
        assert store.get(["a", "x"]) == {}


def test_a_file_that_is_no_database_is_kept_aside(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    path.write_bytes(b"this is no database, and long enough to be sure of it" * 100)
    with AnswerStore(path) as store:
        store.put(ANSWERS)
        assert store.get(["a"]) == {"a": ANSWERS["a"]}
    assert len(list(tmp_path.glob("answers.sqlite.damaged-*"))) == 1


def test_a_place_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "answers.sqlite").mkdir()
    with pytest.raises(EvaluationError, match="unable to open database file"):
        AnswerStore(tmp_path / "answers.sqlite")


KILLED = """
import os, sys
from finetune_gate.evaluators.asking import Generation
from finetune_gate.gate.run.answer_store import AnswerStore
store = AnswerStore(__import__("pathlib").Path(sys.argv[1]))
for shard in range(1000):
    store.put({f"{shard}-{i}": Generation("x" * 200, "stop", 1) for i in range(20)})
    print(shard, flush=True)
    if shard == int(sys.argv[2]):
        os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("shard", [0, 7])
def test_a_killed_process_loses_no_finished_shard(tmp_path: Path, shard: int) -> None:
    path = tmp_path / "answers.sqlite"
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(path), str(shard)], capture_output=True, text=True, timeout=60, check=False
    )
    assert killed.returncode == -9
    with AnswerStore(path) as store:
        wanted = [f"{number}-{i}" for number in range(shard + 1) for i in range(20)]
        assert len(store.get(wanted)) == len(wanted)
