"""What all tests share: no network, no telemetry, none of the settings of whoever runs them."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator

import absl.logging
import pytest

os.environ |= {
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "TOKENIZERS_PARALLELISM": "false",
    "OMP_NUM_THREADS": "1",
}
for _name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "PREFECT_API_URL", "FINETUNE_GATE_HOME"):
    os.environ.pop(_name, None)


# absl, which rouge_score's own scorer brings, closes the stream it found when it was imported as soon as another
# library sets up logging anew: within pytest that would be the file in which output is captured
absl.logging.get_absl_handler().python_handler.stream = sys.__stderr__


@pytest.fixture(autouse=True)
def mlflow_forgets() -> Generator[None]:
    """MLflow keeps the last address it was given in the process; the next test must not find it there."""
    yield
    if "mlflow" in sys.modules:
        import mlflow

        mlflow.set_tracking_uri(None)  # pyright: ignore[reportArgumentType] - its own way to forget
        mlflow.set_registry_uri(None)  # pyright: ignore[reportArgumentType]
