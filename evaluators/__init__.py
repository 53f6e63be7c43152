"""Measure: datasets, evaluators, metrics, statistics. Knows nothing of registries, models or orchestration."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .absent import Unmeasured, Value
    from .asking import Answer, Failed, GenerateRequest, Generation, Message, Request, ScoreRequest, TokenLogprobs
    from .datasets import Dataset, DatasetSource, Example, load_dataset
    from .errors import (
        ConfigurationError,
        DatasetError,
        EvaluationError,
        FinetuneGateError,
        ModelError,
        ModelFilesError,
        Problem,
        RegistryError,
    )
    from .estimators import Confusion, Mean, Ratio
    from .evaluator import Evaluator, EvaluatorSettings, JudgedEvaluator
    from .measurement import Measurement, measure
    from .metrics import Metric
    from .scores import EvaluatorScores, ScoreTable, score_evaluator

_DOOR = {
    "Answer": ".asking",
    "ConfigurationError": ".errors",
    "Confusion": ".estimators",
    "Dataset": ".datasets",
    "DatasetError": ".errors",
    "DatasetSource": ".datasets",
    "EvaluationError": ".errors",
    "Evaluator": ".evaluator",
    "EvaluatorScores": ".scores",
    "EvaluatorSettings": ".evaluator",
    "Example": ".datasets",
    "Failed": ".asking",
    "FinetuneGateError": ".errors",
    "GenerateRequest": ".asking",
    "Generation": ".asking",
    "JudgedEvaluator": ".evaluator",
    "Mean": ".estimators",
    "Measurement": ".measurement",
    "Message": ".asking",
    "Metric": ".metrics",
    "ModelError": ".errors",
    "ModelFilesError": ".errors",
    "Problem": ".errors",
    "Ratio": ".estimators",
    "RegistryError": ".errors",
    "Request": ".asking",
    "ScoreRequest": ".asking",
    "ScoreTable": ".scores",
    "TokenLogprobs": ".asking",
    "Unmeasured": ".absent",
    "Value": ".absent",
    "load_dataset": ".datasets",
    "measure": ".measurement",
    "score_evaluator": ".scores",
}
"""Public names, each with the module it lives in; imported when first asked for."""

__all__ = [
    "Answer",
    "ConfigurationError",
    "Confusion",
    "Dataset",
    "DatasetError",
    "DatasetSource",
    "EvaluationError",
    "Evaluator",
    "EvaluatorScores",
    "EvaluatorSettings",
    "Example",
    "Failed",
    "FinetuneGateError",
    "GenerateRequest",
    "Generation",
    "JudgedEvaluator",
    "Mean",
    "Measurement",
    "Message",
    "Metric",
    "ModelError",
    "ModelFilesError",
    "Problem",
    "Ratio",
    "RegistryError",
    "Request",
    "ScoreRequest",
    "ScoreTable",
    "TokenLogprobs",
    "Unmeasured",
    "Value",
    "load_dataset",
    "measure",
    "score_evaluator",
]


def __getattr__(name: str) -> object:
    if name not in _DOOR:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_DOOR[name], __name__), name)
