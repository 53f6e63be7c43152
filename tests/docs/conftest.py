"""Tests of README and docs: what they show is run, or checked, or says why it is not."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent.parent / "flows"))  # little_llama

from prepared_ground import Ground, copy_ground, make_ground


@pytest.fixture(scope="session")
def untouched_ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return make_ground(tmp_path_factory.mktemp("ground"))


@pytest.fixture
def ground(untouched_ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ground:
    """A folder such as a reader of the docs has: data, gate files, models in a registry. The test stands in it."""
    copied = copy_ground(untouched_ground, tmp_path / "support-bot")
    monkeypatch.chdir(copied.folder)
    for name, value in copied.environment.items():
        monkeypatch.setenv(name, value)
    return copied
