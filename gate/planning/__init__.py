"""What a run would ask, about how long it takes, and what its data can show: known before anything is spent.

    kept = plan_gate(GateRequest(gate_file=Path("gate.yaml"), candidate="7"), progress=Silent())
    print(render_plan(kept.plan))

A plan that was kept is read again, and printed, without any heavy import.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .cache import KeptPlan, keep_plan, plan_key, read_plan
from .planned import GatePlan

if TYPE_CHECKING:
    from .making import plan_gate
    from .text import print_plan, render_plan

__all__ = ["GatePlan", "KeptPlan", "keep_plan", "plan_gate", "plan_key", "print_plan", "read_plan", "render_plan"]

_LATER = {"plan_gate": ".making", "print_plan": ".text", "render_plan": ".text"}


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LATER[name], __name__), name)
