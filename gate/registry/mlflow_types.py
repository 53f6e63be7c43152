"""The part of MLflow's client that this project uses, as types.

MLflow's own annotations leave much unsaid; these protocols say what comes back, so that the rest is checked strictly,
and so that a test can put a client of its own in between.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

T_co = TypeVar("T_co", covariant=True)


class FileInfo(Protocol):
    path: str
    is_dir: bool
    file_size: int | None


class VersionEntity(Protocol):
    name: str
    version: str | int
    run_id: str | None
    source: str
    status: str
    status_message: str | None
    current_stage: str | None
    creation_timestamp: int
    last_updated_timestamp: int
    description: str | None
    tags: Mapping[str, str]


class ModelEntity(Protocol):
    name: str
    aliases: Mapping[str, str | int]
    tags: Mapping[str, str]


class RunInfo(Protocol):
    run_id: str
    experiment_id: str
    artifact_uri: str
    status: str
    start_time: int


class RunData(Protocol):
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: Mapping[str, float]


class RunEntity(Protocol):
    info: RunInfo
    data: RunData


class Experiment(Protocol):
    experiment_id: str
    name: str
    lifecycle_stage: str


class LoggedModel(Protocol):
    model_id: str
    name: str
    artifact_location: str
    source_run_id: str | None
    tags: Mapping[str, str]
    params: Mapping[str, str]


class WebhookEntity(Protocol):
    """Each of ``events`` is written as ``model_version.created``."""

    webhook_id: str
    name: str
    url: str
    events: Sequence[object]
    status: object


class WebhookTestResult(Protocol):
    """``response_status`` is None where the event was not answered."""

    response_status: int | None
    error_message: str | None


class Page(Protocol[T_co]):
    """One page of a listing; ``token`` asks for the next."""

    token: str | None

    def __iter__(self) -> Iterator[T_co]: ...
    def __len__(self) -> int: ...


class Client(Protocol):
    """``mlflow.MlflowClient``, as far as this project calls it."""

    def get_registered_model(self, name: str) -> ModelEntity: ...
    def search_registered_models(
        self, filter_string: str | None = ..., *, max_results: int = ..., page_token: str | None = ...
    ) -> Page[ModelEntity]: ...
    def search_model_versions(
        self,
        filter_string: str,
        *,
        max_results: int = ...,
        order_by: list[str] = ...,
        page_token: str | None = ...,
    ) -> Page[VersionEntity]: ...
    def create_registered_model(
        self, name: str, tags: dict[str, Any] | None = ..., description: str | None = ...
    ) -> ModelEntity: ...
    def create_model_version(
        self,
        name: str,
        source: str,
        run_id: str | None = ...,
        *,
        tags: dict[str, Any] | None = ...,
        description: str | None = ...,
        await_creation_for: int = ...,
    ) -> VersionEntity: ...
    def get_model_version(self, name: str, version: str) -> VersionEntity: ...
    def get_model_version_download_uri(self, name: str, version: str) -> str: ...
    def update_model_version(self, name: str, version: str, description: str | None = ...) -> VersionEntity: ...
    def set_model_version_tag(self, name: str, version: str, key: str, value: str) -> None: ...
    def set_registered_model_alias(self, name: str, alias: str, version: str) -> None: ...
    def delete_registered_model_alias(self, name: str, alias: str) -> None: ...
    def transition_model_version_stage(
        self, name: str, version: str, stage: str, archive_existing_versions: bool = ...
    ) -> VersionEntity: ...
    def list_webhooks(self, max_results: int | None = ..., page_token: str | None = ...) -> Page[WebhookEntity]: ...
    def create_webhook(
        self, name: str, url: str, events: list[str], description: str | None = ..., secret: str | None = ...
    ) -> WebhookEntity: ...
    def update_webhook(
        self,
        webhook_id: str,
        *,
        name: str | None = ...,
        url: str | None = ...,
        events: list[str] | None = ...,
        secret: str | None = ...,
        status: str | None = ...,
    ) -> WebhookEntity: ...
    def delete_webhook(self, webhook_id: str) -> None: ...
    def test_webhook(self, webhook_id: str, event: str | None = ...) -> WebhookTestResult: ...
    def get_logged_model(self, model_id: str) -> LoggedModel: ...
    def search_logged_models(self, experiment_ids: list[str], filter_string: str) -> Page[LoggedModel]: ...
    def get_run(self, run_id: str) -> RunEntity: ...
    def search_experiments(self, *, max_results: int = ...) -> Page[Experiment]: ...
    def get_experiment_by_name(self, name: str) -> Experiment | None: ...
    def create_experiment(self, name: str) -> str: ...
    def search_runs(
        self,
        experiment_ids: list[str],
        filter_string: str,
        *,
        max_results: int = ...,
        order_by: list[str] = ...,
        page_token: str | None = ...,
    ) -> Page[RunEntity]: ...
    def create_run(
        self, experiment_id: str, *, tags: dict[str, Any] | None = ..., run_name: str | None = ...
    ) -> RunEntity: ...
    def delete_run(self, run_id: str) -> None: ...
    def update_run(self, run_id: str, status: str) -> None: ...
    def set_terminated(self, run_id: str, status: str) -> None: ...
    def log_batch(
        self, run_id: str, metrics: Sequence[Any] = ..., params: Sequence[Any] = ..., tags: Sequence[Any] = ...
    ) -> None: ...
    def log_inputs(
        self, run_id: str, datasets: Sequence[Any] | None = ..., models: Sequence[Any] | None = ...
    ) -> None: ...
    def log_artifact(self, run_id: str, local_path: str | Path, artifact_path: str | None = ...) -> None: ...
    def log_artifacts(self, run_id: str, local_dir: str, artifact_path: str | None = ...) -> None: ...
