"""The door to MLflow: connect, bounded and silent, and turn every foreign error into one of ours in one place.

    store = connect("http://127.0.0.1:5000")
    with store.doing("read model 'support-bot'"):
        model = store.client.get_registered_model("support-bot")

Only this file imports ``mlflow`` (a worker of ``python_models`` does, too, in a process of its own). Everything else in
``gate/`` that talks to it holds a `Connection`, whose client is described by the `Client` protocol (the calls this
project makes, and no more).
"""

from __future__ import annotations

import json
import logging
import os
import re
import socket
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar, cast

from finetune_gate.evaluators.errors import FinetuneGateError, Problem, RegistryError, without_credentials

from .figures import Figure, UsedData
from .mlflow_types import Client, FileInfo

SETTINGS: Final[Mapping[str, str]] = {
    # MLflow's own are 120 s, 7 retries and any Retry-After the server asks for: minutes of silence
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
"""Defaults for MLflow's environment settings, put in place by `connect` where the user has set none."""

_QUICK: Final[Mapping[str, str]] = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "8",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
}
"""Tighter, for `quick_calls`: a server that is not there is said within half a minute."""

E = TypeVar("E", bound=BaseException)

_DATABASES: Final = {"sqlite": 0, "postgresql": 5432, "mysql": 3306, "mssql": 1433}
"""Databases that MLflow can use directly, and their ports."""

_UNREACHABLE_WAY_OUT = (
    "start the server, or point MLFLOW_TRACKING_URI (and MLFLOW_REGISTRY_URI) at one that answers; "
    "then run again: finished work is kept"
)


class NotInRegistry(RegistryError):
    """MLflow answered, and what was asked for is not there."""


@dataclass(frozen=True, slots=True)
class Connection:
    """An open connection. ``label`` is the registry's address without user or password, for people to read."""

    client: Client
    tracking_uri: str
    registry_uri: str

    @property
    def label(self) -> str:
        return public_uri(self.registry_uri)

    @property
    def serves_http(self) -> bool:
        return self.tracking_uri.startswith(("http://", "https://"))

    @contextmanager
    def doing(self, what: str) -> Generator[None]:
        """Wrap calls of MLflow: their errors leave as `RegistryError`, a missing thing as `NotInRegistry`."""
        with _mapped(f"MLflow at {self.label}", what):
            yield

    def list_artifacts(self, uri: str) -> list[FileInfo]:
        """Files and folders directly under ``uri``; their paths start with the last part of ``uri``."""
        import mlflow.artifacts

        with self.doing(f"list the files at {public_uri(uri)}"):
            found = mlflow.artifacts.list_artifacts(artifact_uri=uri, tracking_uri=self.tracking_uri)
        return cast("list[FileInfo]", found)

    def download_artifacts(self, uri: str, into: Path) -> Path:
        """Copy what is at ``uri`` under ``into``. Never give it ``models:/`` addresses: MLflow then writes a file
        (``registered_model_meta``) into the folder it returns, which can be the store itself.
        """
        import mlflow.artifacts

        with self.doing(f"download {public_uri(uri)}"):
            found = mlflow.artifacts.download_artifacts(
                artifact_uri=uri, dst_path=str(into), tracking_uri=self.tracking_uri
            )
        return Path(found)

    def log_batch(
        self,
        run_id: str,
        metrics: Mapping[str, Figure],
        params: Mapping[str, str],
        tags: Mapping[str, str],
        at_ms: int,
    ) -> None:
        """Log to one run, at time ``at_ms`` (milliseconds since 1970); at most 1000 metrics, 100 params, 100 tags."""
        from mlflow.entities import Metric, Param, RunTag

        with self.doing(f"log results to run {run_id}"):
            self.client.log_batch(
                run_id,
                metrics=[
                    Metric(
                        key,
                        figure.value,
                        at_ms,
                        0,
                        model_id=figure.model_id,
                        dataset_name=figure.data.name if figure.data else None,
                        dataset_digest=figure.data.digest if figure.data else None,
                    )
                    for key, figure in metrics.items()
                ],
                params=[Param(key, value) for key, value in params.items()],
                tags=[RunTag(key, value) for key, value in tags.items()],
            )

    def log_inputs(self, run_id: str, data: Sequence[UsedData], model_id: str | None) -> None:
        """Say which datasets, and which logged model, one run was about. Saying it again changes nothing."""
        from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModelInput

        inputs = [
            DatasetInput(
                Dataset(
                    name=one.name,
                    digest=one.digest,
                    source_type="local",
                    source=json.dumps({"uri": one.file}),
                    schema=one.schema(),
                    profile=json.dumps({"num_rows": one.rows, "sha256": one.sha256}),
                ),
                [InputTag("mlflow.data.context", one.context)],
            )
            for one in data
        ]
        with self.doing(f"log the inputs of run {run_id}"):
            self.client.log_inputs(run_id, inputs, [LoggedModelInput(model_id)] if model_id else None)


