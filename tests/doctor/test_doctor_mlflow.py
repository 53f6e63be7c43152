"""MLflow: a real server with a model in every state that the doctor tells, and addresses that lead nowhere."""

from __future__ import annotations

import base64
import json
import os
import time
import warnings
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from doctor_servers import dead, mlflow_server, saying, silent

from finetune_gate.gate.doctor import (
    OWN_WEBHOOK,
    Addresses,
    Finding,
    address_findings,
    registry_findings,
    server_finding,
    webhook_settings,
)
from finetune_gate.gate.doctor.mlflow_registry import ledger_order
from finetune_gate.gate.gate_file import GateFile
from finetune_gate.gate.registry import Ledger, Registry
from finetune_gate.gate.registry.ledger_entries import Entry, Row, replay
from finetune_gate.gate.registry.ledger_store import Wanted
from finetune_gate.gate.registry.webhooks import EVENTS, NAME

FERNET = {"MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": base64.urlsafe_b64encode(b"k" * 32).decode()}
OPEN = {"MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http,https", "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true"}


@pytest.fixture(autouse=True)
def settings_are_put_back() -> Generator[None]:
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@dataclass
class Served:
    uri: str
    root: Path
    client: Any

    def versions(self, model: str, n: int) -> None:
        run = self.client.create_run("0")
        self.client.create_registered_model(model)
        for _ in range(n):
            self.client.create_model_version(model, f"{run.info.artifact_uri}/m", run.info.run_id)

    def looked(self, model: str = "", **gate_file: object) -> dict[str, Finding]:
        file = GateFile.model_validate(content(model) | gate_file) if model else None
        found = list(registry_findings(Addresses(self.uri, self.uri), file, 20.0))
        assert "hunter2" not in str(found)
        return {one.name: one for one in found}


def content(model: str) -> dict[str, Any]:
    return {
        "model": model, "data": {"h": "h.jsonl"}, "evaluators": [{"perplexity": {"data": "h"}}],
        "rules": [{"metric": "perplexity.bits_per_byte", "max": 9.0}],
    }  # fmt: skip


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Generator[Served]:
    from mlflow import MlflowClient

    root = tmp_path_factory.mktemp("mlflow")
    with mlflow_server(root, {**OPEN, **FERNET}) as uri:
        yield Served(uri, root, MlflowClient(uri, uri))


@pytest.mark.slow
def test_a_model_from_its_first_version_to_a_ledger(served: Served) -> None:
    assert served.looked()["mlflow registry"].state == "ok"
    assert served.looked("nobody")["mlflow model"].state == "fault"
    served.versions("bot", 0)
    assert served.looked("bot")["mlflow model"].found == "bot has no versions"

    served.versions("router", 2)
    first = served.looked("router")
    assert {name: one.state for name, one in first.items()} == {
        "mlflow registry": "ok", "mlflow model": "ok", "mlflow alias": "warning", "mlflow stages": "ok",
        "promotion ledger": "ok", "mlflow experiment": "ok", "turns": "ok", "mlflow webhooks": "ok",
        "mlflow webhook of the gate": "skipped",
    }  # fmt: skip
    assert first["mlflow model"].found == "router, 2 versions, the newest 2"
    assert served.looked("router", champion=None)["mlflow alias"].state == "ok"

    ledger = Ledger(Registry.connect(served.uri), "router")
    settled = ledger.settle("champion")
    ledger.move(Wanted("champion", None, "1", settled.standing.generation), settled)
    moved = served.looked("router")
    assert (moved["mlflow alias"].state, moved["promotion ledger"].found) == ("ok", "in order, 1 entry")

    before = served.client.get_registered_model("router").aliases
    served.client.set_registered_model_alias("router", "champion", "2")
    by_hand = served.looked("router")["promotion ledger"]
    assert (by_hand.state, "by hand" in by_hand.found) == ("warning", True)
    assert before != served.client.get_registered_model("router").aliases  # as it was left: nothing is set right


