"""Put the demo's models into MLflow, the way a training job would: into a registry of the demo's own, or a server."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from finetune_gate.evaluators.errors import Problem, RegistryError, without_credentials

if TYPE_CHECKING:
    from mlflow import MlflowClient

BASE_MODEL: Final = "helpdesk-base"
MODEL: Final = "helpdesk-router"
BASE_URI: Final = f"models:/{BASE_MODEL}/1"
ALIAS: Final = "champion"

_TRAINING: Final = "helpdesk-training"
_OVERFIT_TAGS: Final = {"base_model": BASE_URI}
_POLL_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class DemoRegistry:
    """``tracking_uri`` of the registry, and the versions of the demo's two candidates. ``served``: a version of the
    model served before they were registered."""

    tracking_uri: str
    good: str
    overfit: str
    served: bool = False


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

    client = _client(registry.tracking_uri)
    experiment = client.create_experiment(_TRAINING, artifact_location=str(artifacts / "training"))
    client.create_experiment(f"finetune-gate/{MODEL}", artifact_location=str(artifacts / "gate"))
    client.create_registered_model(BASE_MODEL, description="Tiny Llama-shaped model of help-desk prose.")
    client.create_registered_model(MODEL, description="Routes a help-desk ticket to one of six queues.")
    _version(client, experiment, BASE_MODEL, base, "base, trained on prose", {})
    _version(client, experiment, MODEL, good, "LoRA, 600 tickets with replay of prose", {})
    _version(client, experiment, MODEL, overfit, "full fine-tune on 18 tickets", _OVERFIT_TAGS)
    done.touch()
    return registry


def register_at_server(address: str, base: Path, good: Path, overfit: Path) -> DemoRegistry:
    """At an MLflow server: two new versions each time, and the base once. Raises RegistryError."""
    from mlflow.exceptions import MlflowException

    client = _client(address)
    with _doing(f"register the demo's models at {without_credentials(address)}"):
        found = client.get_experiment_by_name(_TRAINING)
        experiment = found.experiment_id if found else client.create_experiment(_TRAINING)
        try:
            client.get_model_version(BASE_MODEL, "1")
        except MlflowException:
            client.create_registered_model(BASE_MODEL, description="Tiny Llama-shaped model of help-desk prose.")
            _version(client, experiment, BASE_MODEL, base, "base, trained on prose", {})
        served = False
        try:
            model: Any = client.get_registered_model(MODEL)
            served = ALIAS in model.aliases
        except MlflowException:
            client.create_registered_model(MODEL, description="Routes a help-desk ticket to one of six queues.")
        first = _version(client, experiment, MODEL, good, "LoRA, 600 tickets with replay of prose", {})
        second = _version(client, experiment, MODEL, overfit, "full fine-tune on 18 tickets", _OVERFIT_TAGS)
    return DemoRegistry(address, good=first, overfit=second, served=served)


def decision_at_server(registry: DemoRegistry, version: str, seconds: float) -> str | None:
    """What a gate has decided on ``version``, as its tags say; None if none has within ``seconds``."""
    client = _client(registry.tracking_uri)
    until = time.monotonic() + seconds
    with _doing(f"read {MODEL} version {version}"):
        while True:
            said = client.get_model_version(MODEL, version).tags.get("finetune_gate.decision")
            if said or time.monotonic() >= until:
                return str(said) if said else None
            time.sleep(_POLL_S)


def forget_champion(registry: DemoRegistry) -> None:
    """Take the alias back, so that a second demo tells the same story."""
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    client = MlflowClient(registry.tracking_uri, registry.tracking_uri)
    try:
        client.delete_registered_model_alias(MODEL, ALIAS)
    except MlflowException:  # there is none to forget
        return


def _client(address: str) -> MlflowClient:
    import mlflow
    from mlflow import MlflowClient

    for name in ("mlflow", "alembic"):  # the tables it makes are no news
        logging.getLogger(name).setLevel(logging.WARNING)
    # MLflow looks a logged model up at the process's own address, whatever the client was given
    mlflow.set_tracking_uri(address)
    return MlflowClient(address, address)


@contextmanager
def _doing(what: str) -> Generator[None]:
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, OSError) as error:
        found = without_credentials(str(error))[:300]
        raise RegistryError(Problem(what, found, "an MLflow server that answers", "is it running?")) from error


def _version(
    client: MlflowClient, experiment: str, name: str, files: Path, description: str, tags: dict[str, str]
) -> str:
    """A plain folder as a logged model, the layout with the fewest parts, which can carry metrics; its number."""
    logged = client.create_logged_model(experiment, name=name)
    client.log_model_artifacts(logged.model_id, str(files))
    client.finalize_logged_model(logged.model_id, "READY")
    made = client.create_model_version(
        name, source=f"models:/{logged.model_id}", model_id=logged.model_id, description=description, tags=tags
    )
    return str(made.version)
