"""The answer store believes nothing it cannot check, and gives back bit for bit what it was given."""

from __future__ import annotations

import sqlite3
import struct
import threading
import time
from pathlib import Path

import pytest
from answer_shards import BASE, BOT, address, shard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from finetune_gate.evaluators.asking import Answer, Failed, Generation, TokenLogprobs
from finetune_gate.evaluators.errors import ConfigurationError, EvaluationError
from finetune_gate.gate.answers import AnswerStore, ModelKey, StoreLimits
from finetune_gate.gate.answers.contents import contents
from finetune_gate.gate.answers.encoding import decode, encode

ANSWERS: dict[str, Answer] = {
    "a": TokenLogprobs((-0.1, -1e-17, -123.456789012345678), dropped_context=3),
    "b": Generation("tab\there \u202e \U0001f600 'quote'", "length", 9),
}


def test_answers_come_back(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "answers.sqlite"
    with AnswerStore(path) as store:
        store.put(ANSWERS, BOT)
        assert store.get(["a", "b", "c", "a"]) == ANSWERS
        assert store.count(["a", "b", "c", "a"]) == 3
        assert (store.get([]), store.count([])) == ({}, 0)
    with AnswerStore(path) as store:
        assert store.get(["b"]) == {"b": ANSWERS["b"]}
    assert sorted(file.name for file in path.parent.iterdir()) == [
        "answers.sqlite",
        "answers.sqlite.lock",
        "answers.sqlite.users",
    ]


counts = st.integers(0, 2**64 - 1)
kept = st.builds(
    TokenLogprobs, st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=20).map(tuple), counts
) | st.builds(
    Generation,
    st.text(st.characters(exclude_categories=())),  # lone surrogates too
    st.sampled_from(["stop", "length"]),
    counts,
)


@given(answer=kept)
@settings(max_examples=300)
def test_encoding_is_exact(answer: TokenLogprobs | Generation) -> None:
    back = decode(encode(answer))
    assert back == answer
    if isinstance(answer, TokenLogprobs) and isinstance(back, TokenLogprobs):
        assert struct.pack(f"{len(back.logprobs)}d", *back.logprobs) == struct.pack(
            f"{len(answer.logprobs)}d", *answer.logprobs
        )  # -0.0 is not 0.0


@given(content=st.binary(max_size=40))
@settings(max_examples=300)
def test_only_what_encode_writes_is_decoded(content: bytes) -> None:
    try:
        answer = decode(content)
    except ValueError:
        return
    assert encode(answer) == content


@given(answers=st.dictionaries(st.text(min_size=1, max_size=9, alphabet="abc0"), kept, max_size=5))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_gives_back_what_was_put(tmp_path: Path, answers: dict[str, Answer]) -> None:
    with AnswerStore(tmp_path / "answers.sqlite") as store:
        store.put(answers, BOT)
    with AnswerStore(tmp_path / "answers.sqlite") as store:
        assert store.get(list(answers)) == answers


def test_failures_are_asked_again_and_nonsense_is_not_kept(tmp_path: Path) -> None:
    with AnswerStore(tmp_path / "answers.sqlite") as store:
        store.put({"a": Failed("timed out"), "b": ANSWERS["b"]}, BOT)
        assert store.get(["a", "b"]) == {"b": ANSWERS["b"]}
        with pytest.raises(ValueError, match="not finite"):
            store.put({"x": ANSWERS["a"], "y": TokenLogprobs((float("nan"),))}, BOT)
        assert store.count(["x", "y"]) == 0


def test_the_last_answer_under_an_address_stands(tmp_path: Path) -> None:
    with AnswerStore(tmp_path / "answers.sqlite") as store:
        store.put({"a": ANSWERS["a"]}, BOT)
        store.put({"a": ANSWERS["b"]}, BASE)
        assert store.get(["a"]) == {"a": ANSWERS["b"]}
        assert [(entry.label, entry.answers) for entry in contents(store).models] == [("base-lm v1", 1)]


@pytest.mark.parametrize(
    "tampering",
    [
        "update answers set content = cast(substr(content, 1, length(content) - 1) || x'3f' as blob)",
        "update answers set content = substr(content, 1, 5)",
        "update answers set address = cast('x' as blob) where address = cast('a' as blob)",
        "update answers set checksum = x'00'",
        "update answers set content = 'text'",
        "update answers set model = model + 1",
        "update answers set model = 'text'",
        "update answers set address = 'a'",
    ],
)
def test_an_entry_that_does_not_check_out_is_forgotten(tmp_path: Path, tampering: str) -> None:
    path = tmp_path / "answers.sqlite"
    with AnswerStore(path) as store:
        store.put({"a": ANSWERS["a"]}, BOT)
    connection = sqlite3.connect(path)
    connection.execute(tampering)
    connection.commit()
    connection.close()
    said: list[str] = []
    with AnswerStore(path, said.append) as store:
        assert store.get(["a", "x"]) == {}
        store.put({"a": ANSWERS["a"]}, BOT)
        assert store.get(["a"]) == {"a": ANSWERS["a"]}
    assert said in ([], [f"answer store {path}: answers that were damaged and not believed: 1"])


