"""One registry of tiny models, made once and copied for each test."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest
from faulty_mlflow import FaultyMlflow, real_mlflow
from outage_bench import Bench
from workshop import Workshop, copy_workshop, open_workshop


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return open_workshop(tmp_path_factory.mktemp("original"))


@pytest.fixture
def workshop(original: Workshop, tmp_path: Path) -> Workshop:
    """A copy that a test may change; addresses in the database are moved along with the files."""
    return copy_workshop(original, tmp_path / "workshop")


@pytest.fixture(scope="session")
def bench(original: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Generator[Bench]:
    """A real MLflow server behind a proxy that can be made to fail; mark its tests with xdist group mlflow_outage."""
    folder = tmp_path_factory.mktemp("outage")
    with real_mlflow(folder / "server") as server, FaultyMlflow(server) as proxy:
        made = Bench(server, proxy, folder)
        made.furnish(original)
        yield made
