"""A court: models and judges behind an API on loopback, and a registry with versions that stand before it."""

from __future__ import annotations

import sys
from collections.abc import Generator
from pathlib import Path

import pytest

sys.path += [str(Path(__file__).parent.parent / name) for name in ("endpoints", "flows")]  # fault_server, workshop

from court import Court, open_court, register_versions
from workshop import Workshop, copy_workshop, open_workshop


@pytest.fixture(scope="session")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry whose versions are names behind the API: see ``court.VERSIONS``."""
    return register_versions(tmp_path_factory.mktemp("court"))


@pytest.fixture
def court(registered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Court]:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-test")
    with open_court(registered, tmp_path) as opened:
        yield opened


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return open_workshop(tmp_path_factory.mktemp("original"))


@pytest.fixture
def workshop(original: Workshop, tmp_path: Path) -> Workshop:
    """Tiny local models in a registry of their own; see the neighbouring folder."""
    return copy_workshop(original, tmp_path / "workshop")
