"""Reaching MLflow: what is said when it cannot be reached, and that nothing else is said."""

from __future__ import annotations

import http.server
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from registry_shop import MODEL, Shop

from finetune_gate.evaluators.errors import RegistryError
from finetune_gate.gate.registry.mlflow_client import SETTINGS, connect, plain, public_uri

WAY_OUT = (
    "  way out:  start the server, or point MLFLOW_TRACKING_URI (and MLFLOW_REGISTRY_URI) at one that answers; "
    "then run again: finished work is kept"
)


class _Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status, body = self.server.answer  # type: ignore[attr-defined]
        self.send_response(status)
        self.send_header("Retry-After", "3600")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def other_server() -> Iterator[http.server.ThreadingHTTPServer]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Answers) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()


def address(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def test_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")  # else the default of some seconds
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        uri = address(taken.getsockname()[1])
        with pytest.raises(RegistryError) as caught:
            connect(uri)
    assert str(caught.value) == f"MLflow at {uri}: cannot connect: no answer (Connection refused)\n{WAY_OUT}"
    assert caught.value.exit_status == 4


def test_a_host_that_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(RegistryError, match=r"cannot connect: no answer \(.+\)") as caught:
        connect("http://user:hunter2@mlflow.invalid:5000")
    assert "mlflow.invalid:5000" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_host_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        uri = address(silent.getsockname()[1])
        with pytest.raises(RegistryError) as caught:
            connect(uri)
    assert str(caught.value) == f"MLflow at {uri}: cannot connect: no answer in time\n{WAY_OUT}"


def test_by_default_half_a_minute_is_the_limit() -> None:
    """By arithmetic, not by waiting: three tries of 8 s, and pauses of 0 and 2 s with up to 1 s of jitter each."""
    seen: dict[str, str] = {}
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        start = time.monotonic()
        with pytest.raises(RegistryError):
            connect(address(taken.getsockname()[1]))
        assert time.monotonic() - start < 10
    seen = {key: os.environ[key] for key in SETTINGS}
    assert seen == SETTINGS  # what the first call tightened is as before


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            (200, b"<html>hello</html>"),
            "the answer is not MLflow's\n  way out:  check the address: it is not that of an MLflow server",
        ),
        (
            (404, b"<html>not found</html>"),
            "the answer is not MLflow's\n  way out:  check the address: it is not that of an MLflow server",
        ),
        (
            (401, b'{"error_code": "UNAUTHENTICATED", "message": "who are you\\u001b[31m?"}'),
            "not allowed: who are you [31m?\n  way out:  set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, "
            "or MLFLOW_TRACKING_TOKEN, to an account that may read (and, to promote, change) this model",
        ),
        (
            (403, b"no"),
            "not allowed: API request to endpoint /api/2.0/mlflow/registered-models/search failed with error code 403 "
            "!= 200. Response body: 'no'\n  way out:  set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, "
            "or MLFLOW_TRACKING_TOKEN, to an account that may read (and, to promote, change) this model",
        ),
        (
            (400, b'{"error_code": "INTERNAL_ERROR", "message": "cannot reach postgresql://u:hunter2@db/x"}'),
            "cannot reach postgresql://db/x",
        ),
    ],
)
def test_another_answer(other_server: http.server.ThreadingHTTPServer, answer: tuple[int, bytes], message: str) -> None:
    other_server.answer = answer  # type: ignore[attr-defined]
    uri = address(other_server.server_port)
    with pytest.raises(RegistryError) as caught:
        connect(uri)
    assert str(caught.value) == f"MLflow at {uri}: cannot connect: {message}"


