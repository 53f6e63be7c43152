"""compose.yaml and the programs that start it without an engine, which are no package: they are loaded from there."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
sys.path.insert(0, str(DOCKER / "without_an_engine"))

import compose_services  # noqa: E402
import installation  # noqa: E402
import local_places  # noqa: E402
import local_postgres  # noqa: E402

__all__ = ["DOCKER", "ROOT", "compose_services", "installation", "local_places", "local_postgres"]
