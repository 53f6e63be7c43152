"""Golden texts: what a person reads, kept beside the tests.

``FINETUNE_GATE_UPDATE_GOLDEN=1 pytest tests/reports`` writes them anew; read the difference before committing it.
"""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = Path(__file__).parent / "golden"


def assert_golden(name: str, text: str) -> None:
    path = FOLDER / name
    if os.environ.get("FINETUNE_GATE_UPDATE_GOLDEN") == "1":
        path.write_text(text, encoding="utf-8", newline="\n")
    assert text == path.read_text(encoding="utf-8"), f"{name} changed; see golden.py for how to accept that"
