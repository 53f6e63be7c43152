"""From measurements to a decision, whether it is made for the first time or again: ``decide_measured(gate, ...)``."""

from __future__ import annotations

from ..deciding import Circumstances, Decision, decide
from ..gate_file import Gate
from .measuring import Measured


def decide_measured(gate: Gate, measured: Measured, circumstances: Circumstances) -> Decision:
    """Pure. ``measured`` is that of the same gate."""
    by_rule = {index: measured.measurements[at] for index, at in enumerate(measured.rests_on)}
    return decide(gate.rules, by_rule, circumstances, measured.required)
