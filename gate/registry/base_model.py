"""What a model was fine-tuned from: find it where the gate file says, or from what the model says of itself.

A claim (a tag, a run parameter, a line in the adapter's own configuration) is evidence and no more: it is followed
only to a registry version, a run's files, an absolute path or the local Hugging Face cache, never to the network; and
where claims lead to different models, none is believed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from finetune_gate.evaluators.errors import ConfigurationError, EvaluationError, ModelFilesError, Problem

from ..models.model_files import inspect_model_files
from ..pins import ModelFiles, ModelPin
from .artifacts import bring, is_there, local_path
from .hub_cache import cached_snapshot, is_hub_id
from .mlflow_client import NotInRegistry, plain
from .mlflow_types import LoggedModel, RunEntity
from .registered import RegisteredVersion

if TYPE_CHECKING:
    from .registry import Registry

CLAIM_KEYS: Final = (
    "finetune_gate.base",
    "base_model",
    "base_model_uri",
    "base_model_name_or_path",
    "model_name_or_path",
    "base_model_name",
)
"""Tags and run parameters that name a base, by custom of training scripts; the first is this project's own."""

_KINDS: Final = (
    "models:/name/3, models:/name@alias, models:/m-<id>, runs:/<id>/path, a folder, or a cached hub id org/name"
)
_NOTHING: Final = frozenset({"", "none", "null", "auto"})


@dataclass(frozen=True, slots=True)
class Place:
    """Where a model's files lie: ``uri`` is what people read (numbers, not aliases), ``address`` holds the files."""

    uri: str
    address: str
    name: str | None = None
    version: str | None = None
    run_id: str | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """Somebody's word about the base: ``origin`` such as "run tag 'base_model'", and the text itself, untrusted."""

    origin: str
    text: str

    def __str__(self) -> str:
        return f"{self.origin} says {plain(self.text, 200)!r}"


@dataclass(slots=True)
class Inspection:
    """Brings and inspects each place once, however many roles it plays in a run."""

    registry: Registry
    downloads: Path
    allow_files: tuple[str, ...] = ()
    _seen: dict[str, ModelFiles] = field(default_factory=dict[str, ModelFiles])

    def at(self, place: Place) -> ModelFiles:
        """Raises RegistryError and ModelFilesError."""
        if place.address not in self._seen:
            root = bring(self.registry.connection, place.address, self.downloads)
            self._seen[place.address] = inspect_model_files(root, allow_files=self.allow_files)
        return self._seen[place.address]


def locate(registry: Registry, spec: str, downloads: Path, *, claimed: bool = False) -> Place:
    """Where the model named by ``spec`` lies: ``models:/name/3``, ``models:/name@alias``, ``models:/m-<id>``,
    ``runs:/<id>/path``, a folder, or a Hugging Face id (``org/name``, ``org/name@revision``) that is in the local
    cache. ``claimed``: the text is not the gate file's, so that only an absolute path is a path.

    Raises ConfigurationError or NotInRegistry if there is no such thing, RegistryError if the registry does not answer.
    """
    text = spec.strip()
    if text.startswith("models:/"):
        return _registered(registry, text)
    if text.startswith("runs:/"):
        return _of_run(registry, text)
    folder = local_path(text) if text.startswith("file:") else _folder(text, claimed)
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
            where=f"base {plain(text)!r}",
            found=found,
            expected=_KINDS,
            way_out="correct `base:`, or fetch it first (`hf download ORG/NAME`): a gate run fetches nothing itself",
        )
    )


def claims_at(registry: Registry, place: Place, files: ModelFiles) -> tuple[Claim, ...]:
    """Every claim about the base of the model at ``place``, the most deliberate first, the files' own last."""
    own = (Claim("the model's own files", files.base_claim),) if files.base_claim else ()
    if not place.name or not place.version:
        return own
    return _registry_claims(registry, registry.version(place.name, place.version)) + own


def _registry_claims(registry: Registry, version: RegisteredVersion) -> tuple[Claim, ...]:
    client = registry.connection.client
    sources = [("version tag", version.tags)]
    if version.source.startswith("models:/m-"):
        with registry.connection.doing(f"read the logged model of {version.label}"):
            logged = client.get_logged_model(version.source.removeprefix("models:/"))
        sources += [("logged model tag", logged.tags), ("logged model parameter", logged.params)]
    if version.run_id:
        try:
            with registry.connection.doing(f"read the run of {version.label}"):
                data = client.get_run(version.run_id).data
            sources += [("run tag", data.tags), ("run parameter", data.params)]
        except NotInRegistry:
            pass  # a version outlives its run
    with registry.connection.doing(f"read registered model {version.name!r}"):
        sources.append(("tag of the registered model", client.get_registered_model(version.name).tags))
    return tuple(
        Claim(f"{origin} {key!r}", values[key].strip())
        for origin, values in sources
        for key in CLAIM_KEYS
        if key in values and values[key].strip().lower() not in _NOTHING
    )


