"""The demo, run once for all tests of this folder, as a person runs it."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from demo_aids import Demo, Trained, command

from finetune_gate.evaluators.datasets import DatasetSource, load_dataset
from finetune_gate.gate.models import open_models
from finetune_gate.gate.models.model_files import inspect_model_files
from finetune_gate.gate.pins import ModelPin, Pins, Role


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    root = tmp_path_factory.mktemp("demo")
    done = command(root, "demo", "--folder", str(root))
    return Demo(root / "seed-0", done.stdout + done.stderr, done.returncode)


@pytest.fixture(scope="session")
def trained(demo: Demo) -> Generator[Trained]:
    files = {"few": "train-few", "train": "train", "holdout": "holdout"}
    data = {
        name: load_dataset(name, DatasetSource(path=f"{file}.jsonl"), demo.folder / "data")
        for name, file in files.items()
    }

    def pin(role: Role, part: str) -> ModelPin:
        return ModelPin(role, part, None, None, None, "a test", inspect_model_files(demo.folder / part))

    pins = Pins(pin("candidate", "good"), pin("base", "base"), pin("champion", "overfit"))
    with open_models(pins, device="cpu") as opened:
        yield Trained(data, {"good": opened["candidate"], "base": opened["base"], "overfit": opened["champion"]})
