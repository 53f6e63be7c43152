"""What `finetune-gate demo` gates: help-desk tickets, and three tiny models really trained on them.

from finetune_gate.flows.demo import train_demo_models

models = train_demo_models(Path("demo"), seed=0, progress=print)
"""

from __future__ import annotations

from .tickets import PROMPT_TEMPLATE, QUEUES, DemoData, Prose, Ticket, make_demo_data
from .training import DemoModels, Recipe, train_demo_models

__all__ = [
    "PROMPT_TEMPLATE",
    "QUEUES",
    "DemoData",
    "DemoModels",
    "Prose",
    "Recipe",
    "Ticket",
    "make_demo_data",
    "train_demo_models",
]
