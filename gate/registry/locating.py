"""From an address that people write to where that model is: a version, a run's files, a folder, the local Hugging Face
cache, or a model behind an API.

    place = locate(registry, "models:/support-bot@champion", Path("downloads"), Servers())
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from finetune_gate.evaluators.errors import ConfigurationError, Problem

from ..models.addresses import Servers
from ..pins import Endpoint
from .artifacts import is_there, local_path
from .hub_cache import cached_snapshot, is_hub_id
from .mlflow_client import plain
from .mlflow_types import LoggedModel, RunEntity

if TYPE_CHECKING:
    from .registry import Registry

KINDS: Final = (
    "models:/name/3, models:/name@alias, models:/m-<id>, runs:/<id>/path, a folder, a cached hub id org/name,"
    " openai:/name, or <endpoint>:/name"
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a model is: ``uri`` is what people read (numbers, not aliases), ``address`` holds the files. A model behind
    an API has no files, and is its ``endpoint``."""

    uri: str
    address: str
    name: str | None = None
    version: str | None = None
    run_id: str | None = None
    endpoint: Endpoint | None = None


def locate(
    registry: Registry, spec: str, downloads: Path, servers: Servers, *, what: str = "base", foreign: bool = False
) -> Place:
    """Where the model named by ``spec`` is: ``models:/name/3``, ``models:/name@alias``, ``models:/m-<id>``,
    ``runs:/<id>/path``, a folder, a Hugging Face id (``org/name``, ``org/name@revision``) that is in the local cache,
    ``openai:/name``, or ``<endpoint>:/name`` for one of ``servers``. ``what`` it is, for messages. ``foreign``: the
    text is not a person's who stands in some folder, so that only an absolute path is a path.

    Raises ConfigurationError or NotInRegistry if there is no such thing, RegistryError if the registry does not answer.
    """
    text = spec.strip()
    if text.startswith("models:/"):
        return _registered(registry, text, what)
    if text.startswith("runs:/"):
        return _of_run(registry, text, what)
    endpoint = servers.endpoint(text)
    if endpoint is not None:
        return Place(text, text, endpoint=endpoint)
    folder = local_path(text) if text.startswith("file:") else _folder(text, foreign)
    if folder is not None and folder.is_dir():
        return Place(str(folder), str(folder.resolve()))
    found = "there is no such folder" if folder is not None else "that is no kind of address known here"
    if is_hub_id(text):
        snapshot = cached_snapshot(text, downloads)
        if snapshot is not None:
            return Place(snapshot.uri, str(snapshot.folder))
        found = "there is no such folder, and no model of that id in the local Hugging Face cache"
    raise ConfigurationError(
        Problem(
            where=f"{what} {plain(text)!r}",
            found=found,
            expected=KINDS,
            way_out=f"correct `{what}:`, or fetch it first (`hf download ORG/NAME`): a gate run fetches nothing itself",
        )
    )


def _folder(text: str, foreign: bool) -> Path | None:
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", text):
        return None
    path = Path(text)
    return None if foreign and not path.is_absolute() else path.expanduser()


def _registered(registry: Registry, text: str, what: str) -> Place:
    rest = text.removeprefix("models:/").strip("/")
    if re.fullmatch(r"m-[0-9a-f]{8,64}", rest):
        with registry.connection.doing(f"read logged model {rest}"):
            logged = registry.connection.client.get_logged_model(rest)
        return Place(f"models:/{rest}", logged.artifact_location, run_id=logged.source_run_id or None)
    name, _, _ = rest.partition("/")
    if "/" not in rest:
        name, _, _ = rest.rpartition("@")
    version, _ = registry.pick(name or rest, text, what)
    return registry.place(version)


def _of_run(registry: Registry, text: str, what: str) -> Place:
    run_id, _, path = text.removeprefix("runs:/").strip("/").partition("/")
    connection = registry.connection
    if not re.fullmatch(r"[A-Za-z0-9][\w-]{0,255}", run_id) or ".." in path.split("/"):
        raise ConfigurationError(Problem(f"{what} {plain(text)!r}", "that is no run's address", KINDS))
    with connection.doing(f"read run {run_id}"):
        run = connection.client.get_run(run_id)
    address = f"{run.info.artifact_uri.rstrip('/')}/{path}".rstrip("/")
    if path and not is_there(connection, address):
        return _logged_beside(registry, text, run, path, what)
    return Place(text, address, run_id=run_id)


def _logged_beside(registry: Registry, text: str, run: RunEntity, path: str, what: str) -> Place:
    """Since MLflow 3 a logged model lies beside its run's files, and is still called ``runs:/<id>/<its name>``."""
    name, _, inside = path.partition("/")
    connection = registry.connection
    found: list[LoggedModel] = []
    if "'" not in name:
        with connection.doing(f"look for logged models of run {run.info.run_id}"):
            models = connection.client.search_logged_models([run.info.experiment_id], f"name = '{name}'")
        found = [model for model in models if model.source_run_id == run.info.run_id]
    if len(found) == 1:
        address = f"{found[0].artifact_location.rstrip('/')}/{inside}".rstrip("/")
        return Place(text, address, run_id=run.info.run_id)
    several = ", ".join(f"models:/{model.model_id}" for model in found)
    raise ConfigurationError(
        Problem(
            where=f"{what} {plain(text)!r}",
            found=f"the run has {len(found)} logged models of that name: {several}"
            if found
            else f"the run has no files and no logged model under {plain(path)!r}",
            expected=KINDS,
            way_out=f"name one of them as `{what}:`"
            if found
            else "correct the path: the run's page in MLflow lists them",
        )
    )
