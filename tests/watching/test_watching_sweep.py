"""Looks at a real registry: everything that asks is started once, whoever looks, how often, and after what."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from shelf import AT_ONCE, BOT, Counting, Shelf, did, write_gate

from finetune_gate.gate.gate_file import load_gate_file
from finetune_gate.gate.registry import Author
from finetune_gate.gate.registry.ledger import Ledger
from finetune_gate.gate.registry.ledger_store import Wanted
from finetune_gate.gate.registry.registry import Registry
from finetune_gate.gate.turns import Turns
from finetune_gate.gate.watching import Ask, Report, Started


@pytest.fixture
def watched(shelf: Shelf) -> Shelf:
    """One old version, and somebody has begun to watch."""
    write_gate(shelf.folder)
    shelf.register()
    assert did(shelf.look(Counting())) == {"": "began to watch"}
    return shelf


def test_old_versions_are_not_gated_in_bulk_and_new_ones_are_once(watched: Shelf) -> None:
    relay = Counting()
    assert did(watched.look(relay)) == {}
    watched.register()
    watched.register()
    assert did(watched.look(relay)) == {"2": "started", "3": "started"}
    assert did(watched.look(relay)) == {"2": "waited", "3": "waited"}
    assert relay.asks == [(BOT, "2", "new version"), (BOT, "3", "new version")]


def test_what_was_registered_while_nobody_watched_is_found_by_one_look(watched: Shelf) -> None:
    for _ in range(3):
        watched.register()
    relay = Counting()
    watched.look(relay)
    assert relay.versions == ["2", "3", "4"]


def test_whatever_asks_again_for_the_same_version_is_answered_by_the_decision(watched: Shelf) -> None:
    relay = Counting()
    watched.stage("1", "Staging")
    watched.look(relay)
    assert relay.asks == [(BOT, "1", "stage Staging")]
    watched.end_last("block")
    watched.stage("1", "None")
    watched.stage("1", "Staging")
    watched.alias("candidate", "1")
    watched.tag("1", "gate", "requested")
    assert did(watched.look(relay, pace=AT_ONCE)) == {"1": "done"}


@pytest.mark.parametrize("way", ["alias", "stage", "tag"])
def test_an_old_version_asks_once_by_alias_stage_or_tag(watched: Shelf, way: str) -> None:
    def ask(version: str) -> None:
        if way == "alias":
            watched.alias("candidate", version)
        elif way == "stage":
            watched.stage(version, "Staging")
        else:
            watched.tag(version, "gate", "requested")

    relay = Counting()
    ask("1")
    for _ in range(2):
        watched.look(relay)
    assert relay.versions == ["1"]
    watched.end_last("hold")
    second = watched.register()
    ask(second)
    for _ in range(2):
        watched.look(relay)
    assert relay.versions == ["1", "2"]


def test_our_own_tags_aliases_and_lists_ask_for_nothing(watched: Shelf) -> None:
    relay = Counting()
    watched.tag("1", "finetune_gate.decision", "promote")
    watched.tag("1", "gate", "not requested")
    ledger = Ledger(watched.registry, BOT, Author("ana", "test"))
    settled = ledger.settle("champion")
    ledger.move(Wanted("champion", None, "1", settled.standing.generation, reason="First."), settled)
    watched.alias("candidate", "1")
    assert did(watched.look(relay)) == {}
    for name in ("finetune-gate.turns.support-bot", "finetune-gate.ledger.support-bot"):
        write_gate(watched.folder, model=name)
        report = watched.look(relay)
        assert "own lists" in report.problems[0].found
    assert relay.asks == []


def test_a_version_that_has_served_is_not_new_when_another_serves(watched: Shelf) -> None:
    second, third = watched.register(), watched.register()
    ledger = Ledger(watched.registry, BOT, Author("ana", "test"))
    for before, after in ((None, second), (second, third)):
        settled = ledger.settle("champion")
        ledger.move(Wanted("champion", before, after, settled.standing.generation, reason="By hand."), settled)
    relay = Counting()
    assert did(watched.look(relay)) == {}


def test_aliases_follow_the_ledger_before_anything_is_asked(watched: Shelf) -> None:
    second = watched.register()
    ledger = Ledger(watched.registry, BOT, Author("ana", "test"))
    settled = ledger.settle("champion")
    ledger.move(Wanted("champion", None, second, settled.standing.generation, reason="Good."), settled)
    watched.alias("champion", "1")
    report = watched.look(Counting())
    assert [one.did for one in report.looked] == ["reconciled"]
    assert watched.registry.alias_version(BOT, "champion") == "1"  # by hand: written down, and left
    assert did(watched.look(Counting())) == {}


def test_a_model_that_comes_later_is_gated_from_its_first_version(shelf: Shelf) -> None:
    write_gate(shelf.folder)
    relay = Counting()
    report = shelf.look(relay)
    assert did(report) == {"": "no model"}
    assert "has no registered model of that name yet" in report.looked[0].sentence
    shelf.register()
    shelf.look(relay)
    assert relay.versions == ["1"]


def test_watching_for_new_versions_begins_when_the_gate_file_says_so(shelf: Shelf) -> None:
    gate = write_gate(shelf.folder, extra="triggers: {new_versions: false}")
    shelf.register()
    assert did(shelf.look(Counting())) == {}
    shelf.register()
    gate.write_text(gate.read_text().replace("false", "true"))
    assert did(shelf.look(Counting())) == {"": "began to watch"}
    assert shelf.log().watched_from == 2


def test_a_model_without_versions(shelf: Shelf) -> None:
    write_gate(shelf.folder)
    shelf.client.create_registered_model(BOT)
    relay = Counting()
    assert did(shelf.look(relay)) == {"": "began to watch"}
    shelf.register()
    shelf.look(relay)
    assert relay.versions == ["1"]


def test_a_changed_gate_file_does_not_gate_old_decisions_anew_unless_they_are_named(watched: Shelf) -> None:
    watched.register()
    watched.look(Counting())
    watched.end_last("block")
    relay = Counting()
    write_gate(watched.folder, extra="# another edition")
    assert did(watched.look(relay)) == {}
    watched.tag("2", "gate", "requested")
    watched.look(relay)
    assert relay.asks == [(BOT, "2", "tag gate=requested")]


def test_two_gate_files_of_one_model_gate_each_version_each(watched: Shelf) -> None:
    watched.register()
    both = (watched.folder / "gate.yaml", write_gate(watched.folder, "strict.yaml", extra="# strict"))
    relay = Counting()
    watched.look(relay, *both)
    assert relay.versions == ["2", "2"]
    watched.end_last("block")
    watched.look(relay, *both)
    digests = [load_gate_file(path).digest for path in both]
    states = [watched.log().standing(watched.subject("2", digest).key).state for digest in digests]
    assert (relay.versions, sorted(states)) == (["2", "2"], ["asked", "decided"])


def test_a_broken_gate_file_does_not_stop_the_others(watched: Shelf) -> None:
    watched.register()
    broken = watched.folder / "broken.yaml"
    broken.write_text("model: [")
    relay = Counting()
    report = watched.look(relay, broken, watched.folder / "gone.yaml", watched.folder / "gate.yaml")
    assert relay.versions == ["2"]
    assert len(report.problems) == 2
    assert "broken.yaml" in report.problems[0].where
    json.dumps(report.to_json(), allow_nan=False)


def test_only_the_models_that_a_hint_names(watched: Shelf) -> None:
    watched.register()
    relay = Counting()
    assert watched.look(relay, models=frozenset({"another"})).models == ()
    assert watched.look(relay, models=frozenset({BOT, "another"})).models == (BOT,)
    assert relay.versions == ["2"]


def test_one_model_that_fails_does_not_stop_the_others(watched: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    watched.register()
    other = write_gate(watched.folder, "other.yaml", model="other")
    watched.register("other")
    real = Registry.versions

    def versions(self: Registry, model: str) -> object:
        if model == "other":
            raise RuntimeError("a fault at https://user:secret@host/")
        return real(self, model)

    monkeypatch.setattr(Registry, "versions", versions)
    relay = Counting()
    report = watched.look(relay, other, watched.folder / "gate.yaml")
    assert relay.versions == ["2"]
    assert [problem.where for problem in report.problems] == ["model 'other'"]
    assert "secret" not in str(report.problems)


@dataclass
class Deleting(Counting):
    """Deletes the version just when it is about to be asked for."""

    shelf: Shelf | None = None

    def start(self, ask: Ask, turns: Turns) -> Started:
        assert self.shelf is not None
        self.shelf.client.delete_model_version(BOT, ask.subject.version)
        return super().start(ask, turns)


def test_a_version_that_is_deleted_meanwhile(watched: Shelf) -> None:
    watched.register()
    relay = Deleting(shelf=watched)
    assert did(watched.look(relay)) == {"2": "started"}
    assert did(watched.look(relay)) == {}
    watched.look(later := Counting())
    assert later.asks == []


def test_eight_watchers_at_once_ask_once(watched: Shelf) -> None:
    for _ in range(3):
        watched.register()
    relay, together = Counting(), threading.Barrier(8)

    def one(_number: int) -> Report:
        together.wait(30)
        return watched.look(relay)

    with ThreadPoolExecutor(8) as pool:
        reports = list(pool.map(one, range(8)))
    assert sorted(relay.versions) == ["2", "3", "4"]
    assert not [problem for report in reports for problem in report.problems]


@pytest.mark.slow
def test_four_watching_processes_ask_once(watched: Shelf) -> None:
    for _ in range(3):
        watched.register()
    script = Path(__file__).parent / "shelf.py"
    command = [sys.executable, str(script), str(watched.folder)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    asked = [one.communicate(timeout=120)[0].split() for one in started]
    assert [one.returncode for one in started] == [0] * 4
    assert sorted(version for versions in asked for version in versions) == ["2", "3", "4"]


def test_eight_first_looks_agree_on_where_watching_began(shelf: Shelf) -> None:
    write_gate(shelf.folder)
    shelf.register()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: shelf.look(Counting()), range(8)))
    assert shelf.log().watched_from == 1
    shelf.register()
    shelf.look(relay := Counting())
    assert relay.versions == ["2"]


def test_a_registry_that_is_away_is_not_asked_for_every_model(watched: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    gates = [write_gate(watched.folder, f"{name}.yaml", model=name) for name in "abcdef"]
    asked: list[str] = []

    def versions(self: Registry, model: str) -> object:
        asked.append(model)
        return self.version("nothing", "1")

    monkeypatch.setattr(Registry, "versions", versions)
    report = watched.look(Counting(), *gates)
    assert asked == ["a", "b", "c"]
    assert len(report.problems) == 6