@pytest.mark.slow
def test_stages_champions_and_experiments(served: Served) -> None:
    served.versions("staged", 1)
    idle = served.looked("staged", promotion={"stage": "Production"})["mlflow stages"]
    assert "no version is in one" in idle.found
    with warnings.catch_warnings(action="ignore"):
        served.client.transition_model_version_stage("staged", "1", "Staging")
    asked = served.looked("staged")["mlflow stages"]
    assert (asked.state, "sends no webhook" in asked.found) == ("ok", True)
    assert served.looked("staged", triggers={"stages": []})["mlflow stages"].state == "warning"
    with warnings.catch_warnings(action="ignore"):
        served.client.transition_model_version_stage("staged", "1", "Production")
    found = served.looked("staged", champion="@live")
    assert "version 1 in Production" in found["mlflow stages"].found
    assert "@live" in found["mlflow champion"].found
    assert "deprecated" in served.looked("staged", promotion={"stage": "Production"})["mlflow stages"].found

    experiment = served.client.create_experiment("finetune-gate/staged")
    assert "is not tried" in served.looked("staged")["mlflow experiment"].found
    served.client.delete_experiment(experiment)
    gone = served.looked("staged")["mlflow experiment"]
    assert (gone.state, f"--experiment-id {experiment}" in gone.way_out) == ("fault", True)
    assert served.client.get_experiment_by_name("finetune-gate/staged").lifecycle_stage == "deleted"


@pytest.mark.slow
def test_nothing_is_made(served: Served) -> None:
    served.versions("untouched", 1)
    served.looked("untouched")
    assert served.client.get_experiment_by_name("finetune-gate/untouched") is None
    names = [one.name for one in served.client.search_registered_models()]
    assert "finetune-gate.ledger.untouched" not in names
    assert dict(served.client.get_model_version("untouched", "1").tags) == {}


@pytest.mark.slow
def test_webhooks_without_tls_and_with_a_lost_key(served: Served) -> None:
    url = "http://127.0.0.1:9/hook?token=hunter2"
    made = served.client.create_webhook("relay", url, ["model_version.created"], secret="hunter2")
    plain = served.looked()["mlflow webhooks"]
    assert (plain.state, "127.0.0.1 without TLS" in plain.found) == ("warning", True)
    another = {"MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": base64.urlsafe_b64encode(b"z" * 32).decode()}
    with mlflow_server(served.root, {**OPEN, **another}) as uri:
        lost = Served(uri, served.root, served.client).looked()["mlflow webhooks"]
    assert "fails over its own webhooks" in lost.found
    assert (lost.state, "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY" in lost.way_out) == ("warning", True)
    served.client.delete_webhook(made.webhook_id)


@pytest.mark.slow
def test_the_webhook_of_the_gate(served: Served) -> None:
    made = served.client.create_webhook(
        NAME, "http://127.0.0.1:9/hook?token=hunter2", [EVENTS[0], "model_version_tag.deleted"], secret="hunter2"
    )
    short = served.looked()[OWN_WEBHOOK]
    assert (short.state, short.found.endswith(f"does not tell of {EVENTS[1]}, {EVENTS[2]}")) == ("warning", True)
    served.client.update_webhook(made.webhook_id, events=list(EVENTS))
    whole = served.looked()[OWN_WEBHOOK]
    assert (whole.state, "ALLOW_PRIVATE_IPS" in whole.found) == ("ok", True)
    served.client.update_webhook(made.webhook_id, status="DISABLED")
    idle = served.looked()[OWN_WEBHOOK]
    assert (idle.state, "is disabled: nothing is sent to 127.0.0.1" in idle.found) == ("warning", True)
    assert len(served.client.list_webhooks()) == 1  # as they were left
    served.client.delete_webhook(made.webhook_id)


@pytest.mark.slow
def test_versions_on_both_sides(served: Served) -> None:
    import mlflow

    assert server_finding(served.uri, 5.0).state == "ok"
    assert server_finding(served.uri, 5.0, lambda _: "99.0").state == "fault"
    newer = f"{mlflow.__version__.split('.')[0]}.999.0"
    found = server_finding(f"{served.uri}/", 5.0, lambda _: newer)
    assert (found.state, newer in found.found) == ("warning", True)


def row(number: int, after: str, *, done: bool = True, generation: int = 0, before: str | None = None) -> Row:
    entry = Entry(
        id=str(number), kind="promotion", alias="champion", before=before, after=after, generation=generation,
        seen=number - 1, actor="ana", trigger="test", reason="", at="",
    )  # fmt: skip
    return Row(number, 0, entry, {str(number): None if done else 1})


