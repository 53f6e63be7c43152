"""The registry of tiny models that the tests of flows use."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "flows"))

from workshop import Workshop, copy_workshop, open_workshop


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return open_workshop(tmp_path_factory.mktemp("original"))


@pytest.fixture
def workshop(original: Workshop, tmp_path: Path) -> Workshop:
    """A copy that a test may change."""
    return copy_workshop(original, tmp_path / "workshop")
