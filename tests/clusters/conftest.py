"""One Prefect server and one registry of tiny models for the tests on clusters."""

from __future__ import annotations

import sys
from collections.abc import Generator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent.parent / "flows"))

from workshop import OPEN, PASSES, Workshop, copy_workshop, open_workshop

from finetune_gate.gate.record import DecisionRecord


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return open_workshop(tmp_path_factory.mktemp("original"))


@pytest.fixture(scope="module")
def prefect_database() -> Generator[Path]:
    """A Prefect server that this process talks to, and the file it writes. Other files do not find it named (a package
    scope would last as long as the session: this folder is no package)."""
    import prefect.settings
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=120):
        yield Path(str(prefect.settings.PREFECT_SERVER_DATABASE_CONNECTION_URL.value()).partition("///")[2])


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here only: shards are cut by the coordinator."""
    from finetune_gate.gate.run import shards

    monkeypatch.setattr(shards, "SHARD_SIZES", dict.fromkeys(shards.SHARD_SIZES, 16))


@pytest.fixture(scope="session")
def gated_here(original: Workshop, tmp_path_factory: pytest.TempPathFactory) -> DecisionRecord:
    """The same gate in this process, without a cluster."""
    from finetune_gate.gate.run import GateRequest, shards, walk

    workshop = copy_workshop(original, tmp_path_factory.mktemp("here") / "workshop")
    gate = workshop.gate(PASSES, OPEN)
    request = GateRequest(
        gate, "1", tracking_uri=workshop.uri, out=workshop.folder / "out", home=workshop.folder / "home"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "SHARD_SIZES", dict.fromkeys(shards.SHARD_SIZES, 16))
        return walk(request).record
