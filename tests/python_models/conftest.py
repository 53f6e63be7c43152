"""Models that are ended with their test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from python_shop import Make, make_folder

from finetune_gate.gate.models.inspecting import inspect_model
from finetune_gate.gate.pins import PythonModel
from finetune_gate.gate.python_models import PythonPredictions


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[PythonPredictions] = []

    def build(
        signature: str | None = None, load_seconds: float = 120.0, batch_seconds: float = 60.0, **plot: Any
    ) -> PythonPredictions:
        source = inspect_model(make_folder(tmp_path / f"model-{len(made)}", signature, **plot), trust_code=True)
        assert isinstance(source, PythonModel)
        made.append(PythonPredictions(source, load_seconds=load_seconds, batch_seconds=batch_seconds))
        return made[-1]

    yield build
    for model in made:
        model.release()
