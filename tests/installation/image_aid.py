"""The programs in docker/without_an_engine/ are no package: they are loaded from there."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
sys.path.insert(0, str(DOCKER / "without_an_engine"))

import build_root  # noqa: E402
import dockerfile  # noqa: E402
import outside  # noqa: E402
import root_image  # noqa: E402

__all__ = ["DOCKER", "ROOT", "build_root", "dockerfile", "outside", "root_image"]