def connect(tracking_uri: str | None = None, registry_uri: str | None = None) -> Connection:
    """Connect to MLflow; None means MLflow's own ``MLFLOW_TRACKING_URI``, ``MLFLOW_REGISTRY_URI`` and defaults. As in
    MLflow, a given tracking address does not overrule a ``MLFLOW_REGISTRY_URI`` in the environment.

    Puts `SETTINGS` in place for this process where the environment says nothing else, keeps MLflow's log lines below
    warnings quiet (unless ``MLFLOW_LOGGING_LEVEL`` is set), and makes one call to each server, so that one which
    does not answer is an error within about half a minute. Raises RegistryError.
    """
    for key, value in SETTINGS.items():
        os.environ.setdefault(key, value)
    with _mapped("MLflow", "start its client"):
        import mlflow
        from mlflow import MlflowClient

        tracking = tracking_uri or mlflow.get_tracking_uri()
        registry = registry_uri or os.environ.get("MLFLOW_REGISTRY_URI") or tracking
    _quieten()
    for uri in {registry: None, tracking: None}:
        with _mapped(f"MLflow at {public_uri(uri)}", "connect"):
            _refuse_no_database(uri)
    with _mapped(f"MLflow at {public_uri(tracking)}", "connect"):
        found = MlflowClient(tracking_uri=tracking, registry_uri=registry_uri)
    store = Connection(cast("Client", found), tracking, registry)
    with quick_calls():
        if registry.startswith(("http://", "https://")):
            with store.doing("connect"):
                store.client.search_registered_models(max_results=1)
        if store.serves_http and tracking != registry:
            with _mapped(f"MLflow at {public_uri(tracking)}", "connect"):
                store.client.search_experiments(max_results=1)
    return store


@contextmanager
def quick_calls() -> Generator[None]:
    """For calls whose failing shall be known soon: tighter settings in this process, where the user has set none."""
    with mlflow_settings({key: _QUICK[key] for key in _QUICK if os.environ.get(key) == SETTINGS[key]}):
        yield


@contextmanager
def mlflow_settings(settings: Mapping[str, str]) -> Generator[None]:
    """MLflow reads its settings from the environment at every call: these, in this process, while this is open."""
    before = {key: os.environ.get(key) for key in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value


def public_uri(uri: str) -> str:
    """``uri`` as people may see it: no user, no password, no query, no control characters."""
    return plain(uri.split("?", 1)[0], 300)


def plain(text: str, limit: int = 300) -> str:
    """Foreign text on one line: no control or direction characters, no credentials in addresses, at most ``limit``."""
    visible = "".join(char if char.isprintable() else " " for char in text)
    line = without_credentials(" ".join(visible.split()))
    return line if len(line) <= limit else line[: limit - 1] + "…"


def error_code(error: BaseException) -> str:
    """MLflow's own code of an error that left `Connection.doing`; "" where it was none of MLflow's."""
    return str(getattr(error.__cause__, "error_code", ""))


def _quieten() -> None:
    if "MLFLOW_LOGGING_LEVEL" not in os.environ:
        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.WARNING)


