"""Which versions ask, and what is done about them: tables, no registry."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import pytest
from shelf import BOT, write_gate

from finetune_gate.gate.gate_file import Gate, load_gate_file
from finetune_gate.gate.registry.registered import RegisteredVersion
from finetune_gate.gate.turns import Ending, Log, Outcome, Row, Standing, State, Subject
from finetune_gate.gate.turns.turn import Kind, Turn, replay
from finetune_gate.gate.watching import Ask, NotYet, Pace, next_step, who_asks

NOW = 10_000_000_000
MINUTE = 60_000


def version(
    number: int, *, stage: str = "None", status: str = "READY", tags: Mapping[str, str] | None = None, made: int = 1
) -> RegisteredVersion:
    return RegisteredVersion(BOT, str(number), None, f"s3://{number}", status, "", stage, made, made, dict(tags or {}))


def turn(
    number: int, subject: Subject, *, over: int = 0, kind: Kind = "run", outcome: Outcome | None = None, via: str = ""
) -> Row:
    said = Turn(
        id=str(number),
        key=subject.key,
        kind=kind,
        version=subject.version,
        over=over,
        gate_digest=subject.gate_digest,
        via=via,
        actor="ana",
        trigger="test",
        at="2026-01-01T10:00:00+00:00",
    )
    return Row(number, said, NOW, None, "", Ending(outcome=outcome) if outcome else None)


def watched(*rows: Row, above: int = 0) -> Log:
    begun = Turn(id="w", key="", kind="watched", version=str(above), over=0, actor="ana", trigger="test", at="")
    return replay([Row(1, begun, NOW), *rows], NOW, 90.0)


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return load_gate_file(write_gate(tmp_path))


def asked(
    gate: Gate,
    *versions: RegisteredVersion,
    aliases: Mapping[str, str] | None = None,
    log: Log | None = None,
    served: Collection[str] = (),
    others: Collection[str] = (),
) -> dict[str, str]:
    """Version to why it asks, or why not yet."""
    found = who_asks(gate, versions, aliases or {}, log or watched(), served=served, others=others)
    return {
        one.subject.version if isinstance(one, Ask) else one.version: one.why
        if isinstance(one, Ask)
        else f"{one.why}, {one.sentence}"
        for one in found
    }


class TestWhoAsks:
    def test_new_versions_are_those_above_where_watching_began(self, gate: Gate) -> None:
        versions = [version(9), version(11), version(10)]
        assert asked(gate, *versions, log=watched(above=9)) == {"10": "new version", "11": "new version"}
        assert asked(gate, *versions, log=Log()) == {}

    def test_whatever_the_number_where_it_is_named(self, gate: Gate) -> None:
        versions = [version(1, stage="Staging"), version(2), version(3, tags={"gate": "requested"}), version(4)]
        found = asked(gate, *versions, aliases={"candidate": "2", "other": "4"}, log=watched(above=9))
        assert found == {"1": "stage Staging", "2": "alias candidate", "3": "tag gate=requested"}

    def test_not_what_serves(self, gate: Gate) -> None:
        champion = version(3, stage="Staging", tags={"gate": "requested"})
        assert asked(gate, champion, aliases={"champion": "3", "candidate": "3"}) == {}

    def test_not_as_new_what_has_served(self, gate: Gate) -> None:
        assert asked(gate, version(3), version(4), served={"3"}) == {"4": "new version"}
        assert asked(gate, version(3), served={"3"}, aliases={"candidate": "3"}) == {"3": "alias candidate"}

    @pytest.mark.parametrize("outcome", ["promote", "block", "hold"])
    def test_a_decision_under_an_earlier_edition_of_the_gate_file_counts_for_new_versions(
        self, gate: Gate, outcome: Outcome
    ) -> None:
        decided = watched(turn(2, Subject.of(version(1), "edition 1"), outcome=outcome))
        assert asked(gate, version(1), log=decided) == {}
        assert asked(gate, version(1, stage="Staging"), log=decided) == {"1": "stage Staging"}

    @pytest.mark.parametrize("outcome", ["failed", "misconfigured", "cancelled", "undelivered", None])
    def test_what_came_to_no_decision_does_not(self, gate: Gate, outcome: Outcome | None) -> None:
        tried = watched(turn(2, Subject.of(version(1), "edition 1"), outcome=outcome))
        assert asked(gate, version(1), log=tried) == {"1": "new version"}

    def test_nor_what_another_gate_file_decided_that_is_watched_as_well(self, gate: Gate) -> None:
        decided = watched(turn(2, Subject.of(version(1), "the other"), outcome="block"))
        assert asked(gate, version(1), log=decided, others={"the other"}) == {"1": "new version"}

    def test_a_number_that_was_registered_anew_is_another_version(self, gate: Gate) -> None:
        decided = watched(turn(2, Subject.of(version(1, made=1), "edition 1"), outcome="block"))
        assert asked(gate, version(1, made=2), log=decided) == {"1": "new version"}

    def test_triggers_can_be_left_out(self, tmp_path: Path) -> None:
        none = "triggers: {new_versions: false, stages: [], aliases: [], tags: {}}"
        versions = [version(1, stage="Staging", tags={"gate": "requested"}), version(2)]
        assert asked(load_gate_file(write_gate(tmp_path, extra=none)), *versions, aliases={"candidate": "2"}) == {}

    def test_any_value_of_a_tag(self, tmp_path: Path) -> None:
        gate = load_gate_file(write_gate(tmp_path, extra='triggers: {new_versions: false, tags: {ready: "*"}}'))
        versions = [version(1, tags={"ready": "\x1b[31mrm -rf\n"}), version(2, tags={"gate": "requested"})]
        assert asked(gate, *versions) == {"1": "tag ready"}

    def test_not_yet_what_is_not_ready(self, gate: Gate) -> None:
        found = asked(gate, version(1, status="PENDING_REGISTRATION"), version(2, status="READY"))
        assert found["2"] == "new version"
        assert found["1"] == "new version, its status in MLflow is PENDING_REGISTRATION, not READY"

    def test_tags_of_the_gate_itself_ask_for_nothing(self, gate: Gate) -> None:
        ours = {"finetune_gate.decision": "block", "finetune_gate.promotion": "{}"}
        assert asked(gate, version(1, tags=ours), log=watched(above=1)) == {}

    def test_what_is_asked_carries_where_it_stands(self, gate: Gate) -> None:
        subject = Subject.of(version(1), gate.digest)
        rows = [
            turn(2, subject, kind="asked", via="prefect"),
            turn(3, subject, over=2, outcome="failed"),
            turn(4, subject, over=3, kind="asked", outcome="undelivered"),
            turn(5, subject, over=4, kind="asked", outcome="undelivered"),
        ]
        (found,) = who_asks(gate, [version(1)], {}, watched(*rows))
        assert isinstance(found, Ask)
        assert (found.standing.state, found.standing.attempts, found.missed) == ("failed", 1, 2)
        assert found.before is not None
        assert found.before.number == 4
        assert not isinstance(found, NotYet)


def standing(
    state: State,
    *,
    attempts: int = 0,
    kind: Kind = "run",
    age_min: float = 0.0,
    delivered: str = "",
    via: str = "",
    outcome: Outcome | None = None,
) -> Standing:
    row = turn(7, Subject(BOT, "1", "d", "g"), kind=kind, outcome=outcome, via=via)
    row = Row(7, row.turn, NOW - int(age_min * MINUTE), None, delivered, row.ending)
    return Standing("k", row, state, attempts)


TABLE = [
    (Standing("k"), "start", "not gated yet"),
    (standing("decided", outcome="block"), "done", "block"),
    (standing("cancelled", outcome="cancelled"), "done", "run it by hand"),
    (standing("running", age_min=9999), "wait", "being gated by ana (test)"),
    (standing("asked", kind="asked", age_min=0.9), "wait", "asked for by ana (test)"),
    (standing("asked", kind="asked", age_min=1.1), "start", "never passed on"),
    (standing("asked", kind="asked", age_min=59, delivered="flow run x", via="prefect"), "wait", "flow run x"),
    (
        standing("asked", kind="asked", age_min=61, delivered="flow run x", via="prefect"),
        "start",
        "not begun in 60 min",
    ),
    (standing("asked", kind="asked", age_min=61, delivered="x", via="prefect", attempts=2), "give up", "3 of 3"),
    (standing("asked", kind="asked", age_min=4, delivered="process 7", via="here"), "wait", "process 7"),
    (standing("asked", kind="asked", age_min=6, delivered="process 7", via="here"), "start", "not begun in 5 min"),
    (standing("silent", attempts=1), "start", "not heard of any more"),
    (standing("silent", attempts=2, age_min=2), "start", "2 of 3"),
    (standing("silent", attempts=3, age_min=2), "give up", "3 of 3"),
    (standing("failed", attempts=1, age_min=0.9, outcome="failed"), "wait", "again in 6 s"),
    (standing("failed", attempts=1, age_min=1.1, outcome="failed"), "start", "once more"),
    (standing("failed", attempts=2, age_min=4.9, outcome="failed"), "wait", "2 of 3"),
    (standing("failed", attempts=2, age_min=5.1, outcome="failed"), "start", "2 of 3"),
    (standing("failed", attempts=3, age_min=9999, outcome="failed"), "give up", "by hand"),
    (
        standing("failed", attempts=1, age_min=9999, outcome="misconfigured"),
        "give up",
        "once the gate file has changed",
    ),
    (standing("failed", outcome="undelivered"), "start", "once more"),
    (standing("failed", kind="asked", age_min=0.5, outcome="undelivered"), "wait", "again in"),
    (standing("failed", kind="asked", age_min=1.5, outcome="undelivered"), "start", "once more"),
]


@pytest.mark.parametrize(("found", "kind", "sentence"), TABLE)
def test_next_step(found: Standing, kind: str, sentence: str) -> None:
    step = next_step(found, NOW, Pace())
    assert step.kind == kind
    assert sentence in step.sentence


@pytest.mark.parametrize(("missed", "pause_min"), [(1, 1), (2, 5), (3, 15), (4, 60), (9, 60)])
def test_whoever_cannot_be_reached_is_tried_ever_less_often_and_for_ever(missed: int, pause_min: float) -> None:
    for age, kind in ((pause_min - 0.1, "wait"), (pause_min + 0.1, "start")):
        found = standing("failed", kind="asked", age_min=age, outcome="undelivered", attempts=0)
        assert next_step(found, NOW, Pace(), missed=missed).kind == kind


def test_a_run_that_is_heard_of_is_counted_from_then() -> None:
    row = turn(7, Subject(BOT, "1", "d", "g"), outcome="failed")
    heard = Row(7, row.turn, NOW - 60 * MINUTE, NOW - MINUTE // 2, "", row.ending)
    assert next_step(Standing("k", heard, "failed", 1), NOW, Pace()).kind == "wait"
