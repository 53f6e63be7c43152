"""What the command tells: news once, problems once, and nothing that acts on a terminal."""

from __future__ import annotations

import json

import pytest

from finetune_gate.evaluators.errors import Problem
from finetune_gate.flows.cli.watch import WatchLines, status_of
from finetune_gate.flows.relays import GateEnded
from finetune_gate.gate.watching import Looked, Report
from finetune_gate.gate.watching.report import Did


def seen(did: Did, sentence: str = "so it is", version: str = "7") -> Looked:
    return Looked("support-bot", version, "gate.yaml", "new version", did, sentence)


def report(*looked: Looked, problems: tuple[Problem, ...] = ()) -> Report:
    return Report("2026-01-01T10:00:00+00:00", ("support-bot",), looked, problems)


AWAY = Problem("MLflow at http://mlflow", "no answer in time")


def test_a_line_when_something_happens_and_not_again(capsys: pytest.CaptureFixture[str]) -> None:
    lines = WatchLines(as_json=False)
    for one in ("started", "waited", "waited", "gave up", "gave up", "done"):
        lines.report(report(seen(one)))  # type: ignore[arg-type]
    told = capsys.readouterr().out.splitlines()
    assert [line.partition("  ")[2] for line in told] == [
        "support-bot v7 (new version): started: so it is",
        "support-bot v7 (new version): gave up: so it is",
    ]


def test_what_could_not_be_reached_is_told_each_time_it_was_tried(capsys: pytest.CaptureFixture[str]) -> None:
    lines = WatchLines(as_json=False)
    for one in ("not reached", "waited", "not reached"):
        lines.report(report(seen(one)))  # type: ignore[arg-type]
    assert capsys.readouterr().out.count("not reached") == 2


def test_problems_are_told_when_they_come_and_when_they_go(capsys: pytest.CaptureFixture[str]) -> None:
    lines = WatchLines(as_json=False)
    for problems in ((), (AWAY,), (AWAY,), (), (AWAY,)):
        lines.report(report(problems=problems))
    told = capsys.readouterr()
    assert (told.err.count("no answer in time"), told.out.count("everything can be looked at again")) == (2, 1)


def test_names_and_messages_of_others_are_inert(capsys: pytest.CaptureFixture[str]) -> None:
    lines = WatchLines(as_json=False, everything=True)
    lines.report(report(seen("done", "\x1b[2J\n::error::")))
    lines.gate(GateEnded("bot\x1b[31m", "7", 4, "failed\rok", ("\x1b]0;title\x07",)))
    told = capsys.readouterr().out
    assert "\x1b" not in told
    assert all(line.startswith("20") for line in told.splitlines())
    assert lines.undecided == 1


def test_a_heartbeat_only_after_a_long_silence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter((1000.0, 1000.0, 1599.0, 1601.0, 1601.0, 2000.0))
    monkeypatch.setattr("finetune_gate.flows.cli.watch.time.monotonic", lambda: next(clock))
    lines = WatchLines(as_json=False)
    for _ in range(4):
        lines.heartbeat(report(), 2)
    assert capsys.readouterr().out.count("watching 1 model(s)") == 1


def test_machines_get_everything(capsys: pytest.CaptureFixture[str]) -> None:
    lines = WatchLines(as_json=True)
    lines.report(report(seen("waited"), problems=(AWAY,)))
    lines.gate(GateEnded("support-bot", "7", 0, "promote: Good."))
    look, gate = map(json.loads, capsys.readouterr().out.splitlines())
    assert (look["exit_status"], look["looked"][0]["did"], look["problems"][0]["found"]) == (4, "waited", AWAY.found)
    assert gate["gate"]["sentence"] == "promote: Good."


def test_exit_status() -> None:
    assert status_of(report(seen("started"), seen("done"), seen("gave up"))) == 0
    assert status_of(report(seen("not reached"))) == 4
    assert status_of(report(problems=(AWAY,))) == 4
