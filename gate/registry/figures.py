"""What a gate run tells MLflow about its figures: which model they are of, and which data they were measured on.

holdout = UsedData("holdout", "holdout.jsonl", sha256, rows=600, columns={"text": "string"})
{"classification.accuracy": Figure(0.81, model_id="m-4f0c", data=holdout)}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

DIGEST_LENGTH: Final = 12
"""MLflow keeps 36 characters of a dataset's digest at most, and shows them wherever it names the dataset."""

_MAX_COLUMNS: Final = 200


@dataclass(frozen=True, slots=True)
class UsedData:
    """A dataset, as an input of a run. ``name`` is the gate file's, ``file`` its path there; ``sha256`` names its
    content, ``columns`` the types of its columns in MLflow's words. ``context`` is what MLflow's UI shows beside it."""

    name: str
    file: str
    sha256: str
    rows: int
    columns: Mapping[str, str] = field(default_factory=dict[str, str])
    context: str = "evaluation"

    @property
    def digest(self) -> str:
        return self.sha256[:DIGEST_LENGTH]

    def schema(self) -> str | None:
        """The columns in the form that MLflow's UI reads; None where there are none to name, or too many."""
        if not 0 < len(self.columns) <= _MAX_COLUMNS:
            return None
        return json.dumps(
            {"mlflow_colspec": [{"name": name, "type": kind, "required": False} for name, kind in self.columns.items()]}
        )


@dataclass(frozen=True, slots=True)
class Figure:
    """A finite number. ``model_id``: the logged model that it is of, on whose page MLflow then shows it, too."""

    value: float
    model_id: str | None = None
    data: UsedData | None = None
