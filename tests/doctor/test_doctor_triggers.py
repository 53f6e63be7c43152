"""What starts gates by itself: turns, clusters, the receiver's secret, GitHub."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from doctor_servers import dead, saying, silent

from finetune_gate.flows.doctor_triggers import github_findings, receiver_secret
from finetune_gate.gate.doctor import Finding, cluster_finding
from finetune_gate.gate.doctor.turns import turns_order
from finetune_gate.gate.turns.turn import Ending, Kind, Row, Turn, replay

NOW = 1_800_000_000_000
MINUTE = 60_000
SECRET = "FINETUNE_GATE_WEBHOOK_SECRET"
TOKEN = "FINETUNE_GATE_GITHUB_TOKEN"


def row(
    number: int, version: str, *, minutes: int = 0, kind: Kind = "run", gate: str = "g", over: int = 0, **ended: Any
) -> Row:
    turn = Turn(
        id=str(number), key=f"{version}{gate}", kind=kind, version=version, over=over, gate_digest=gate, actor="ana",
        trigger="webhook", at="",
    )  # fmt: skip
    ending = Ending(**ended) if ended else None
    return Row(number, turn, NOW - minutes * MINUTE, NOW - minutes * MINUTE, "", ending)


def turns(*rows: Row) -> list[tuple[str, str]]:
    found = list(turns_order(replay(rows, NOW, 90.0), "g", NOW))
    assert {one.name for one in found} == {"turns"}
    assert all(one.way_out for one in found if one.state == "warning")
    return [(one.state, one.found) for one in found]


def test_nothing_is_being_gated() -> None:
    idle = ("ok", "nothing is being gated")
    assert turns() == [idle]
    assert turns(row(1, "7", minutes=50, outcome="promote")) == [idle]


def test_who_gates_what() -> None:
    assert turns(row(1, "7", minutes=1), row(2, "8", kind="asked", gate="other", minutes=9)) == [
        ("ok", "version 7 by ana (webhook), 1 min ago: running"),
        ("ok", "version 8 by ana (webhook), 9 min ago: asked for"),
    ]


def test_what_nobody_goes_on_with() -> None:
    failed = row(2, "8", minutes=9, outcome="failed", sentence="MLflow: no answer \x1b[31m")
    again = row(3, "8", minutes=5, over=2, outcome="failed", sentence="again")
    silent = row(1, "7", minutes=9)
    found = turns(silent, failed, again)
    assert found == [
        ("warning", "version 7 by ana (webhook), 9 min ago: not heard of any more"),
        ("warning", "version 8 by ana (webhook), 5 min ago: no decision after 2 attempts: again"),
        ("ok", "nothing is being gated"),
    ]
    last = row(4, "8", minutes=1, over=3, outcome="failed", sentence="no space left")
    assert "no decision after 3 attempts, given up: no space left" in turns(silent, failed, again, last)[1][1]
    assert "\x1b" not in str(turns(failed))


def test_what_was_decided_since_or_is_another_gate_files_is_no_concern() -> None:
    failed = row(1, "7", minutes=9, outcome="failed")
    assert [state for state, _ in turns(failed, row(2, "7", gate="other", outcome="hold"))] == ["ok"]
    assert [state for state, _ in turns(row(1, "7", gate="other", minutes=9))] == ["ok"]


def test_clusters() -> None:
    with saying() as server:
        found = cluster_finding(server.url.replace("http", "tcp"), 5.0)
        assert (found.state, "takes connections" in found.found) == ("ok", True)
    with dead() as url:
        found = cluster_finding(url.replace("http", "ray"), 5.0)
        assert (found.state, "Connection refused" in found.found) == ("fault", True)
    assert "no answer" in cluster_finding("tcp://nobody.invalid", 5.0).found
    assert cluster_finding("tcp://[bad", 5.0).state == "fault"
    assert cluster_finding("auto", 5.0).state == "skipped"


def test_a_cluster_behind_a_wall_is_left_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("finetune_gate.gate.doctor.reaching.socket.create_connection", lambda *_, **__: time.sleep(30))
    start = time.monotonic()
    found = cluster_finding("tcp://192.0.2.9:8786", 0.3)
    assert (found.state, found.found) == ("fault", "tcp://192.0.2.9:8786: no answer within 0.3 s")
    assert time.monotonic() - start < 3


def secret(registered: bool = True, **environ: str) -> list[Finding]:
    found = list(receiver_secret(registered=registered, environ=environ))
    assert "hunter2" not in str(found)
    return found


def test_the_receivers_secret(tmp_path: Path) -> None:
    assert secret(registered=False) == []
    (missing,) = secret()
    assert (missing.state, "runs elsewhere" in missing.way_out) == ("skipped", True)
    (short,) = secret(registered=False, **{SECRET: "hunter2"})
    assert (short.state, "less than 16 characters" in short.found) == ("warning", True)
    (good,) = secret(**{SECRET: "hunter2" * 3})
    assert (good.state, good.found.startswith("a secret;")) == ("ok", True)
    (tmp_path / "secret").write_text("hunter2hunter2hunter2 hunter2hunter2hunter3\n")
    assert secret(**{f"{SECRET}_FILE": str(tmp_path / "secret")})[0].found.startswith("2 secrets")
    assert secret(**{f"{SECRET}_FILE": str(tmp_path / "none")})[0].state == "warning"


def github(**environ: str) -> dict[str, Finding]:
    found = list(github_findings(5.0, environ))
    assert "hunter2" not in str(found)
    assert all(one.way_out for one in found if one.state == "warning")
    return {one.name.removeprefix("github "): one for one in found}


def test_no_github() -> None:
    assert github() == {}


def test_a_job_of_github(tmp_path: Path) -> None:
    summary = tmp_path / "step"
    summary.touch()
    job = {"GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": "acme/models"}
    there = github(**job, GITHUB_STEP_SUMMARY=str(summary))
    assert {name: one.state for name, one in there.items()} == {"summary": "ok", "workflow": "skipped"}
    assert "concurrency" in there["workflow"].way_out
    assert github(**job)["summary"].state == "warning"
    assert "cannot be written" in github(**job, GITHUB_STEP_SUMMARY=str(tmp_path / "none"))["summary"].found


@pytest.mark.parametrize(
    ("status", "state", "said"),
    [(200, "ok", "the token sees acme/models"), (401, "warning", "refuses"), (404, "warning", "does not see")],
)
def test_a_relay_to_github(status: int, state: str, said: str) -> None:
    with saying() as server:
        server.says["/repos/acme/models"] = (status, {"name": "models"})
        environ = {TOKEN: "hunter2", "GITHUB_REPOSITORY": "acme/models", "GITHUB_API_URL": server.url}
        found = github(**environ)["relay"]
        ((method, _, headers),) = server.heard
    assert (found.state, said in found.found) == (state, True), found
    assert (method, headers["Authorization"]) == ("GET", "Bearer hunter2")


def test_a_relay_to_github_that_cannot_be() -> None:
    both = {TOKEN: "hunter2", "GITHUB_REPOSITORY": "acme/models"}
    assert "not set" in github(**{TOKEN: "hunter2"})["relay"].found
    assert github(**{TOKEN: "hunter2", "GITHUB_REPOSITORY": "models"})["relay"].state == "warning"
    assert github(GITHUB_REPOSITORY="acme/models")["relay"].state == "skipped"
    assert "unencrypted" in github(**both, GITHUB_API_URL="http://github.example/api/v3")["relay"].found
    with silent() as url:
        start = time.monotonic()
        found = list(github_findings(0.3, {**both, "GITHUB_API_URL": url}))
        assert time.monotonic() - start < 3
    assert (found[0].state, "no answer within 0.3 s" in found[0].found) == ("warning", True)
