"""Triggers are tested with the registries of other folders' aids."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent.parent / "flows"))
sys.path.append(str(Path(__file__).parent.parent / "registry"))

from workshop import Workshop, open_workshop


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return open_workshop(tmp_path_factory.mktemp("original"))
