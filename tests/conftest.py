"""What all tests share: no network, no telemetry, none of the settings of whoever runs them."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Generator
from typing import TYPE_CHECKING

import absl.logging
import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

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


@pytest.fixture(scope="module")
def browser() -> Generator[Browser]:
    """Chromium of this machine; tests that need one are skipped where there is none. Playwright keeps an event loop in
    the thread, and does not start twice: so it ends with the file."""
    found = next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
    )
    if found is None:
        pytest.skip("no chromium on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()
