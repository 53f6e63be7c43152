"""Asking GitHub: what is sent, what is made of its replies, and that the token stays where it belongs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hub import Hub, opened
from shelf import Shelf, write_gate

from finetune_gate.evaluators.errors import ConfigurationError
from finetune_gate.flows.relays.github import GitHub, from_environment
from finetune_gate.gate.gate_file import load_gate_file
from finetune_gate.gate.watching import Pace

TOKEN = "github_pat_0123456789secret"
DISPATCHES = "/repos/octo/bots/dispatches"
SOON = Pace(missed_s=(-1,), patience_s=-1)


@pytest.fixture
def hub() -> Iterator[Hub]:
    with opened() as one:
        yield one


@pytest.fixture
def watched(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    (shelf.folder / "gates").mkdir()
    write_gate(shelf.folder / "gates")
    monkeypatch.chdir(shelf.folder)
    shelf.turns().watch(0)
    shelf.register()
    return shelf


def relay(hub: Hub, seconds: float = 5.0) -> GitHub:
    return GitHub(hub.url, "octo/bots", TOKEN, seconds=seconds)


GATE = Path("gates/gate.yaml")


def test_what_is_sent(watched: Shelf, hub: Hub) -> None:
    hub.says[DISPATCHES] = (204, None)
    report = watched.look(relay(hub), GATE)
    assert [one.did for one in report.looked] == ["started"]
    (heard,) = hub.heard
    assert (heard.method, heard.path) == ("POST", DISPATCHES)
    assert heard.headers["Authorization"] == f"Bearer {TOKEN}"
    assert heard.headers["Accept"] == "application/vnd.github+json"
    assert heard.body == {
        "event_type": "finetune-gate",
        "client_payload": {
            "model": "support-bot",
            "version": "1",
            "gate_file": "gates/gate.yaml",
            "gate_file_digest": load_gate_file(GATE).digest,
            "reason": "new version",
            "attempt": 1,
        },
    }
    watched.look(relay(hub), GATE)
    assert len(hub.heard) == 1
    watched.look(relay(hub), GATE, pace=SOON)  # no run came of it in time
    assert [one.body["client_payload"]["attempt"] for one in hub.heard] == [1, 2]


@pytest.mark.parametrize(
    ("status", "said", "way_out"),
    [
        (401, {"message": f"Bad credentials {TOKEN}"}, "has expired; set FINETUNE_GATE_GITHUB_TOKEN"),
        (403, {"message": "API rate limit exceeded"}, "API rate limit exceeded"),
        (404, {"message": "Not Found"}, "check GITHUB_REPOSITORY"),
        (422, {"message": "Invalid request"}, "refuses the event"),
        (307, {"message": "Moved Permanently"}, "renamed or moved"),
        (500, "\x1b[31m<html>", "tried again"),
        (200, {}, "expected 204"),
    ],
)
def test_what_is_made_of_other_replies(watched: Shelf, hub: Hub, status: int, said: object, way_out: str) -> None:
    hub.says[DISPATCHES] = (status, said)
    report = watched.look(relay(hub), GATE)
    (one,) = report.looked
    assert (one.did, len(hub.heard)) == ("not reached", 1)  # no redirect is followed
    assert way_out in one.sentence
    rows = watched.log().rows
    assert TOKEN not in json.dumps([report.to_json(), [row.turn.model_dump() for row in rows]])
    assert TOKEN not in repr(rows)
    assert rows[-1].ending is not None
    assert rows[-1].ending.outcome == "undelivered"
    assert watched.look(relay(hub), GATE).looked[0].did == "waited"
    hub.says[DISPATCHES] = (204, None)
    assert watched.look(relay(hub), GATE, pace=SOON).looked[0].did == "started"
    assert hub.heard[-1].body["client_payload"]["attempt"] == 1


def test_whoever_says_nothing_is_not_waited_for(watched: Shelf, hub: Hub) -> None:
    hub.slow_s = 5.0
    begun = time.monotonic()
    report = watched.look(relay(hub, seconds=0.5), GATE)
    assert time.monotonic() - begun < 4
    assert (report.looked[0].did, "no answer within 0.5 s" in report.looked[0].sentence) == ("not reached", True)


def test_a_gate_file_elsewhere_goes_by_its_name(watched: Shelf, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.says[DISPATCHES] = (204, None)
    (watched.folder / "another").mkdir()
    monkeypatch.chdir(watched.folder / "another")
    watched.look(relay(hub), watched.folder / GATE)
    assert hub.heard[0].body["client_payload"]["gate_file"] == "gate.yaml"


SOUND = {"GITHUB_REPOSITORY": "octo/bots", "FINETUNE_GATE_GITHUB_TOKEN": TOKEN}


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({"GITHUB_REPOSITORY": ""}, "GITHUB_REPOSITORY: not set"),
        ({"GITHUB_REPOSITORY": "octo/bots/../.."}, "GITHUB_REPOSITORY: 'octo/bots/../..'"),
        ({"FINETUNE_GATE_GITHUB_TOKEN": ""}, "FINETUNE_GATE_GITHUB_TOKEN: not set"),
        ({"FINETUNE_GATE_GITHUB_TOKEN": "secret\r\nX: y"}, "FINETUNE_GATE_GITHUB_TOKEN: holds what no token does"),
        ({"GITHUB_API_URL": "http://github.example"}, "GITHUB_API_URL: no address by https"),
    ],
)
def test_settings_that_cannot_be(changed: dict[str, str], found: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        from_environment({**SOUND, **changed})
    assert found in str(raised.value)
    assert "secret" not in str(raised.value)


def test_settings_that_can() -> None:
    for more in ({}, {"GITHUB_API_URL": "https://github.example/api/v3/"}, {"GITHUB_API_URL": "http://127.0.0.1:80"}):
        assert from_environment({**SOUND, **more}).via == "github"
