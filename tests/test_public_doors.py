"""Every public name is there, and looking at the doors imports nothing heavy."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest


@pytest.mark.parametrize("package", ["finetune_gate.evaluators", "finetune_gate.gate"])
def test_every_name_on_the_door_opens(package: str) -> None:
    door = importlib.import_module(package)
    assert door.__all__ == sorted(door.__all__)
    for name in door.__all__:
        assert getattr(door, name) is not None
    with pytest.raises(AttributeError, match="nonsense"):
        door.nonsense  # noqa: B018


def test_the_doors_are_light() -> None:
    heavy = "{'numpy', 'pydantic', 'mlflow'}"
    script = f"import sys, finetune_gate.gate, finetune_gate.evaluators; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
