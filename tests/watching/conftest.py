"""Bare registries to look at, and workshops with real models where gates really run."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent.parent / "flows"))
sys.path.append(str(Path(__file__).parent.parent / "registry"))

from shelf import Shelf, open_shelf
from workshop import Workshop, copy_workshop, open_workshop


@pytest.fixture(scope="session")
def empty_registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's tables: making them takes seconds, copying them nothing."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("empty") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}", f"sqlite:///{path}").search_registered_models(max_results=1)
    return path


@pytest.fixture
def shelf(empty_registry: Path, tmp_path: Path) -> Shelf:
    shutil.copyfile(empty_registry, tmp_path / "mlflow.db")
    return open_shelf(tmp_path)


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return open_workshop(tmp_path_factory.mktemp("original"))


@pytest.fixture
def workshop(original: Workshop, tmp_path: Path) -> Workshop:
    return copy_workshop(original, tmp_path / "workshop")
