"""A registry of tiny models, and pytest in a process of its own to gate them with."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "flows"))