def _refuse_no_database(uri: str) -> None:
    """Ask a database once whether it is one of MLflow's. MLflow itself makes folders, files and tables where there
    are none (a forgotten setting, usually), and tries for over a minute where nothing answers.
    """
    if not uri.startswith(tuple(_DATABASES)):
        return
    import sqlalchemy

    url = sqlalchemy.make_url(uri)
    if uri.startswith("sqlite"):
        found = None if Path(url.database or "").is_file() else f"there is no database {url.database!r}"
    else:
        port = url.port or _DATABASES[uri.split(":")[0].split("+")[0]]
        if url.host and not url.host.startswith("/"):
            socket.create_connection((url.host, port), timeout=10).close()
        found = None
    if found is None:
        engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
        if not sqlalchemy.inspect(engine).has_table("registered_models"):
            found = "it is a database without MLflow's tables"
    if found is not None:
        raise RegistryError(
            Problem(
                where=f"MLflow at {public_uri(uri)}",
                found=found,
                expected="a registry that holds the model",
                way_out="set MLFLOW_TRACKING_URI to your MLflow server or database, or run where that file is",
            )
        )


@contextmanager
def _mapped(where: str, what: str) -> Generator[None]:
    """The one place where errors of MLflow, and of what it stands on, become ours."""
    try:
        yield
    except FinetuneGateError:
        raise
    except ImportError as error:
        package = (error.name or "").split(".")[0]
        raise RegistryError(
            Problem(where, f"cannot {what}: {plain(str(error))}", "", f"install the Python package {package!r}")
        ) from error
    except Exception as error:
        if not _is_foreign(error):
            raise
        found, way_out, missing = _explain(error)
        kind = NotInRegistry if missing else RegistryError
        raise kind(Problem(where, f"cannot {what}: {found}", "", way_out)) from error


def _is_foreign(error: Exception) -> bool:
    import requests
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    return isinstance(error, MlflowException | requests.RequestException | SQLAlchemyError | OSError)


def _explain(error: BaseException) -> tuple[str, str, bool]:
    """What happened, the way out, and whether the thing asked for is simply not there."""
    import requests

    if isinstance(error, socket.gaierror | ConnectionError):
        return f"no answer ({plain(error.strerror or 'connection broken')})", _UNREACHABLE_WAY_OUT, False
    code = str(getattr(error, "error_code", ""))
    error = getattr(error, "orig", None) or error  # what the database itself said
    said = plain(str(getattr(error, "message", error)).removeprefix(f"{code}: "))
    cause = _first(error, requests.RequestException)
    if isinstance(cause, requests.exceptions.SSLError):
        return "no secure connection", "check http:// against https://, and MLFLOW_TRACKING_SERVER_CERT_PATH", False
    if isinstance(cause, requests.Timeout) or (cause and "timed out" in str(cause)) or isinstance(error, TimeoutError):
        return "no answer in time", _UNREACHABLE_WAY_OUT, False
    if isinstance(cause, requests.ConnectionError):
        return f"no answer ({_network_reason(cause)})", _UNREACHABLE_WAY_OUT, False
    if isinstance(cause, requests.HTTPError) and cause.response is not None:
        code = {401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED"}.get(cause.response.status_code, code)
    if code in ("UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED", "PERMISSION_DENIED"):
        rights = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, to an account"
        return f"not allowed: {said}", f"{rights} that may read (and, to promote, change) this model", False
    if code in ("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND"):
        return said, "", True
    if code == "ENDPOINT_NOT_FOUND" or "valid JSON format" in said:
        return "the answer is not MLflow's", "check the address: it is not that of an MLflow server", False
    if code in ("TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED"):
        return f"MLflow is busy: {said}", "run again: finished work is kept", False
    return said or type(error).__name__, "", False


def _first(error: BaseException, kind: type[E]) -> E | None:
    """The first error of ``kind`` along the chain of causes."""
    seen: set[int] = set()
    at: BaseException | None = error
    while at is not None and id(at) not in seen:
        if isinstance(at, kind):
            return at
        seen.add(id(at))
        at = at.__cause__ or at.__context__
    return None


def _network_reason(error: BaseException) -> str:
    found = re.search(r"\[Errno -?\d+\] ([^)'\"\]]+)", str(error))
    return plain(found.group(1)) if found else "connection broken"
