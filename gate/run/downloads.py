"""A folder for the model files that one run brings from elsewhere; gone when the run ends."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from finetune_gate.evaluators.errors import ConfigurationError, Problem


@contextmanager
def downloads_under(home: Path) -> Generator[Path]:
    """Raises ConfigurationError where nothing can be written to ``home``."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="models-", dir=home))
    except OSError as error:
        way_out = "FINETUNE_GATE_HOME names another folder"
        raise ConfigurationError(
            Problem(str(home), error.strerror or str(error), "a folder to keep answers in", way_out)
        ) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
