"""Which turns count: tables of single cases, and any interleaving of writers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finetune_gate.gate.registry.registered import RegisteredVersion
from finetune_gate.gate.turns.process import is_dead, this_process
from finetune_gate.gate.turns.turn import (
    ENDED_TAG,
    HEARD_TAG,
    TURN_TAG,
    Ending,
    Kind,
    Outcome,
    Row,
    State,
    Subject,
    Turn,
    identity_of,
    replay,
)

NOW = 1_800_000_000_000
SILENCE = 90.0


def row(
    number: int,
    over: int = 0,
    kind: Kind = "run",
    *,
    key: str = "a",
    ended: Outcome | None = None,
    heard_ago: float = 0.0,
    version: str = "7",
    turn_id: str | None = None,
    process: str = "",
) -> Row:
    turn = Turn(
        id=turn_id or f"id-{number}", key=key, kind=kind, version=version, over=over, actor="ana", trigger="test",
        at="2026-01-01T00:00:00+00:00", process=process,
    )  # fmt: skip
    at = NOW - int(heard_ago * 1000)
    return Row(number, turn, at, at, "", Ending(outcome=ended) if ended else None)


STANDINGS: list[tuple[str, list[Row], State, int, int]] = [
    ("nobody", [], "none", 0, 0),
    ("one runs", [row(1)], "running", 1, 0),
    ("two at once: the first counts", [row(1), row(2)], "running", 1, 0),
    ("one has decided", [row(1, ended="hold")], "decided", 1, 0),
    ("decided, and gated again", [row(1, ended="hold"), row(2, 1)], "running", 2, 0),
    ("two gate again at once", [row(1, ended="hold"), row(2, 1), row(3, 1, ended="block")], "running", 2, 0),
    ("not heard of", [row(1, heard_ago=91)], "silent", 1, 1),
    ("heard of just in time", [row(1, heard_ago=89)], "running", 1, 0),
    ("taken over", [row(1, heard_ago=500), row(2, 1)], "running", 2, 1),
    ("taken over twice at once", [row(1, heard_ago=500), row(2, 1), row(3, 1)], "running", 2, 1),
    ("failed", [row(1, ended="failed")], "failed", 1, 1),
    ("failed and failed", [row(1, ended="failed"), row(2, 1, ended="failed")], "failed", 2, 2),
    ("failed, then decided", [row(1, ended="failed"), row(2, 1, ended="promote")], "decided", 2, 1),
    (
        "failures before a decision do not count after it",
        [row(1, ended="failed"), row(2, 1, ended="hold"), row(3, 2, ended="failed")],
        "failed",
        3,
        1,
    ),
    ("misconfigured", [row(1, ended="misconfigured")], "failed", 1, 1),
    ("cancelled", [row(1, ended="cancelled")], "cancelled", 1, 0),
    ("cancelled, and run by hand", [row(1, ended="cancelled"), row(2, 1)], "running", 2, 0),
    ("asked", [row(1, kind="asked")], "asked", 1, 0),
    ("asked twice at once", [row(1, kind="asked"), row(2, kind="asked")], "asked", 1, 0),
    ("asked, and run", [row(1, kind="asked"), row(2, 1)], "running", 2, 0),
    ("asked, run and failed", [row(1, kind="asked"), row(2, 1, ended="failed")], "failed", 2, 1),
    ("asked in vain, asked again", [row(1, kind="asked"), row(2, 1, kind="asked")], "asked", 2, 1),
    ("could not be asked", [row(1, kind="asked", ended="undelivered")], "failed", 1, 0),
    (
        "could not be asked, asked again",
        [row(1, kind="asked", ended="undelivered"), row(2, 1, kind="asked")],
        "asked",
        2,
        0,
    ),
    ("after a turn that is not there", [row(3, 2)], "none", 0, 0),
    ("written twice by a broken connection", [row(1, turn_id="x"), row(2, 1, turn_id="x")], "running", 1, 0),
    ("of another subject", [row(1, key="b")], "none", 0, 0),
    ("the number of another subject's turn", [row(1, key="b"), row(2, 1)], "none", 0, 0),
]


@pytest.mark.parametrize(("rows", "state", "number", "attempts"), [one[1:] for one in STANDINGS],
                         ids=[one[0] for one in STANDINGS])  # fmt: skip
def test_standing(rows: list[Row], state: State, number: int, attempts: int) -> None:
    found = replay(reversed(rows), NOW, SILENCE).standing("a")
    assert (found.state, found.number, found.attempts) == (state, number, attempts)


def test_a_process_that_has_ended_is_silent_at_once() -> None:
    assert replay([row(1, process="gone")], NOW, SILENCE, lambda one: one == "gone").standing("a").state == "silent"
    here = this_process()
    assert here
    assert not is_dead(here)
    assert is_dead(here.rsplit('"', 2)[0] + '"1"]')  # the same id, begun at another time
    for foreign in ("", "[]", "{", "[" * 100_000, '["other-boot", "pid:[1]", 1, "2"]', here.replace(":[", ":[9")):
        assert not is_dead(foreign)


def test_watched_from_is_settled_by_the_first() -> None:
    rows = [row(1, kind="watched", version="12", key=""), row(2, kind="watched", version="30", key="")]
    assert replay(rows, NOW, SILENCE).watched_from == 12
    assert replay([], NOW, SILENCE).watched_from is None


def test_decided_by_any_gate_file() -> None:
    log = replay([row(1, ended="hold", version="7"), row(2, ended="failed", key="b", version="8")], NOW, SILENCE)
    assert log.decided("7")
    assert not log.decided("8")
    assert not log.decided("9")


def version_of(number: int, tags: dict[str, str]) -> Any:
    return SimpleNamespace(version=str(number), creation_timestamp=NOW, tags=tags)


@pytest.mark.parametrize("text", ["", "{}", "[" * 9999, '{"id": 3}', "null"])
def test_what_is_no_turn(text: str) -> None:
    assert Row.of(version_of(3, {TURN_TAG: text})) is None
    whole = row(3, 2).turn.model_dump_json()
    assert Row.of(version_of(3, {TURN_TAG: whole, ENDED_TAG: text})) is None
    read = Row.of(version_of(3, {TURN_TAG: whole, HEARD_TAG: text}))
    assert read is not None
    assert read.heard_ms is None
    assert Row.of(version_of(2, {TURN_TAG: whole})) is None  # it follows itself


def registered(**changed: Any) -> RegisteredVersion:
    given: dict[str, Any] = {
        "name": "m", "version": "7", "run_id": "r", "source": "models:/m-1", "status": "READY", "status_message": "",
        "stage": "None", "created_ms": 5, "updated_ms": 6, "tags": {},
    }  # fmt: skip
    return RegisteredVersion(**given | changed)


def test_what_makes_another_subject() -> None:
    of = Subject.of(registered(), "g")
    assert of.key == Subject.of(registered(tags={"a": "b"}, stage="Staging", updated_ms=9), "g").key
    others = [
        Subject.of(registered(version="8"), "g"), Subject.of(registered(source="models:/m-2"), "g"),
        Subject.of(registered(created_ms=7), "g"), Subject.of(registered(), "h"), Subject.of(registered(), "g", "base"),
    ]  # fmt: skip
    assert len({of.key, *(one.key for one in others)}) == 6
    assert identity_of(registered()) == identity_of(registered(stage="Production"))


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_any_interleaving_has_one_runner_at_a_time(data: st.DataObject) -> None:
    """Writers read at some moment, append later, and end: whoever finds that its turn counts is the only one then."""
    rows: list[Row] = []
    knew: dict[int, int] = {}  # writer -> what it read
    active: set[int] = set()  # numbers of turns whose writers believe that they gate
    for _ in range(data.draw(st.integers(1, 30))):
        writer = data.draw(st.integers(0, 5))
        deed = data.draw(st.sampled_from(["read", "append", "end"]))
        if deed == "read":
            found = replay(rows, NOW, SILENCE).standing("a")
            if found.state in ("none", "decided", "failed"):
                knew[writer] = found.number
        elif deed == "append" and writer in knew:
            number = len(rows) + 1
            rows.append(row(number, knew.pop(writer)))
            if replay(rows, NOW, SILENCE).standing("a").number == number:
                active.add(number)
        elif deed == "end" and active:
            number = active.pop()
            ended = data.draw(st.sampled_from(["hold", "failed"]))
            rows[number - 1] = row(number, rows[number - 1].turn.over, ended=ended)
        assert len(active) <= 1
