"""Where this machine keeps what outlives a run."""

from __future__ import annotations

import os
from pathlib import Path


def default_home() -> Path:
    """Where answers are kept between runs: ``$FINETUNE_GATE_HOME``, else the user's cache folder."""
    import platformdirs

    return Path(os.environ.get("FINETUNE_GATE_HOME") or platformdirs.user_cache_path("finetune-gate"))
