"""The gate file: ``load_gate_file(Path("gate.yaml"))``, and ``load_data(gate)`` for what it names."""

from .loader import load_data, load_gate_file
from .rules import Rule, Waiver
from .settings import Gate, GateFile

__all__ = ["Gate", "GateFile", "Rule", "Waiver", "load_data", "load_gate_file"]
