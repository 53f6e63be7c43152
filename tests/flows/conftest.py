"""One registry of tiny models, made once and copied for each test."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest
from workshop import Workshop, open_workshop


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return open_workshop(tmp_path_factory.mktemp("original"))


@pytest.fixture
def workshop(original: Workshop, tmp_path: Path) -> Workshop:
    """A copy that a test may change; addresses in the database are moved along with the files."""
    return copy_workshop(original, tmp_path / "workshop")


def copy_workshop(original: Workshop, folder: Path) -> Workshop:
    shutil.copytree(original.folder, folder)
    connection = sqlite3.connect(folder / "mlflow.db")
    for table, column in (
        ("experiments", "artifact_location"),
        ("runs", "artifact_uri"),
        ("model_versions", "source"),
        ("model_versions", "storage_location"),
    ):
        connection.execute(
            f"update {table} set {column} = replace({column}, ?, ?)", (str(original.folder), str(folder))
        )
    connection.commit()
    connection.close()
    return Workshop(folder)
