"""The evaluators there are. A new one costs one file and one line here; nothing is imported until it is named."""

from __future__ import annotations

from importlib import import_module

from .evaluator import EvaluatorSettings

BUILT_IN = {
    "classification": "classification:Classification",
    "perplexity": "perplexity:Perplexity",
}


def evaluator_class(kind: str) -> type[EvaluatorSettings]:
    """``evaluator_class("perplexity")``. Raises KeyError for an unknown kind."""
    module_name, _, class_name = BUILT_IN[kind].partition(":")
    found: type[EvaluatorSettings] = getattr(import_module(f".{module_name}", __package__), class_name)
    return found
