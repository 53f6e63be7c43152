"""Decide: gate file, plan, models, answer store, rules, registry, decision record, reports.

from finetune_gate.gate import GateRequest, walk

result = walk(GateRequest(gate_file=Path("gate.yaml"), candidate="7"))
result.record.decision
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .deciding import Circumstances, Decision, decide
    from .gate_file import Gate, GateFile, Rule, load_data, load_gate_file
    from .models import FakeModel, Model, open_models
    from .pins import Pins
    from .progress import Progress
    from .record import DecisionRecord, read_record
    from .registry import Registry
    from .reports import render_html, render_markdown, render_terminal
    from .run import GateRequest, GateResult, walk

_DOOR = {
    "Circumstances": ".deciding",
    "Decision": ".deciding",
    "DecisionRecord": ".record",
    "FakeModel": ".models",
    "Gate": ".gate_file",
    "GateFile": ".gate_file",
    "GateRequest": ".run",
    "GateResult": ".run",
    "Model": ".models",
    "Pins": ".pins",
    "Progress": ".progress",
    "Registry": ".registry",
    "Rule": ".gate_file",
    "decide": ".deciding",
    "load_data": ".gate_file",
    "load_gate_file": ".gate_file",
    "open_models": ".models",
    "read_record": ".record",
    "render_html": ".reports",
    "render_markdown": ".reports",
    "render_terminal": ".reports",
    "walk": ".run",
}
"""Public names, each with the module it lives in; imported when first asked for."""

__all__ = [
    "Circumstances",
    "Decision",
    "DecisionRecord",
    "FakeModel",
    "Gate",
    "GateFile",
    "GateRequest",
    "GateResult",
    "Model",
    "Pins",
    "Progress",
    "Registry",
    "Rule",
    "decide",
    "load_data",
    "load_gate_file",
    "open_models",
    "read_record",
    "render_html",
    "render_markdown",
    "render_terminal",
    "walk",
]


def __getattr__(name: str) -> object:
    if name not in _DOOR:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_DOOR[name], __name__), name)
