"""A real registry per test: a SQLite database (copied from one that is made once) and files in a temporary folder."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from registry_shop import MODEL, Shop, fill, open_shop


@pytest.fixture(scope="session", autouse=True)
def no_waiting_for_the_disk() -> None:
    """A test's database need not survive a power cut."""
    from sqlalchemy import Engine, event

    def unsynchronised(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA synchronous=OFF")

    event.listen(Engine, "connect", unsynchronised)


@pytest.fixture(autouse=True)
def quiet_and_alone() -> Iterator[None]:
    """No telemetry, no hub, none of the settings of whoever runs the tests, and none left behind."""
    before = dict(os.environ)
    for key in list(os.environ):
        if key.startswith("MLFLOW_"):
            del os.environ[key]
    os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "HF_HUB_OFFLINE": "1"}
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database with MLflow's tables: making them takes seconds, copying them nothing."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("database") / "mlflow.db"
    client = MlflowClient(f"sqlite:///{path}", f"sqlite:///{path}")
    client.search_registered_models(max_results=1)
    client.search_experiments(max_results=1)
    return path


@pytest.fixture(scope="session")
def three_versions(database: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("three")
    shutil.copyfile(database, root / "mlflow.db")
    shop = open_shop(f"sqlite:///{root / 'mlflow.db'}", root)
    base = shop.folder(0)
    for seed in (1, 2, 3):
        shop.register(shop.folder(seed), tags={"base_model": str(base)})
    shop.alias("champion", "1")
    with warnings.catch_warnings(action="ignore"):
        shop.client.transition_model_version_stage(MODEL, "1", "Production")
    del os.environ["MLFLOW_TRACKING_URI"]
    return root / "mlflow.db"


@pytest.fixture(scope="session")
def one_address(database: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All tests use the database at this one path, filled anew for each: MLflow takes long to open another."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("address") / "mlflow.db"
    fill(path, database)
    with contextlib.chdir(path.parent):  # where MLflow puts files of experiments that name no place
        MlflowClient(f"sqlite:///{path}", f"sqlite:///{path}").search_experiments(max_results=1)
    return path


@pytest.fixture
def shop(database: Path, one_address: Path, tmp_path: Path) -> Shop:
    fill(one_address, database)
    return open_shop(f"sqlite:///{one_address}", tmp_path)


@pytest.fixture
def three(three_versions: Path, one_address: Path, tmp_path: Path) -> Shop:
    """Three versions of one base; version 1 is the champion, and in stage Production."""
    fill(one_address, three_versions)
    shop = open_shop(f"sqlite:///{one_address}", tmp_path)
    shop.use("1")
    return shop


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