@pytest.mark.parametrize(
    "content",
    [b"this is no database, and long enough to be sure of it" * 100, b"", b"SQLite format 3\0"],
)
def test_a_file_that_is_no_store_is_set_aside(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "answers.sqlite"
    path.write_bytes(content)
    said: list[str] = []
    with AnswerStore(path, said.append) as store:
        store.put(ANSWERS, BOT)
        assert store.get(["a"]) == {"a": ANSWERS["a"]}
    (aside,) = tmp_path.glob("answers.sqlite.damaged-*")
    assert aside.read_bytes() == content
    assert said == [
        f"answer store {path}: this is no answer store of this layout; kept the 0 answers in it that are whole, "
        "set the damaged file aside"
    ]


def test_a_store_of_another_layout_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("create table answers (address text primary key, answer blob) without rowid")
    connection.execute("insert into answers values ('a', 'b')")
    connection.commit()
    connection.close()
    with AnswerStore(path) as store:
        assert store.get(["a"]) == {}


def test_a_place_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "answers.sqlite").mkdir()
    with pytest.raises(EvaluationError, match="FINETUNE_GATE_HOME names another folder"):
        AnswerStore(tmp_path / "answers.sqlite")
    (tmp_path / "file").write_text("")
    with pytest.raises(EvaluationError, match="FINETUNE_GATE_HOME names another folder"):
        AnswerStore(tmp_path / "file" / "answers.sqlite")


def test_reading_hardly_ever_writes_and_never_waits_for_a_writer(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    wanted = shard(0)
    with AnswerStore(path) as store:
        store.put(wanted, BOT)
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("update entries set used = 5")
    store = AnswerStore(path)
    writer.execute("begin immediate")
    begun = time.monotonic()
    assert store.get(list(wanted)) == wanted
    assert time.monotonic() - begun < 1
    store.mark_used()  # gives up, and says nothing: the other process may be at it for long
    writer.execute("rollback")
    assert writer.execute("select distinct used from entries").fetchall() == [(5,)]
    store.close()
    assert writer.execute("select min(used) from entries").fetchone()[0] > time.time() - 100
    before = writer.execute("pragma data_version").fetchone()
    with AnswerStore(path) as store:
        assert store.get(list(wanted)) == wanted
    assert writer.execute("pragma data_version").fetchone() == before, "a use that is noted is noted again"
    writer.close()


def test_threads_share_one_store(tmp_path: Path) -> None:
    failures: list[Exception] = []
    with AnswerStore(tmp_path / "answers.sqlite") as store:

        def work(first: int) -> None:
            try:
                for number in range(first, first + 10):
                    store.put(shard(number), BOT)
                    assert store.get(list(shard(number))) == shard(number)
            except (EvaluationError, AssertionError) as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(first,)) for first in (0, 5, 20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert store.count([at for number in range(15) for at in shard(number)]) == 15 * 32


def test_labels_may_change_and_hold_anything(tmp_path: Path) -> None:
    hostile = "\x1b[31m'); drop table answers; --"
    with AnswerStore(tmp_path / "answers.sqlite") as store:
        store.put({address("1"): ANSWERS["a"]}, BOT)
        store.put({address("2"): ANSWERS["a"]}, ModelKey(BOT.digest, hostile))
        (model,) = contents(store).models
        assert (model.label, model.digest, model.answers) == (hostile, BOT.digest, 2)


def test_limits_come_from_the_environment() -> None:
    assert StoreLimits.from_environment({}) == StoreLimits(10 << 30, 90.0)
    given = {"FINETUNE_GATE_STORE_MAX_GB": "0.5", "FINETUNE_GATE_STORE_UNUSED_DAYS": " 7 "}
    assert StoreLimits.from_environment(given) == StoreLimits(1 << 29, 7.0)
    for wrong in ("-1", "nan", "inf", "ten", "1e99"):
        with pytest.raises(ConfigurationError, match="FINETUNE_GATE_STORE_MAX_GB"):
            StoreLimits.from_environment({"FINETUNE_GATE_STORE_MAX_GB": wrong})
