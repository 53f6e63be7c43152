"""Webhooks of real MLflow servers: installed, tried, delivered; and every setting that can be missing named."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography.fernet import Fernet
from delivering import OLD_SECRET, SECRET, Box, box, served
from serve_process import gate_file_in, line, serving
from webhook_mlflow import ANY_ADDRESS, Door, webhook_server

from finetune_gate.evaluators.errors import ConfigurationError, FinetuneGateError, RegistryError
from finetune_gate.flows.cli.webhooks import webhooks as command
from finetune_gate.flows.receiver import Log, Working
from finetune_gate.gate.registry import webhooks as own
from finetune_gate.gate.registry.mlflow_client import Connection, connect
from finetune_gate.gate.registry.own_models import own_name

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("receiver_webhooks")]

SECRET_TEXT = SECRET.decode()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    key = Fernet.generate_key().decode()
    root = tmp_path_factory.mktemp("webhooks")
    with webhook_server(root, ANY_ADDRESS | {own.ENCRYPTION_KEY: key}, workers=2) as address:
        yield address


@pytest.fixture
def connection(server: str) -> Generator[Connection]:
    found = connect(server)
    yield found
    for one in own.webhooks(found):
        found.client.delete_webhook(one.id)


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FINETUNE_GATE_WEBHOOK_SECRET", f"{SECRET_TEXT} {OLD_SECRET.decode()}")


@pytest.fixture
def receiver(tmp_path: Path) -> Generator[tuple[Box, str]]:
    with box(tmp_path / "inbox", now=time.time) as found, served(found.receiver) as address:
        yield found, address


def called(*arguments: str) -> Result:
    return CliRunner().invoke(command, arguments)


def version_of(connection: Connection, model: str) -> str:
    client = connection.client
    with contextlib.suppress(Exception):
        client.create_registered_model(model)
    run = client.create_run("0")
    return str(client.create_model_version(model, f"{run.info.artifact_uri}/model", run.info.run_id).version)


def soon(true: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not true():
        assert time.monotonic() < until
        time.sleep(0.05)


# installing


def test_installed_twice_is_installed_once(connection: Connection, receiver: tuple[Box, str], server: str) -> None:
    found, address = receiver
    for word in ("installed", "changed"):
        result = called("install", address, "--tracking-uri", server)
        assert result.exit_code == 0, result.output
        assert result.output.startswith(f"{word}: finetune-gate -> {address}/mlflow (ACTIVE): model_version.created, ")
        assert "test: the event came through" in result.output
        assert "60 s" in result.output
        assert SECRET_TEXT not in result.output
        (one,) = own.webhooks(connection)
    assert (one.name, one.url, one.status, set(one.events)) == (
        "finetune-gate",
        f"{address}/mlflow",
        "ACTIVE",
        set(own.EVENTS),
    )
    assert found.waiting == []
    assert any("ignored: another model" in line for line in found.said)


def test_what_was_there_under_our_name_is_made_right(connection: Connection, receiver: tuple[Box, str]) -> None:
    client, (_, address) = connection.client, receiver
    for url in ("https://127.0.0.1:1/old", f"{address}/mlflow", "https://127.0.0.1:2/older"):
        client.create_webhook("finetune-gate", url, ["registered_model.created"])
    client.create_webhook("of-others", "https://127.0.0.1:3/", ["registered_model.created"])
    client.create_webhook("also-there", f"{address}/mlflow", ["registered_model.created"])
    before = {one.url: one for one in own.webhooks(connection)}
    client.update_webhook(before[f"{address}/mlflow"].id, status="DISABLED")
    installed = own.install(connection, address, SECRET_TEXT)
    assert not installed.created
    assert installed.webhook.url == f"{address}/mlflow"
    assert {one.url for one in installed.removed} == {"https://127.0.0.1:1/old", "https://127.0.0.1:2/older"}
    assert [one.name for one in installed.others] == ["also-there"]
    assert {(one.name, one.status) for one in own.webhooks(connection)} == {
        ("finetune-gate", "ACTIVE"),
        ("of-others", "ACTIVE"),
        ("also-there", "ACTIVE"),
    }
    assert own.send_test(connection, installed.webhook).arrived


def test_listed_tried_and_removed_for_machines(connection: Connection, receiver: tuple[Box, str], server: str) -> None:
    at = ("--tracking-uri", server, "--json")
    installed = called("install", receiver[1], *at)
    told = json.loads(installed.output)
    assert (installed.exit_code, told["created"], told["test"]["status"]) == (0, True, 202)
    assert json.loads(called("list", *at).output)["webhooks"] == [told["webhook"]]
    tried = called("test", *at)
    assert (tried.exit_code, json.loads(tried.output)["test"]["arrived"]) == (0, True)
    assert json.loads(called("remove", *at).output)["removed"] == [told["webhook"]]
    assert json.loads(called("remove", *at).output)["removed"] == []
    gone = called("test", "--tracking-uri", server)
    assert isinstance(gone.exception, ConfigurationError)
    assert called("list", "--tracking-uri", server).output == "There are no webhooks.\n"


def test_another_secret_is_told(connection: Connection, receiver: tuple[Box, str]) -> None:
    tried = own.send_test(connection, own.install(connection, receiver[1], "another-secret-altogether").webhook)
    assert (tried.arrived, tried.status) == (False, 401)
    assert "secret" in tried.way_out
    assert receiver[0].waiting == []


def test_what_is_amiss_with_the_address_is_told(connection: Connection, receiver: tuple[Box, str], server: str) -> None:
    wrong_path = own.install(connection, f"{receiver[1]}/other", SECRET_TEXT).webhook
    tried = own.send_test(connection, wrong_path)
    assert (tried.status, "at /mlflow: correct the path" in tried.way_out) == (404, True)
    with Door(200).opened() as elsewhere:
        tried = own.send_test(connection, own.install(connection, elsewhere, SECRET_TEXT).webhook)
        assert (tried.arrived, "something else than the receiver" in tried.way_out) == (False, True)
        as_tls = elsewhere.replace("http://", "https://")
        tried = own.send_test(connection, own.install(connection, as_tls, SECRET_TEXT).webhook)
        assert (tried.arrived, tried.status, "certificate" in tried.way_out) == (False, None, True)
    nobody = called("install", elsewhere, "--tracking-uri", server)
    assert nobody.exit_code == 4
    assert "test: the event did not get there: Connection refused" in nobody.output
    assert "finetune-gate serve" in nobody.output


# delivering


def test_a_new_version_leads_to_a_look_and_what_gates_write_leads_to_none(
    connection: Connection, receiver: tuple[Box, str]
) -> None:
    (found, address), client = receiver, connection.client
    own.install(connection, address, SECRET_TEXT)
    time.sleep(1.5)  # the server's list of webhooks is a second old at most
    looks: list[frozenset[str] | None] = []
    working = Working(found.receiver.inbox, looks.append, sweep_seconds=0, log=Log(found.said.append))
    thread = threading.Thread(target=working.run)
    thread.start()
    try:
        version = version_of(connection, "support-bot")
        soon(lambda: len(found.woken) == 1)
        working.wake()
        soon(lambda: looks == [frozenset({"support-bot"})])

        version_of(connection, own_name("ledger", "support-bot"))
        version_of(connection, "a-model-of-others")
        client.set_model_version_tag("support-bot", version, "finetune_gate.decision", "promote")
        client.set_registered_model_alias("support-bot", "champion", version)
        client.set_model_version_tag("support-bot", version, "gate", "requested")
        soon(lambda: len(found.woken) == 2)
        working.wake()
        soon(lambda: len(looks) == 2)
        client.set_registered_model_alias("support-bot", "candidate", version)
        soon(lambda: len(found.woken) == 3)
    finally:
        working.stop()
        thread.join(20)
    found.receiver.log.tell(now=True)
    said = "\n".join(found.said)
    assert all(f"ignored: {why}" in said for why in ("another model", "own books", "own tag", "own alias"))
    assert said.count("accepted") == 3


def test_from_the_registry_to_a_gate(connection: Connection, server: str, tmp_path: Path) -> None:
    gate_file = gate_file_in(tmp_path)
    version_of(connection, "support-bot")
    with serving(str(gate_file), "--port", "0", "--tracking-uri", server, home=tmp_path) as process:
        address = line(process, "Webhooks").split()[1]
        assert "new from here on" in line(process, "began to watch")
        assert own.send_test(connection, own.install(connection, address, SECRET_TEXT).webhook).arrived
        time.sleep(1.5)  # the server's list of webhooks is a second old at most
        version = version_of(connection, "support-bot")
        assert f"'support-bot' version {version}" in line(process, "accepted model_version.created")
        assert "started" in line(process, f"support-bot v{version}")
        process.terminate()
        assert process.wait(60) == 0


# what servers lack


def refused(*arguments: object) -> str:
    with pytest.raises(FinetuneGateError) as raised:
        own.install(*arguments)  # type: ignore[arg-type]
    return str(raised.value)


def test_each_setting_that_a_server_lacks_is_named(tmp_path: Path) -> None:
    with webhook_server(tmp_path, {}) as address:
        connection = connect(address)
        assert own.SCHEMES in refused(connection, "http://127.0.0.1:9", SECRET_TEXT)
        assert own.PRIVATE_IPS in refused(connection, "https://127.0.0.1:9", SECRET_TEXT)
        assert "does not know the host" in refused(connection, "https://nohost.invalid", SECRET_TEXT)
        assert own.webhooks(connection) == ()
        with sqlite3.connect(tmp_path / "mlflow.db") as raw:  # as a server with another key has left it
            raw.execute(
                "INSERT INTO webhooks (webhook_id, name, url, status, secret) "
                "VALUES ('1', 'finetune-gate', 'https://x/', 'ACTIVE', 'unreadable')"
            )
            raw.execute("INSERT INTO webhook_events VALUES ('1', 'model_version', 'created')")
        assert own.ENCRYPTION_KEY in refused(connection, "https://x/", SECRET_TEXT)
        with pytest.raises(RegistryError, match=own.ENCRYPTION_KEY):
            own.webhooks(connection)


def test_processes_without_a_key_in_common_are_found_out_and_nothing_is_left_behind(tmp_path: Path) -> None:
    with webhook_server(tmp_path, ANY_ADDRESS, workers=2) as address:
        soon(lambda: (tmp_path / "log").read_text().count("Application startup complete") == 2)
        connection = connect(address)
        assert own.ENCRYPTION_KEY in refused(connection, "http://127.0.0.1:9", SECRET_TEXT)
        for _ in range(6):
            assert own.webhooks(connect(address)) == ()


def test_a_registry_without_a_server_sends_nothing(tmp_path: Path) -> None:
    connection = Connection(None, "sqlite:///x", "sqlite:///x")  # type: ignore[arg-type]
    assert "only a server sends webhooks" in refused(connection, "http://127.0.0.1:9", SECRET_TEXT)


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (403, "Permission denied", "an admin"),
        (403, '{"error_code": "PERMISSION_DENIED", "message": "no"}', "an admin"),
        (404, "<html>no such page</html>", "MLflow 3.3 or later"),
    ],
)
def test_what_a_server_may_answer_besides_is_explained(status: int, body: str, said: str) -> None:
    with Door(status, body).opened() as address:
        assert said in refused(connect(address), "http://127.0.0.1:9", SECRET_TEXT)


@pytest.mark.parametrize(
    "url",
    [
        "gate.example.com/mlflow",
        "ftp://gate.example.com",
        "https://user:hunter2@gate.example.com/mlflow",
        "https://gate.example.com/mlflow?token=1",
        "https:///mlflow",
        "",
    ],
)
def test_an_address_that_will_not_do_is_refused_before_anything_is_asked(url: str) -> None:
    result = called("install", url, "--tracking-uri", "http://127.0.0.1:1")
    assert isinstance(result.exception, ConfigurationError)
    assert "URL" in str(result.exception)
    assert "hunter2" not in str(result.exception)


def test_a_path_is_added_where_there_is_none() -> None:
    assert own.receiver_url("https://gate.example.com/") == "https://gate.example.com/mlflow"
    assert own.receiver_url("https://gate.example.com/hooks") == "https://gate.example.com/hooks"
