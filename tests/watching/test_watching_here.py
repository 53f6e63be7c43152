"""Gates as processes here: places, deadlines, what their end is taken for; and a real one, from look to alias."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from shelf import AT_ONCE, Shelf, write_gate
from workshop import BASE, MODEL, Workshop

from finetune_gate.flows.relays import GateEnded, Here
from finetune_gate.gate.registry import Registry
from finetune_gate.gate.turns import Turns

LONG = bool(os.environ.get("FINETUNE_GATE_LONG_TESTS"))
PRETENDING = Path(__file__).parent / "pretending.py"


@pytest.fixture
def watched(shelf: Shelf) -> Shelf:
    write_gate(shelf.folder)
    shelf.turns().watch(0)
    return shelf


@contextmanager
def relay(shelf: Shelf, deed: str, **settings: Any) -> Iterator[tuple[Here, list[GateEnded]]]:
    ended: list[GateEnded] = []
    program = (sys.executable, str(PRETENDING), deed, str(shelf.folder))
    here = Here("watch", out=shelf.folder / "out", ended=ended.append, program=program, **settings)
    try:
        yield here, ended
    finally:
        here.close()


def told(shelf: Shelf) -> list[dict[str, Any]]:
    """What processes wrote down when they began."""
    return [json.loads(path.read_text()) for path in shelf.folder.glob("told-*.json")]


def waited(ready: Callable[[], Any], seconds: float = 60.0) -> Any:
    until = time.monotonic() + seconds
    while not (found := ready()):
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)
    return found


def outcome(shelf: Shelf, version: str = "1") -> tuple[str, str, str]:
    rows = [row for row in shelf.log().rows if row.turn.version == version and row.turn.kind != "watched"]
    ending = rows[-1].ending
    return (rows[-1].turn.via, ending.outcome, ending.sentence) if ending else (rows[-1].turn.via, "", "")


def test_the_command_and_what_it_is_given(watched: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FINETUNE_GATE_GITHUB_TOKEN", "ghp_secret")
    monkeypatch.setenv("FINETUNE_GATE_WEBHOOK_SECRET", "s" * 20)
    watched.register(tags={"gate": "requested"})
    uri = "postgresql://ana:secret@db/mlflow"
    with relay(watched, "promote", tracking_uri=uri) as (here, ended):
        report = watched.look(here)
        assert [(one.did, one.why) for one in report.looked] == [("started", "tag gate=requested")]
        assert here.wait(60)
    (one,) = told(watched)
    assert one["arguments"] == [
        "run",
        str(watched.folder / "gate.yaml"),
        "--version=1",
        "--once",
        "--json",
        "--trigger=watch: tag gate=requested",
        f"--out={watched.folder / 'out'}",
    ]
    assert one["environment"]["MLFLOW_TRACKING_URI"] == uri
    assert not {"FINETUNE_GATE_GITHUB_TOKEN", "FINETUNE_GATE_WEBHOOK_SECRET"} & set(one["environment"])
    assert ended == [GateEnded("support-bot", "1", 0, "promote: Good.")]


def test_places(watched: Shelf) -> None:
    for _ in range(4):
        watched.register()
    with relay(watched, "promote", at_once=2) as (here, ended):
        first, second = watched.look(here), watched.look(here)
        assert [one.did for one in first.looked] == ["started", "started", "queued", "queued"]
        assert {one.did for one in second.looked} <= {"waited", "under way"}
        assert here.wait(60)
        assert here.under_way == 0
    assert [one.status for one in ended] == [0] * 4
    assert sorted(one["arguments"][2] for one in told(watched)) == [f"--version={n}" for n in (1, 2, 3, 4)]


def test_two_watchers_start_each_once_between_them(watched: Shelf) -> None:
    for _ in range(3):
        watched.register()
    with relay(watched, "promote") as (one, _), relay(watched, "promote") as (other, _):
        watched.look(one)
        watched.look(other)
        assert one.wait(60)
        assert other.wait(60)
    assert sorted(each["arguments"][2] for each in told(watched)) == [f"--version={n}" for n in (1, 2, 3)]


@pytest.mark.parametrize(
    ("deed", "status", "ending", "sentence"),
    [("misconfigured", 2, "misconfigured", "gate.yaml:3: no such column"), ("fail", 4, "failed", "status 4")],
)
def test_a_process_that_never_took_its_turn(watched: Shelf, deed: str, status: int, ending: str, sentence: str) -> None:
    watched.register()
    with relay(watched, deed) as (here, ended):
        watched.look(here)
        assert here.wait(60)
        assert (ended[0].status, sentence in ended[0].sentence) == (status, True)
        assert outcome(watched)[:2] == ("here", ending)
        again = watched.look(here, pace=AT_ONCE)
        assert again.looked[0].did == ("gave up" if deed == "misconfigured" else "started")
        assert here.wait(60)
    if deed == "fail":
        assert ended[0].lines == ("first line", "\x1b[31mlast line")


def test_a_deadline_ends_the_process_and_all_that_it_started(watched: Shelf) -> None:
    watched.register()
    with relay(watched, "hang on", deadline_s=4.0, grace_s=0.5) as (here, ended):
        watched.look(here)
        assert here.wait(60)
    (one,) = told(watched)
    assert not psutil.pid_exists(one["pid"])
    waited(lambda: not psutil.pid_exists(one["child"]) or psutil.Process(one["child"]).status() == "zombie")
    assert ended[0].status == -signal.SIGKILL
    assert outcome(watched)[1] == "failed"
    assert "stopped after" in outcome(watched)[2]


def test_closing_ends_what_runs_which_is_no_attempt_and_forgets_what_waits(watched: Shelf) -> None:
    watched.register()
    watched.register()
    with relay(watched, "hang") as (here, ended):
        watched.look(here)
        waited(lambda: told(watched))
        begun = time.monotonic()
    assert time.monotonic() - begun < 10
    (one,) = told(watched)
    assert not psutil.pid_exists(one["pid"])
    assert [gate.sentence for gate in ended] == ["stopped with its watcher; it goes on when somebody watches again"]
    assert outcome(watched)[1] == "undelivered"
    with relay(watched, "promote", at_once=2) as (here, _):
        report = watched.look(here, pace=AT_ONCE)
        assert [(one.version, one.did) for one in report.looked] == [("1", "started"), ("2", "started")]
        assert here.wait(60)
    rows = [row for row in watched.log().rows if row.turn.version == "1" and row.turn.kind == "asked"]
    assert [row.turn.attempt for row in rows] == [1, 1]


def test_a_program_that_is_not_there(watched: Shelf) -> None:
    watched.register()
    ended: list[GateEnded] = []
    here = Here("watch", program=("/nowhere/finetune-gate",), ended=ended.append)
    watched.look(here)
    assert here.wait(60)
    here.close()
    assert "no process could be started here: No such file" in ended[0].sentence
    assert outcome(watched)[1] == "undelivered"
    assert watched.look(here).looked[0].did == "waited"


class TestForReal:
    pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

    def register(self, workshop: Workshop) -> str:
        """Version 2 once more."""
        client = workshop.client()
        old = client.get_model_version(MODEL, "2")
        made = client.create_model_version(MODEL, old.source, old.run_id, tags={"base_model": f"models:/{BASE}/1"})
        return str(made.version)

    def watching(self, workshop: Workshop, *arguments: str) -> subprocess.Popen[str]:
        settings = {"MLFLOW_TRACKING_URI": workshop.uri, "FINETUNE_GATE_HOME": str(workshop.folder / "home")}
        return subprocess.Popen(
            [sys.executable, "-m", "finetune_gate.flows.cli", "watch", "gate.yaml", *arguments],
            cwd=workshop.folder,
            env={**os.environ, **settings},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def test_once_from_a_new_version_to_the_alias(self, workshop: Workshop) -> None:
        workshop.gate("{metric: perplexity.bits_per_byte, max: 40}", classify=False)
        first = workshop.command("watch", "gate.yaml", "--once")
        assert (first.returncode, "versions above 2 are new" in first.stdout) == (0, True), first.stderr
        version = self.register(workshop)
        second = workshop.command("watch", "gate.yaml", "--once", "--json")
        assert second.returncode == 0, second.stderr
        look, gate = map(json.loads, second.stdout.splitlines())
        assert [(one["version"], one["why"], one["did"]) for one in look["looked"]] == [("3", "new version", "started")]
        assert (gate["gate"]["status"], gate["gate"]["sentence"][:8]) == (0, "promote:")
        assert workshop.champion() == version
        third = workshop.command("watch", "gate.yaml", "--once")
        assert (third.returncode, "nothing asks" in third.stdout) == (0, True)
        rows = Turns(Registry.connect(workshop.uri), MODEL).read().rows
        assert [row.turn.kind for row in rows] == ["watched", "asked", "run"]
        assert rows[-1].turn.trigger == "watch: new version"

    @pytest.mark.skipif(not LONG, reason="takes more than a minute: FINETUNE_GATE_LONG_TESTS=1 runs it")
    def test_killed_it_is_started_again_and_the_watcher_ends_cleanly(self, workshop: Workshop) -> None:
        workshop.gate("{metric: perplexity.bits_per_byte, max: 40}", classify=False)
        turns = Turns(Registry.connect(workshop.uri), MODEL)
        turns.watch(2)
        version = self.register(workshop)
        watcher = self.watching(workshop, "--every", "2")
        try:
            waited(lambda: any(row.turn.kind == "run" for row in turns.read().rows), 120)
            (gate,) = psutil.Process(watcher.pid).children()
            gate.kill()
            waited(lambda: [row for row in turns.read().rows if row.ending and row.ending.outcome == "failed"], 30)
            waited(lambda: workshop.champion() == version, 240)
        finally:
            watcher.terminate()
            output, _ = watcher.communicate(timeout=60)
        assert watcher.returncode == 0, output
        assert "its process was killed by signal 9" in output
        assert output.count("started") == 2

    def test_stopped_with_its_watcher_a_gate_goes_on_with_the_next(self, workshop: Workshop) -> None:
        workshop.gate("{metric: perplexity.bits_per_byte, max: 40}", classify=False)
        turns = Turns(Registry.connect(workshop.uri), MODEL)
        turns.watch(2)
        version = self.register(workshop)
        watcher = self.watching(workshop)
        try:
            waited(lambda: any(row.turn.kind == "run" for row in turns.read().rows), 120)
        finally:
            watcher.terminate()
            output, _ = watcher.communicate(timeout=60)
        assert (watcher.returncode, "stopping" in output) == (0, True), output
        assert not [
            one
            for one in psutil.process_iter(["cmdline"])
            if str(workshop.folder) in " ".join(one.info["cmdline"] or ())
        ]
        assert workshop.champion() is None
        assert workshop.command("watch", "gate.yaml", "--once").returncode == 0
        assert workshop.champion() == version
        assert {row.turn.attempt for row in turns.read().rows} == {1}

    def test_what_cannot_be_looked_at(self, workshop: Workshop) -> None:
        (workshop.folder / "broken.yaml").write_text("model: [")
        workshop.gate("{metric: perplexity.bits_per_byte, max: 40}", classify=False)
        found = workshop.command("watch", "broken.yaml", "gate.yaml", "--once")
        assert (found.returncode, "broken.yaml" in found.stderr, "began to watch" in found.stdout) == (4, True, True)
        away = workshop.command("watch", "gate.yaml", "--once", "--tracking-uri", "sqlite:////nowhere/mlflow.db")
        assert (away.returncode, "there is no database" in away.stderr) == (4, True)
        assert workshop.command("watch").returncode == 2
        unset = workshop.command("watch", "gate.yaml", "--relay", "github", env={"GITHUB_REPOSITORY": "a b"})
        assert (unset.returncode, unset.stderr.count("error:")) == (2, 2)
