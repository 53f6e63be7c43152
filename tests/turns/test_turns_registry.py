"""Turns in a real registry: who wins, who waits, who takes over."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from workshop import MODEL, Workshop

from finetune_gate.evaluators.errors import EvaluationError
from finetune_gate.gate.registry import Author, Registry
from finetune_gate.gate.turns import Ending, Held, Subject, Turns, Wish

pytestmark = pytest.mark.slow


def turns_of(workshop: Workshop, name: str = "ana", **settings: Any) -> Turns:
    quick = {"silence_s": 3.0, "beat_s": 0.3, "wait_s": 60.0, **settings}
    return Turns(Registry.connect(workshop.uri), MODEL, Author(name, "test"), **quick)


def subject_of(workshop: Workshop, gate: str = "g") -> Subject:
    return Subject.of(Registry.connect(workshop.uri).version(MODEL, "2"), gate)


HOLD = Ending(outcome="hold", sentence="Hold: too few.", record="runs:/0/finetune_gate/decision-record.json")


def held(found: Held | Ending) -> Held:
    assert isinstance(found, Held)
    return found


def take_or_none(turns: Turns, subject: Subject) -> Held | Ending | None:
    """None where another's run did not end while it was waited for; a run that is taken goes on, and is heard."""
    try:
        found = turns.take(subject, "once")
    except EvaluationError:
        return None
    if isinstance(found, Held):
        with found.heard():
            time.sleep(6.0)
    return found


def test_of_many_at_once_one_gates_and_the_others_get_its_decision(workshop: Workshop) -> None:
    subject, gated = subject_of(workshop), list[int]()

    def one(number: int) -> Ending:
        turns = turns_of(workshop, f"runner {number}")
        found = turns.take(subject, ("once", "join")[number % 2])
        if isinstance(found, Ending):
            return found
        with found.heard():
            time.sleep(1.0)
            gated.append(number)
        found.end(HOLD)
        return HOLD

    with ThreadPoolExecutor(12) as pool:
        assert set(pool.map(one, range(12))) == {HOLD}
    assert len(gated) == 1
    log = turns_of(workshop).read()
    assert (log.standing(subject.key).state, len(log.counting)) == ("decided", 1)


@pytest.mark.parametrize(("wish", "gates"), [("once", False), ("join", True), ("again", True)])
def test_after_a_decision(workshop: Workshop, wish: Wish, gates: bool) -> None:
    turns, subject = turns_of(workshop), subject_of(workshop)
    held(turns.take(subject, "once")).end(HOLD)
    assert isinstance(turns.take(subject, wish), Held) is gates
    assert isinstance(turns.take(subject_of(workshop, "another gate file"), "once"), Held)


@pytest.mark.parametrize(("wish", "gates"), [("once", False), ("join", False), ("again", True)])
def test_while_another_gates(workshop: Workshop, wish: Wish, gates: bool) -> None:
    subject, said = subject_of(workshop), list[str]()
    first = held(turns_of(workshop, "ana").take(subject, "join"))
    later = threading.Timer(2.0, lambda: first.end(HOLD))
    later.start()
    with first.heard():
        found = turns_of(workshop, "bert").take(subject, wish, say=said.append)
        later.join()
    assert isinstance(found, Held) is gates
    assert said == [f"{MODEL} v2 is being gated by ana (test): waiting for that"]


def test_a_run_that_failed_is_followed_by_one_that_waited(workshop: Workshop) -> None:
    subject = subject_of(workshop)
    first = held(turns_of(workshop).take(subject, "once"))
    threading.Timer(1.0, lambda: first.end(Ending(outcome="failed", sentence="no GPU"))).start()
    with first.heard(), ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: take_or_none(turns_of(workshop, wait_s=4.0), subject), range(4)))
    assert sum(isinstance(one, Held) for one in found) == 1


def test_waiting_has_an_end(workshop: Workshop) -> None:
    subject = subject_of(workshop)
    first = held(turns_of(workshop).take(subject, "once"))
    with first.heard(), pytest.raises(EvaluationError, match=r"ana \(test\) has been gating it since"):
        turns_of(workshop, wait_s=2.0).take(subject, "once")


