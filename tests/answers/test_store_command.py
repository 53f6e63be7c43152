"""``finetune-gate store`` on a real store."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import click
import pytest
from answer_shards import BASE, BOT, address, answer, fill, shard, whole_shards
from click.testing import CliRunner, Result

from finetune_gate.evaluators.errors import ConfigurationError
from finetune_gate.flows.cli.store import store as command
from finetune_gate.gate.answers import AnswerStore, ModelKey
from finetune_gate.gate.answers.salvage import PAGE

HOSTILE = ModelKey("f" * 64, "\x1b]0;owned\x07 [red]v9[/red] \u202egpj")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FINETUNE_GATE_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("FINETUNE_GATE_STORE_MAX_GB", "FINETUNE_GATE_STORE_UNUSED_DAYS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def filled(home: Path) -> Path:
    path = home / "answers.sqlite"
    fill(path, 4)
    fill(path, 6, model=BASE)  # the first four are the base's from here on
    with AnswerStore(path) as store:
        store.put(shard(7), BOT)
        store.put({address("x"): answer("x")}, HOSTILE)
    return path


def call(*arguments: str) -> Result:
    return CliRunner().invoke(command, arguments, catch_exceptions=False, standalone_mode=False)


def json_of(*arguments: str) -> Any:
    return json.loads(call(*arguments, "--json").stdout)


def test_what_is_there(filled: Path) -> None:
    today = time.strftime("%Y-%m-%d", time.gmtime())
    lines = call().stdout.splitlines()
    assert lines[0] == str(filled)
    assert lines[1].startswith("  225 answers, ")
    assert lines[2] == "  limits: 10 GiB, 90 days without use"
    (base,) = (line.split() for line in lines if "base-lm v1" in line)
    assert base[:4] == ["base-lm", "v1", BASE.digest[:12], "192"]
    assert base[-2:] == [today, today]
    shown = "\n".join(lines)
    assert "\\x1b]0;owned\\x07 [red]v9[/red] \\u202egpj" in shown
    assert not {"\x1b", "\x07", "\u202e"} & set(shown)

    found = json_of()
    assert {model["label"]: model["answers"] for model in found["models"]} == {
        "base-lm v1": 192,
        "support-bot v7": 32,
        HOSTILE.label: 1,
    }
    assert found["disk_bytes"] == filled.stat().st_size
    assert found["limits"] == {"max_bytes": 10 << 30, "unused_days": 90.0}
    assert found["models"][0]["last_used"].startswith(today)


def test_nothing_is_there(home: Path) -> None:
    assert call().stdout == f"{home / 'answers.sqlite'}: nothing is kept there yet\n"
    assert json_of()["models"] == []
    assert call("prune", "-y").stdout == "nothing to remove\n"
    assert call("check").stdout == "no answers to check\n"
    assert not list(home.iterdir()), "looking makes nothing"


def test_prune(filled: Path) -> None:
    assert call("prune", "-y").stdout == "nothing to remove\n"
    assert call("prune", "--model", BASE.digest[:8], "--dry-run").stdout.startswith("would remove 192 answers (about ")
    with AnswerStore(filled) as store:
        assert whole_shards(store, 6) == list(range(6))
    with pytest.raises(ConfigurationError, match="nobody is there to say yes"):
        call("prune", "--model", "base-lm v1")
    with pytest.raises(ConfigurationError, match="nobody is there to say yes"):
        call("prune", "--model", "base-lm v1", "--json")
    removed = json_of("prune", "--model", "base-lm v1", "-y")
    assert (removed["answers"], removed["dry_run"]) == (192, False)
    assert removed["freed_bytes"] > 0
    assert json_of()["answers"] == 33
    assert call("prune", "--unused-days", "1", "-y").stdout == "nothing to remove\n"
    assert "removed 33 answers" in call("prune", "--max-gb", "0", "-y").stdout
    assert json_of()["answers"] == 0


def test_prune_to_the_environments_limits(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FINETUNE_GATE_STORE_MAX_GB", "0.0001")
    assert "removed" in call("prune", "-y").stdout
    assert filled.stat().st_size <= 0.0001 * 2**30
    monkeypatch.setenv("FINETUNE_GATE_STORE_MAX_GB", "much")
    with pytest.raises(ConfigurationError, match="FINETUNE_GATE_STORE_MAX_GB"):
        call()


def test_prune_all_takes_damaged_files_too(filled: Path) -> None:
    with filled.open("r+b") as file:
        file.write(b"damaged!")
    shown = call()
    assert "set the damaged file aside" in shown.stderr
    assert "set aside as damaged: answers.sqlite.damaged-" in shown.stdout
    assert len(json_of()["damaged_files"]) == 1
    assert "removed 225 answers" in (done := call("prune", "--all", "-y").stdout)
    assert "and 1 damaged file;" in done
    assert json_of()["damaged_files"] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--all", "--max-gb", "1"], "--all leaves nothing"),
        (["--model", "nobody"], "the store holds no answers of 'nobody'"),
        (["--model", ""], "the store holds no answers of ''"),
    ],
)
def test_prune_refuses(filled: Path, arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        call("prune", *arguments, "-y")
    assert "\x1b" not in str(caught.value)
    assert json_of()["answers"] == 225


def test_prune_refuses_numbers_that_are_none(filled: Path) -> None:
    for value in ("-1", "nan", "inf", "many"):
        with pytest.raises(click.BadParameter):
            call("prune", "--max-gb", value, "-y")
    assert json_of()["answers"] == 225


def test_a_label_that_several_models_have(filled: Path) -> None:
    with AnswerStore(filled) as store:
        store.put(shard(8), ModelKey("1" * 64, BOT.label))
    assert json_of("prune", "--model", BOT.label, "-y")["answers"] == 64


def test_check(filled: Path) -> None:
    assert call("check").stdout == "225 answers checked: all of them are in order\n"
    with AnswerStore(filled) as store:
        store.run(lambda connection: connection.execute("update answers set checksum = x'00' where id % 25 = 0"))
    assert call("check").stdout == "225 answers checked: 9 did not check out and were removed\n"
    with filled.open("r+b") as file:
        file.seek(PAGE + 200)
        file.write(os.urandom(20 * PAGE))
    found = json_of("check")
    assert "set the damaged file aside" in found["notes"][0]
    assert found["removed"] == 0
    assert json_of("check") == {**found, "notes": []}