def find_base(registry: Registry, claims: Sequence[Claim], inspection: Inspection, label: str) -> ModelPin:
    """The one model that all claims which can be followed lead to.

    Raises ConfigurationError if there is no claim, if none can be followed, or if they lead to different models.
    """
    followed, notes = _follow(registry, claims, inspection)
    if not followed:
        raise ConfigurationError(
            Problem(
                where=f"base of {label}",
                found="; ".join(notes) if notes else "nothing says what it was fine-tuned from",
                expected="the model that it was fine-tuned from",
                way_out=f"write `base:` in the gate file, or set the version's tag 'finetune_gate.base': {_KINDS}",
            )
        )
    if len({files.digest for _, _, files in followed}) > 1:
        raise ConfigurationError(
            Problem(
                where=f"base of {label}",
                found="; ".join(f"{claim} (digest {_short(files.digest)})" for claim, _, files in followed),
                expected="claims that lead to one and the same model",
                way_out="write which one it is as `base:` in the gate file",
            )
        )
    claim, place, files = followed[0]
    origin = "; ".join([claim.origin, *(f"not followed: {note}" for note in notes)])
    return ModelPin("base", place.uri, place.name, place.version, place.run_id, origin, files)


def champion_adapts(
    registry: Registry,
    champion: ModelPin,
    claims: tuple[Sequence[Claim], Sequence[Claim]],
    ground: ModelFiles,
    inspection: Inspection,
    *,
    told: bool,
) -> ModelFiles | None:
    """The model under a champion that is an adapter, if it is not ``ground``, the one under the candidate.

    An adapter on another model than its own answers, and answers nonsense. ``claims``: the candidate's and the
    champion's; where both say the same, it is the same. ``told``: the gate file names the base, so that a champion
    whose claims lead nowhere is taken to sit on it. Raises EvaluationError if it cannot be told.
    """
    ours, theirs = claims
    if champion.files.adapter is None or {claim.text for claim in ours} & {claim.text for claim in theirs}:
        return None
    followed, notes = _follow(registry, theirs, inspection)
    found = {files.digest: files for _, _, files in followed}
    if ground.digest in found or (told and not found):
        return None
    if len(found) == 1:
        return next(iter(found.values()))
    raise EvaluationError(
        Problem(
            where=f"champion {champion.label}",
            found="it is an adapter, and of which model cannot be told: "
            + ("; ".join([*notes, *(str(claim) for claim, _, _ in followed)]) or "nothing says"),
            expected="the model that it sits on",
            way_out=f"set the tag 'finetune_gate.base' of {champion.label}: {_KINDS}",
        )
    )


def _follow(
    registry: Registry, claims: Sequence[Claim], inspection: Inspection
) -> tuple[list[tuple[Claim, Place, ModelFiles]], list[str]]:
    """Where the claims lead, and for each that leads nowhere, why."""
    followed: list[tuple[Claim, Place, ModelFiles]] = []
    notes: list[str] = []
    for claim in claims:
        try:
            place = locate(registry, claim.text, inspection.downloads, claimed=True)
            followed.append((claim, place, inspection.at(place)))
        except (ConfigurationError, NotInRegistry, ModelFilesError) as error:
            notes.append(f"{claim}: {error.problems[0].found}")
    return followed, notes


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:12]


def _folder(text: str, claimed: bool) -> Path | None:
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", text):
        return None
    path = Path(text)
    return None if claimed and not path.is_absolute() else path.expanduser()


def _registered(registry: Registry, text: str) -> Place:
    rest = text.removeprefix("models:/").strip("/")
    if re.fullmatch(r"m-[0-9a-f]{8,64}", rest):
        with registry.connection.doing(f"read logged model {rest}"):
            logged = registry.connection.client.get_logged_model(rest)
        return Place(f"models:/{rest}", logged.artifact_location, run_id=logged.source_run_id or None)
    name, _, _ = rest.partition("/")
    if "/" not in rest:
        name, _, _ = rest.rpartition("@")
    version, _ = registry.pick(name or rest, text, "base")
    return registry.place(version)


def _of_run(registry: Registry, text: str) -> Place:
    run_id, _, path = text.removeprefix("runs:/").strip("/").partition("/")
    connection = registry.connection
    if not re.fullmatch(r"[A-Za-z0-9][\w-]{0,255}", run_id) or ".." in path.split("/"):
        raise ConfigurationError(Problem(f"base {plain(text)!r}", "that is no run's address", _KINDS))
    with connection.doing(f"read run {run_id}"):
        run = connection.client.get_run(run_id)
    address = f"{run.info.artifact_uri.rstrip('/')}/{path}".rstrip("/")
    if path and not is_there(connection, address):
        return _logged_beside(registry, text, run, path)
    return Place(text, address, run_id=run_id)


def _logged_beside(registry: Registry, text: str, run: RunEntity, path: str) -> Place:
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
            where=f"base {plain(text)!r}",
            found=f"the run has {len(found)} logged models of that name: {several}"
            if found
            else f"the run has no files and no logged model under {plain(path)!r}",
            expected=_KINDS,
            way_out="name one of them as `base:`" if found else "correct the path: the run's page in MLflow lists them",
        )
    )