def test_a_silent_run_is_taken_over_once_and_learns_of_it(workshop: Workshop) -> None:
    """A process that sleeps (another machine's, as far as anybody knows) comes back after another took over."""
    subject = subject_of(workshop)
    sleeper = held(turns_of(workshop).take(subject, "once"))
    elsewhere(workshop, sleeper.number)
    time.sleep(3.2)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: take_or_none(turns_of(workshop, wait_s=5.0), subject), range(4)))
    (winner,) = [one for one in found if isinstance(one, Held)]
    winner.check()
    with pytest.raises(EvaluationError, match="took over, because nothing had been heard"):
        sleeper.check()


def test_a_run_whose_clock_is_wrong_is_not_taken_over(workshop: Workshop) -> None:
    """It seems to be silent for an hour, but is heard while it is listened to."""
    subject = subject_of(workshop)
    first = held(turns_of(workshop).take(subject, "once"))
    elsewhere(workshop, first.number)
    turns, over = turns_of(workshop, wait_s=3.0, silence_s=0.05), threading.Event()

    def beat() -> None:
        while not over.wait(0.1):
            turns_of(workshop).heard(first.number)

    beating = threading.Thread(target=beat)
    beating.start()
    try:
        with pytest.raises(EvaluationError, match="has been gating it since"):
            turns.take(subject, "once")
    finally:
        over.set()
        beating.join()


def elsewhere(workshop: Workshop, number: int) -> None:
    """Make turn ``number`` one of a process on another machine."""
    from finetune_gate.gate.turns.turn import TURN_TAG, Turn

    client, name = workshop.client(), f"finetune-gate.turns.{MODEL}"
    turn = Turn.model_validate_json(client.get_model_version(name, str(number)).tags[TURN_TAG])
    changed = turn.model_copy(update={"process": ""}).model_dump_json()
    client.set_model_version_tag(name, str(number), TURN_TAG, changed)


def test_a_killed_process_of_this_machine_is_followed_at_once(workshop: Workshop) -> None:
    script = (
        "import sys, time\n"
        "from finetune_gate.gate.registry import Author, Registry\n"
        "from finetune_gate.gate.turns import Subject, Turns\n"
        f"registry = Registry.connect({workshop.uri!r})\n"
        f"turns = Turns(registry, {MODEL!r}, Author('killed', 'test'))\n"
        f"held = turns.take(Subject.of(registry.version({MODEL!r}, '2'), 'g'), 'once')\n"
        "print(held.number, flush=True)\n"
        "time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "1\n"
    turns, subject = turns_of(workshop, silence_s=1000.0), subject_of(workshop)
    assert turns.read().standing(subject.key).state == "running"
    os.kill(process.pid, signal.SIGKILL)
    _until(lambda: turns.read().standing(subject.key).state == "silent")
    found = turns.take(subject, "once")
    process.wait(10)
    assert held(found).number == 2
    assert turns.read().standing(subject.key).attempts == 1


def _until(ready: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not ready():
        assert time.monotonic() < until
        time.sleep(0.1)


def test_a_turn_that_asks_is_taken_by_one_run(workshop: Workshop) -> None:
    turns, subject = turns_of(workshop), subject_of(workshop)
    none = turns.read().standing(subject.key)
    asked = [turns.ask(subject, none, "github", "new version") for _ in range(3)]
    assert [one is not None for one in asked] == [True, False, False]
    turns.delivered(asked[0] or 0, "https://github.example/run/1")
    standing = turns.read().standing(subject.key)
    assert standing.row is not None
    assert (standing.state, standing.row.delivered) == ("asked", "https://github.example/run/1")
    assert isinstance(turns.take(subject, "once"), Held)
    assert turns.read().standing(subject.key).state == "running"


def test_the_first_who_watches_says_what_is_new(workshop: Workshop) -> None:
    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(lambda n: turns_of(workshop).watch(n), range(2, 8))) <= {2, 3, 4, 5, 6, 7}
    assert len({turns_of(workshop).read().watched_from, turns_of(workshop).watch(40)}) == 1


def test_the_list_of_turns_is_no_model(workshop: Workshop, tmp_path: Path) -> None:
    held(turns_of(workshop).take(subject_of(workshop), "once"))
    gate = workshop.gate("{metric: perplexity.bits_per_byte, max: 40}", classify=False)
    gate.write_text(gate.read_text().replace(f"model: {MODEL}", f"model: finetune-gate.turns.{MODEL}"))
    refused = workshop.command("run", gate)
    assert refused.returncode == 2
    assert "own lists, and holds no models" in refused.stderr
