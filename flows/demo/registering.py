"""Put the demo's models into an MLflow registry of the demo's own, the way a training job would."""

from __future__ import annotations

import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mlflow import MlflowClient

BASE_MODEL: Final = "helpdesk-base"
MODEL: Final = "helpdesk-router"
BASE_URI: Final = f"models:/{BASE_MODEL}/1"
ALIAS: Final = "champion"


@dataclass(frozen=True, slots=True)
class DemoRegistry:
    """``tracking_uri`` of the demo's registry, and the versions of its two candidates."""

    tracking_uri: str
    good: str
    overfit: str


def register_demo_models(folder: Path, base: Path, good: Path, overfit: Path) -> DemoRegistry:
    """Register once; a second call finds everything in place. One that was killed in between starts again."""
    folder = folder.resolve()
    database, artifacts, done = folder / "mlflow.db", folder / "artifacts", folder / "registered"
    registry = DemoRegistry(f"sqlite:///{database}", good="1", overfit="2")
    if done.exists():
        return registry
    for path in folder.glob("mlflow.db*"):
        path.unlink()
    shutil.rmtree(artifacts, ignore_errors=True)

    import mlflow
    from mlflow import MlflowClient

    for name in ("mlflow", "alembic"):  # the tables it makes are no news
        logging.getLogger(name).setLevel(logging.WARNING)
    # MLflow looks a logged model up at the process's own address, whatever the client was given
    mlflow.set_tracking_uri(registry.tracking_uri)
    client = MlflowClient(registry.tracking_uri, registry.tracking_uri)
    experiment = client.create_experiment("helpdesk-training", artifact_location=str(artifacts / "training"))
    client.create_experiment(f"finetune-gate/{MODEL}", artifact_location=str(artifacts / "gate"))
    client.create_registered_model(BASE_MODEL, description="Tiny Llama-shaped model of help-desk prose.")
    client.create_registered_model(MODEL, description="Routes a help-desk ticket to one of six queues.")
    _version(client, experiment, BASE_MODEL, base, "base, trained on prose", {})
    _version(client, experiment, MODEL, good, "LoRA, 600 tickets with replay of prose", {})
    _version(client, experiment, MODEL, overfit, "full fine-tune on 18 tickets", {"base_model": BASE_URI})
    done.touch()
    return registry


def forget_champion(registry: DemoRegistry) -> None:
    """Take the alias back, so that a second demo tells the same story."""
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    client = MlflowClient(registry.tracking_uri, registry.tracking_uri)
    try:
        client.delete_registered_model_alias(MODEL, ALIAS)
    except MlflowException:  # there is none to forget
        return


def _version(
    client: MlflowClient, experiment: str, name: str, files: Path, description: str, tags: dict[str, str]
) -> None:
    """A plain folder as a logged model: the layout with the fewest parts, and one that can carry metrics."""
    logged = client.create_logged_model(experiment, name=name)
    client.log_model_artifacts(logged.model_id, str(files))
    client.finalize_logged_model(logged.model_id, "READY")
    client.create_model_version(
        name, source=f"models:/{logged.model_id}", model_id=logged.model_id, description=description, tags=tags
    )
