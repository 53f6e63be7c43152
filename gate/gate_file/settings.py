"""The gate file: what a new version of one registered model must show, before it may serve.

gate = load_gate_file(Path("gate.yaml"))
gate.file.model, gate.evaluators, gate.digest
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from finetune_gate.evaluators.datasets import DatasetSource
from finetune_gate.evaluators.evaluator import Evaluator

from .rules import Rule


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def _path_shorthand(value: object) -> object:
    return {"path": value} if isinstance(value, str) else value


DataEntry = Annotated[DatasetSource, BeforeValidator(_path_shorthand)]
"""A path, or a mapping with ``path`` and the columns that have a meaning."""


class Promotion(_Section):
    """What a decision to promote changes in the registry."""

    alias: str = Field(default="champion", pattern=r"^[A-Za-z0-9_-]{1,255}$", description="alias that is moved")

    @field_validator("alias")
    @classmethod
    def _not_reserved(cls, alias: str) -> str:
        if alias.lower() == "latest" or re.fullmatch(r"[vV][0-9]+", alias):
            raise ValueError("a name that MLflow reserves; expected another, such as champion")
        return alias

    stage: Literal["Staging", "Production"] | None = Field(
        default=None, description="legacy stage to move to as well, for registries that still use stages"
    )


class Execution(_Section):
    """How answers are computed. Nothing here may change a decision, except by rounding of dtype."""

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    batch_tokens: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        default="auto", description="tokens per batch, padding included"
    )
    seed: int = Field(default=0, ge=0, lt=2**32, description="seed of resampling and sampling")


class GateFile(_Section):
    """The settings of a gate file, except its evaluators, which are built by their own classes."""

    model: str = Field(min_length=1, max_length=256, description="registered model in MLflow")
    base: str = Field(
        default="auto",
        min_length=1,
        description="what it was fine-tuned from: auto, a models:/ or runs:/ URI, a folder, or a cached hub id",
    )
    champion: str | None = Field(default="@champion", description="what serves now: @alias, a version, or null")
    data: dict[str, DataEntry] = Field(min_length=1, description="datasets by name")
    evaluators: list[dict[str, dict[str, object]]] = Field(min_length=1, description="what to measure")
    rules: list[Rule] = Field(min_length=1, description="what must hold")
    promotion: Promotion = Promotion()
    execution: Execution = Execution()
    allow_files: list[str] = Field(
        default_factory=list,
        description="names (globs) of files that may lie beside the model although they are never loaded",
    )


@dataclass(frozen=True, slots=True)
class Gate:
    """A gate file, checked: its settings, its evaluators by title, and the digest of its bytes."""

    path: Path
    digest: str
    file: GateFile
    evaluators: Mapping[str, Evaluator]

    @property
    def folder(self) -> Path:
        """Paths in the gate file are relative to this."""
        return self.path.parent
