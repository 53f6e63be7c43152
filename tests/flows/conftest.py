"""One registry of tiny models, made once and copied for each test."""

from __future__ import annotations

from pathlib import Path

import pytest
from workshop import Workshop, copy_workshop, open_workshop


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return open_workshop(tmp_path_factory.mktemp("original"))


@pytest.fixture
def workshop(original: Workshop, tmp_path: Path) -> Workshop:
    """A copy that a test may change; addresses in the database are moved along with the files."""
    return copy_workshop(original, tmp_path / "workshop")