def test_a_server_that_asks_to_come_back_in_an_hour(
    other_server: http.server.ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    other_server.answer = (503, b"later")  # type: ignore[attr-defined]
    start = time.monotonic()
    with pytest.raises(RegistryError, match="cannot connect: "):
        connect(address(other_server.server_port))
    assert time.monotonic() - start < 20


def test_http_where_https_is_spoken(other_server: http.server.ThreadingHTTPServer) -> None:
    with pytest.raises(RegistryError) as caught:
        connect(f"https://127.0.0.1:{other_server.server_port}")
    assert str(caught.value).splitlines()[0].endswith("cannot connect: no secure connection")


def test_a_database_that_is_not_there(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/nowhere/mlflow.db"
    with pytest.raises(RegistryError) as caught:
        connect(uri)
    assert str(caught.value) == (
        f"MLflow at {uri}: there is no database '{tmp_path}/nowhere/mlflow.db'\n"
        "  expected: a registry that holds the model\n"
        "  way out:  set MLFLOW_TRACKING_URI to your MLflow server or database, or run where that file is"
    )
    assert not (tmp_path / "nowhere").exists()  # MLflow would have made it


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(RegistryError, match=r"cannot .*file is not a database"):
        connect(f"sqlite:///{path}").client.get_registered_model(MODEL)


def test_a_database_that_is_not_mlflows(tmp_path: Path) -> None:
    import sqlite3

    path = tmp_path / "app.db"
    with sqlite3.connect(path) as database:
        database.execute("create table customers (name text)")
    before = path.read_bytes()
    with pytest.raises(RegistryError, match="it is a database without MLflow's tables"):
        connect(f"sqlite:///{path}")
    assert path.read_bytes() == before


@pytest.mark.parametrize("given", ["argument", "environment", "neither"])
def test_where_the_address_comes_from(three: Shop, given: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    if given == "environment":
        monkeypatch.setenv("MLFLOW_TRACKING_URI", three.uri)
    if given == "neither":
        (tmp_path / "empty").mkdir()
        monkeypatch.chdir(tmp_path / "empty")
        with pytest.raises(RegistryError, match=r"there is no database '.*/empty/mlflow.db'"):
            connect()
        assert list((tmp_path / "empty").iterdir()) == []
        return
    assert connect(three.uri if given == "argument" else None).client.get_registered_model(MODEL).name == MODEL


def test_a_registry_apart_from_tracking(three: Shop, database: Path) -> None:
    store = connect(f"sqlite:///{database}", three.uri)
    assert (store.tracking_uri, store.registry_uri) == (f"sqlite:///{database}", three.uri)
    assert store.client.get_registered_model(MODEL).name == MODEL


def test_a_database_server_that_nobody_answers_for() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(RegistryError) as caught:
            connect(f"postgresql+psycopg2://u:hunter2@127.0.0.1:{port}/db")
    where = f"MLflow at postgresql+psycopg2://127.0.0.1:{port}/db"
    assert str(caught.value) == f"{where}: cannot connect: no answer (Connection refused)\n{WAY_OUT}"


def test_a_driver_that_is_not_installed(other_server: http.server.ThreadingHTTPServer) -> None:
    with pytest.raises(RegistryError) as caught:
        connect(f"mysql+asyncmy://u:hunter2@127.0.0.1:{other_server.server_port}/db")
    assert str(caught.value) == (
        f"MLflow at mysql+asyncmy://127.0.0.1:{other_server.server_port}/db: cannot connect: "
        "No module named 'asyncmy'\n  way out:  install the Python package 'asyncmy'"
    )


def test_an_address_of_no_known_kind() -> None:
    with pytest.raises(RegistryError, match=r"cannot connect: .*unsupported URI 'ftp://x'"):
        connect("ftp://x")


def test_what_people_see_of_an_address() -> None:
    assert public_uri("https://me:secret@host:5000/mlflow?token=secret") == "https://host:5000/mlflow"
    assert public_uri("postgresql+psycopg2://u:p%40ss@db:5432/mlflow") == "postgresql+psycopg2://db:5432/mlflow"
    assert plain("a\x1b[2Jb\r\nc\u202ed" + "x" * 400, 20) == "a [2Jb c d" + "x" * 9 + "…"


def test_settings_of_the_user_stay(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "55")
    connect(shop.uri)
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "55"
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == SETTINGS["MLFLOW_HTTP_REQUEST_MAX_RETRIES"]


SPEAKS = """
import sys
from pathlib import Path
from finetune_gate.gate.registry import Registry
assert "mlflow" not in sys.modules
from finetune_gate.gate.registry.promotion import LedgerPromotion
from finetune_gate.gate.registry.tracking import Tracking
assert "mlflow" not in sys.modules

registry = Registry.connect()
pins = registry.resolve("support-bot", "3", downloads=Path(sys.argv[1]))
tracking = Tracking(registry)
run_id = tracking.open_run("support-bot", "key", "v3", {})
promotion = LedgerPromotion(registry)
address = tracking.record_address(run_id, "r.json")
promotion.promote(pins, "champion", "Production", "sha256:d", address)
promotion.note(pins, "promote", "All good.", address, "sha256:d")
file = Path(sys.argv[1]) / "r.json"
file.parent.mkdir(exist_ok=True)
file.write_text("{}")
tracking.log_files(run_id, [file])
tracking.log_results(run_id, {"a": 1.0}, {"b": "c"}, {"d": "e"})
tracking.finish_run(run_id)
promotion.finish(pins)
"""


@pytest.mark.slow
def test_a_whole_run_prints_nothing_and_mlflow_is_imported_late(three: Shop) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SPEAKS, str(three.downloads)],
        cwd=three.root,
        env=os.environ | {"MLFLOW_TRACKING_URI": three.uri},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
