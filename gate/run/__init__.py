"""One gate run: ``walk(GateRequest(gate_file=Path("gate.yaml"), candidate="7")).record.decision``."""

from .states import GateRequest
from .walk import GateResult, StepName, Via, directly, walk

__all__ = ["GateRequest", "GateResult", "StepName", "Via", "directly", "walk"]
