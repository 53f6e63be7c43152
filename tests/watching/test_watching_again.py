"""What came to nothing is started again: how often, after what, and by whom."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest
from shelf import AT_ONCE, BOT, Counting, Shelf, did, write_gate

from finetune_gate.gate.gate_file import load_gate_file
from finetune_gate.gate.registry import Author
from finetune_gate.gate.turns import Ending, Held, Turns
from finetune_gate.gate.watching import Ask


@pytest.fixture
def watched(shelf: Shelf) -> Shelf:
    """One version that is new."""
    write_gate(shelf.folder)
    shelf.turns().watch(1)
    shelf.register()
    shelf.register()
    return shelf


def test_failed_runs_are_tried_again_three_times_in_all(watched: Shelf) -> None:
    relay = Counting()
    for attempt in (1, 2, 3):
        assert did(watched.look(relay, pace=AT_ONCE)) == {"2": "started"}
        assert watched.end_last("failed", "no space left").attempts == attempt
    report = watched.look(relay, pace=AT_ONCE)
    assert did(report) == {"2": "gave up"}
    assert "no space left" in report.looked[0].sentence
    assert relay.versions == ["2"] * 3
    write_gate(watched.folder, extra="# mended")
    assert did(watched.look(relay)) == {"2": "started"}


@pytest.mark.parametrize(("outcome", "found"), [("misconfigured", "gave up"), ("cancelled", "done")])
def test_some_endings_are_not_tried_again(watched: Shelf, outcome: str, found: str) -> None:
    relay = Counting()
    watched.look(relay)
    watched.end_last(outcome)  # type: ignore[arg-type]
    assert did(watched.look(relay, pace=AT_ONCE)) == {"2": found}


def test_whoever_was_asked_and_does_not_begin_is_asked_again(watched: Shelf) -> None:
    relay = Counting()
    watched.look(relay)
    assert did(watched.look(relay)) == {"2": "waited"}
    relay.said = "coming"
    assert did(watched.look(relay, pace=AT_ONCE)) == {"2": "waited"}
    relay.said = "unknown"
    assert did(watched.look(relay, pace=AT_ONCE)) == {"2": "started"}
    ended = [row.ending.outcome for row in watched.log().rows if row.ending]
    assert ended == ["failed"]


def test_what_the_relay_knows_of_the_end_is_written_down(watched: Shelf) -> None:
    relay = Counting()
    watched.look(relay)
    relay.said = Ending(outcome="cancelled", sentence="flow run x ended Cancelled")
    assert did(watched.look(relay)) == {"2": "done"}
    assert relay.versions == ["2"]


def test_an_ask_that_was_never_passed_on_is_made_again_and_is_no_attempt(watched: Shelf) -> None:
    turns = watched.turns()
    subject = watched.subject("2", load_gate_file(watched.folder / "gate.yaml").digest)
    turns.ask(subject, turns.read().standing(subject.key), "test", "new version")  # and killed here
    relay = Counting()
    assert did(watched.look(relay)) == {"2": "waited"}
    assert did(watched.look(relay, pace=AT_ONCE)) == {"2": "started"}
    assert watched.log().standing(subject.key).attempts == 0


def test_a_run_that_begins_while_its_ask_is_given_up_is_left_alone(watched: Shelf) -> None:
    relay = Counting()
    watched.look(relay)
    turns = watched.turns()
    subject = watched.subject("2", load_gate_file(watched.folder / "gate.yaml").digest)

    @dataclass
    class Late(Counting):
        def word(self, ask: Ask) -> Ending:
            assert isinstance(turns.take(subject, "once"), Held)
            return Ending(outcome="failed", sentence="not begun")

    late = Late()
    assert did(watched.look(late, pace=AT_ONCE)) == {"2": "waited"}
    assert late.asks == []
    assert watched.log().standing(subject.key).state == "running"


def test_an_abandoned_run_is_started_again(watched: Shelf) -> None:
    subject = watched.subject("2", load_gate_file(watched.folder / "gate.yaml").digest)
    quick = Turns(watched.registry, BOT, Author("ana", "test"), silence_s=0.0)
    assert isinstance(quick.take(subject, "once"), Held)
    relay = Counting()
    assert did(watched.look(relay)) == {"2": "waited"}  # of this process, and heard of a moment ago
    row = watched.log().standing(subject.key).row
    assert row is not None
    gone = row.turn.model_copy(update={"process": json.dumps([*json.loads(row.turn.process)[:3], "1"])})
    name, number = "finetune-gate.turns.support-bot", str(row.number)
    watched.client.set_model_version_tag(name, number, "finetune_gate.turn", gone.model_dump_json())
    assert did(watched.look(relay)) == {"2": "started"}