@pytest.mark.parametrize(
    ("rows", "serves", "state", "said"),
    [
        ([], "1", "ok", "no moves yet"),
        ([row(1, "1"), row(2, "2", generation=1, before="1")], "2", "ok", "in order, 2 entries"),
        ([row(1, "1", done=False)], None, "warning", "points to nothing: its last move is not known to be carried out"),
        ([row(1, "1")], "7", "warning", "moved by hand"),
        ([row(1, "1"), row(3, "2", generation=1, before="1")], "1", "warning", "entry 2 was deleted"),
        ([row(1, "1"), Row(2, 0, None)], "1", "warning", "no entry: 2"),
    ],
)
def test_ledgers(rows: list[Row], serves: str | None, state: str, said: str) -> None:
    found = ledger_order(replay(rows), "champion", serves, 10**12)
    assert (found.state, said in found.found) == (state, True), found


def test_nobody_there_somebody_silent_and_somebody_else() -> None:
    with dead() as url:
        found = server_finding(url.replace("://", "://ana:hunter2@"), 5.0)
        assert (found.state, found.found) == ("fault", f"{url}: no answer (Connection refused)")
    with silent() as url:
        start = time.monotonic()
        assert server_finding(url, 0.4).found == f"{url}: no answer within 0.4 s"
        assert time.monotonic() - start < 3
    with saying() as server:
        assert server_finding(server.url, 5.0).state == "warning"
        server.says["/version"] = (200, "<html>not a version</html>")
        assert server_finding(server.url, 5.0).state == "warning"
        server.says["/version"] = (401, "")
        assert server_finding(server.url, 5.0).state == "skipped"


def test_a_registry_that_goes_silent_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("finetune_gate.gate.doctor.mlflow_registry._OPENING_SECONDS", 0.5)
    import mlflow  # noqa: F401 - not part of the time

    with silent() as url:
        start = time.monotonic()
        (found,) = registry_findings(Addresses(url, url), None, 0.5)
        assert time.monotonic() - start < 5
    assert (found.state, "no answer" in found.found) == ("fault", True)


def addressed(environ: Mapping[str, str], uri: str | None = None) -> list[tuple[str, str]]:
    found = list(address_findings(Addresses.read(uri, environ), environ))
    assert "hunter2" not in str(found)
    return [(one.state, one.found) for one in found]


@pytest.mark.parametrize("uri", ["file:///tmp/mlruns", "mlruns", "./mlruns", "/srv/mlruns"])
def test_folders_are_refused(uri: str) -> None:
    ((state, _),) = addressed({"MLFLOW_TRACKING_URI": uri})
    assert state == "fault"


def test_addresses() -> None:
    assert addressed({})[0][0] == "warning"
    assert addressed({}, "sqlite:///mlflow.db") == [("ok", "sqlite:///mlflow.db")]
    two = {"MLFLOW_TRACKING_URI": "https://a.example", "MLFLOW_REGISTRY_URI": "https://b.example"}
    assert addressed(two) == [("ok", "https://a.example"), ("ok", "https://b.example, for the registry")]
    secret = {"MLFLOW_TRACKING_URI": "http://a.example", "MLFLOW_TRACKING_PASSWORD": "hunter2"}
    assert addressed(secret)[0] == ("warning", "MLFLOW_TRACKING_PASSWORD would travel to http://a.example unencrypted")
    assert addressed({"MLFLOW_TRACKING_URI": "http://ana:hunter2@a.example"})[0][0] == "warning"
    assert addressed(secret | {"MLFLOW_TRACKING_URI": "http://127.0.0.1:5000"})[0][0] == "ok"


def test_settings_of_webhooks() -> None:
    here, there = "http://127.0.0.1:5000", "https://mlflow.example"
    assert webhook_settings(there, FERNET).state == "skipped"
    assert "ENCRYPTION_KEY" in webhook_settings(there, {}).way_out
    assert webhook_settings(here, {}).state == "skipped"
    assert webhook_settings(here, FERNET).state == "ok"
    wrong = webhook_settings(here, {"MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": "hunter2"})
    assert (wrong.state, "hunter2" in str(wrong)) == ("warning", False)
    assert "mlflow server" in webhook_settings("sqlite:///mlflow.db", {}).way_out


def test_a_database_that_is_none(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    (found,) = registry_findings(Addresses(uri, uri), None, 5.0)
    assert (found.state, "there is no database" in found.found) == ("fault", True)
    assert not (tmp_path / "mlflow.db").exists()
    assert json.dumps(found.to_json())
