"""Aids of other folders: models to gate, records to show."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "flows"))
sys.path.append(str(Path(__file__).parent.parent / "reports"))
