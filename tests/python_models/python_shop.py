"""Python models by hand: MLflow loads them as it loads any other, and no registry is needed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from finetune_gate.evaluators.asking import Answer, Failed, GenerateRequest, Generation
from finetune_gate.gate.python_models import PythonPredictions

Make = Callable[..., PythonPredictions]


def make_folder(folder: Path, signature: str | None = None, **plot: Any) -> Path:
    (folder / "code").mkdir(parents=True)
    shutil.copyfile(Path(__file__).parent / "actor.py", folder / "code" / "actor.py")
    flavors = {"python_function": {"loader_module": "actor", "code": "code", "python_version": "3"}}
    document: dict[str, Any] = {"flavors": flavors, "model_uuid": "0"}
    if signature is not None:
        document["signature"] = {"inputs": signature, "outputs": None, "params": None}
    (folder / "MLmodel").write_text(json.dumps(document))
    (folder / "plot.json").write_text(json.dumps(plot))
    return folder


def ask(model: PythonPredictions, *texts: str) -> list[Answer]:
    answers: dict[int, Answer] = {}
    model.generate([GenerateRequest(text) for text in texts], answers.__setitem__)
    return [answers[index] for index in range(len(texts))]


def said(model: PythonPredictions, *texts: str) -> list[str]:
    """The text of each answer, a failure's reason behind an exclamation mark."""
    shown: list[str] = []
    for answer in ask(model, *texts):
        assert isinstance(answer, Generation | Failed)
        shown.append(answer.text if isinstance(answer, Generation) else f"!{answer.reason}")
    return shown
