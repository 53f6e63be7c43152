"""A real registry per test: a SQLite database (copied from one that is made once) and files in a temporary folder."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from registry_shop import Shop, open_shop


@pytest.fixture(scope="session", autouse=True)
def no_waiting_for_the_disk() -> None:
    """A test's database need not survive a power cut."""
    from sqlalchemy import Engine, event

    def unsynchronised(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA synchronous=OFF")

    event.listen(Engine, "connect", unsynchronised)


@pytest.fixture(autouse=True)
def quiet_and_alone(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No telemetry, no hub, and none of the settings of whoever runs the tests."""
    for key in list(os.environ):
        if key.startswith("MLFLOW_"):
            monkeypatch.delenv(key)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database with MLflow's tables: making them takes seconds, copying them nothing."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("database") / "mlflow.db"
    client = MlflowClient(f"sqlite:///{path}", f"sqlite:///{path}")
    client.search_registered_models(max_results=1)
    client.search_experiments(max_results=1)
    return path


@pytest.fixture
def shop(database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    copy = tmp_path / "mlflow.db"
    shutil.copyfile(database, copy)
    return open_shop(f"sqlite:///{copy}", tmp_path, monkeypatch)


@pytest.fixture(scope="session")
def server(database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real MLflow server on this machine, which hands out artifacts itself."""
    root = tmp_path_factory.mktemp("server")
    shutil.copyfile(database, root / "mlflow.db")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += [
        "--backend-store-uri",
        f"sqlite:///{root / 'mlflow.db'}",
        "--artifacts-destination",
        str(root / "files"),
    ]
    settings = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
    settings |= {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (root / "log").open("wb") as log:
        process = subprocess.Popen(
            command, env=settings, cwd=root, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait(address, process, root / "log")
        yield address
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)


def _wait(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until:
        assert process.poll() is None, log.read_text(errors="replace")
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=5) as answer:
                assert answer.status == 200
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"no answer from {address}:\n{log.read_text(errors='replace')}")
