"""A real registry per test: a SQLite database (copied from one that is made once) and files in a temporary folder."""

from __future__ import annotations

import contextlib
import os
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow_serving import mlflow_server
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
    with mlflow_server(root, f"sqlite:///{root / 'mlflow.db'}") as address:
        yield address
