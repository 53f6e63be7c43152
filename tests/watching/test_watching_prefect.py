"""Asking Prefect for flow runs, and what its states are taken for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hub import Hub, opened
from shelf import Shelf, write_gate

from finetune_gate.evaluators.errors import ConfigurationError
from finetune_gate.flows.relays.prefect import Prefect, from_environment
from finetune_gate.gate.gate_file import load_gate_file
from finetune_gate.gate.turns import Ending, Held
from finetune_gate.gate.watching import Pace

DEPLOYMENT, RUN = "6f0c1f64-2b5e-4b7e-9a53-0000000000d1", "6f0c1f64-2b5e-4b7e-9a53-0000000000f1"
CREATE = f"/api/deployments/{DEPLOYMENT}/create_flow_run"
SOON = Pace(patience_s=-1, missed_s=(-1,), pauses_s=(-1,))


@pytest.fixture
def hub() -> Iterator[Hub]:
    with opened() as one:
        one.says = {
            "/api/deployments/name/evaluation_gate/gate": (200, {"id": DEPLOYMENT}),
            CREATE: (201, {"id": RUN}),
        }
        yield one


@pytest.fixture
def watched(shelf: Shelf) -> Shelf:
    write_gate(shelf.folder)
    shelf.turns().watch(0)
    shelf.register()
    return shelf


def relay(hub: Hub) -> Prefect:
    environment = {"PREFECT_API_URL": f"{hub.url}/api/", "PREFECT_API_AUTH_STRING": "admin:pass"}
    return from_environment("watch", environment)


def is_in(hub: Hub, kind: str, *, message: str = "", minutes: float = 0.0) -> None:
    since = (datetime.now(UTC) - timedelta(minutes=minutes)).isoformat()
    state = {"type": kind, "name": kind.title(), "message": message, "timestamp": since}
    hub.says[f"/api/flow_runs/{RUN}"] = (200, {"id": RUN, "state": state})


def created(hub: Hub) -> list[dict[str, object]]:
    return [one.body for one in hub.heard if one.path == CREATE]


def test_what_is_sent(watched: Shelf, hub: Hub) -> None:
    report = watched.look(relay(hub))
    assert [(one.did, RUN in one.sentence) for one in report.looked] == [("started", True)]
    assert {one.headers["Authorization"] for one in hub.heard} == {"Basic YWRtaW46cGFzcw=="}
    digest = load_gate_file(watched.folder / "gate.yaml").digest
    (asked,) = created(hub)
    assert asked == {
        "parameters": {
            "gate_file": str(watched.folder / "gate.yaml"),
            "model": "support-bot",
            "version": "1",
            "once": True,
            "trigger": "watch: new version",
        },
        "idempotency_key": f"{watched.subject('1', digest).key}-2",
    }
    assert watched.log().rows[-1].delivered == f"flow run {RUN}"


@pytest.mark.parametrize(
    ("kind", "minutes", "did", "outcome"),
    [
        ("SCHEDULED", 999, "waited", None),
        ("PENDING", 1, "waited", None),
        ("RUNNING", 1, "waited", None),
        ("RUNNING", 11, "started", "failed"),
        ("CANCELLING", 1, "waited", None),
        ("CRASHED", 1, "started", "failed"),
        ("FAILED", 1, "started", "failed"),
        ("CANCELLED", 1, "done", "cancelled"),
        ("COMPLETED", 1, "gave up", "misconfigured"),
        ("PAUSED", 1, "started", "failed"),
    ],
)
def test_what_states_are_taken_for(
    watched: Shelf, hub: Hub, kind: str, minutes: float, did: str, outcome: str | None
) -> None:
    watched.look(relay(hub))
    is_in(hub, kind, message="no space left", minutes=minutes)
    (one,) = watched.look(relay(hub), pace=SOON).looked
    ending = watched.log().rows[1].ending
    assert (one.did, ending.outcome if ending else None) == (did, outcome)
    keys = {str(one["idempotency_key"]) for one in created(hub)}
    assert len(keys) == (2 if did == "started" else 1)


def test_a_decision_that_was_made_meanwhile_is_not_overwritten(watched: Shelf, hub: Hub) -> None:
    watched.look(relay(hub))
    taken = watched.turns().take(watched.subject("1", load_gate_file(watched.folder / "gate.yaml").digest), "once")
    assert isinstance(taken, Held)
    is_in(hub, "COMPLETED")
    taken.end(Ending(outcome="block", sentence="No."))
    assert watched.look(relay(hub)).looked == ()
    assert [row.ending.outcome for row in watched.log().rows if row.ending] == ["block"]


def test_a_silent_run_is_marked_as_crashed_before_the_next(watched: Shelf, hub: Hub) -> None:
    watched.look(relay(hub))
    turns = watched.turns()
    taken = turns.take(watched.subject("1", load_gate_file(watched.folder / "gate.yaml").digest), "once")
    assert isinstance(taken, Held)
    name = "finetune-gate.turns.support-bot"
    row = turns.read().rows[-1]
    gone = row.turn.model_copy(update={"process": row.turn.process.rpartition('"')[0][:-1] + '1"]'})
    watched.client.set_model_version_tag(name, str(row.number), "finetune_gate.turn", gone.model_dump_json())
    is_in(hub, "RUNNING")
    assert watched.look(relay(hub)).looked[0].did == "started"
    told = [one for one in hub.heard if one.path == f"/api/flow_runs/{RUN}/set_state"]
    assert [(one.body["state"]["type"], one.body["force"]) for one in told] == [("CRASHED", True)]
    assert len(created(hub)) == 2


@pytest.mark.parametrize(
    ("path", "status", "way_out"),
    [
        ("/api/deployments/name/evaluation_gate/gate", 404, "finetune-gate deployments"),
        ("/api/deployments/name/evaluation_gate/gate", 401, "PREFECT_API_KEY"),
        (CREATE, 409, "status 409 (Parameters are wrong)"),
        (CREATE, 200, ""),
    ],
)
def test_whoever_cannot_be_reached(watched: Shelf, hub: Hub, path: str, status: int, way_out: str) -> None:
    hub.says[path] = (status, {"detail": "Parameters are wrong", "id": RUN})
    (one,) = watched.look(relay(hub)).looked
    assert one.did == ("started" if status == 200 else "not reached")
    assert way_out in one.sentence


def test_a_busy_server_is_asked_again(watched: Shelf, hub: Hub) -> None:
    hub.busy = 2
    assert watched.look(relay(hub)).looked[0].did == "started"
    assert len(created(hub)) == 1


def test_a_server_that_is_away(watched: Shelf) -> None:
    away = Prefect("http://127.0.0.1:9/api", {}, "watch", seconds=2.0)
    (one,) = watched.look(away).looked
    assert (one.did, "is the server of PREFECT_API_URL running" in one.sentence) == ("not reached", True)
    assert watched.look(away).looked[0].did == "waited"


@pytest.mark.parametrize(("url", "found"), [("", "not set"), ("ftp://ana:secret@host/api", "ftp://host/api is no")])
def test_settings_that_cannot_be(url: str, found: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        from_environment("watch", {"PREFECT_API_URL": url})
    assert found in str(raised.value)
    assert "secret" not in str(raised.value)
