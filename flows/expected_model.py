"""A gate file of another model than the one that was meant is refused before anything is asked."""

from __future__ import annotations

from pathlib import Path

from finetune_gate.evaluators.errors import ConfigurationError, Problem
from finetune_gate.gate.gate_file import load_gate_file


def refuse_other_models(gate_file: Path, model: str) -> None:
    """Raises ConfigurationError."""
    found = load_gate_file(gate_file).file.model
    if found != model:
        way_out = f"start the run with the gate file of {model}"
        raise ConfigurationError(Problem(str(gate_file), f"a gate file of {found!r}", f"one of {model!r}", way_out))
