"""One gate run: ``walk(GateRequest(gate_file=Path("gate.yaml"), candidate="7")).record.decision``."""

from .in_turn import walk_in_turn
from .states import GateRequest
from .walk import GateResult, StepName, Via, directly, walk

__all__ = ["GateRequest", "GateResult", "StepName", "Via", "directly", "walk", "walk_in_turn"]
