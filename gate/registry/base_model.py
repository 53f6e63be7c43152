"""What a model was fine-tuned from: find it where the gate file says, or from what the model says of itself.

A claim (a tag, a run parameter, a line in the adapter's own configuration) is evidence and no more: it is followed
only to a registry version, a run's files, an absolute path or the local Hugging Face cache; to an API only where the
run's data goes anyway, because the gate file declares it or the candidate is behind it; and never to Python code. Where
claims lead to different models, none is believed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from finetune_gate.evaluators.errors import ConfigurationError, EvaluationError, ModelFilesError, Problem

from ..models.addresses import OPENAI, Servers
from ..models.inspecting import inspect_model
from ..models.openai_flavor import fine_tuned_from
from ..pins import Endpoint, ModelFiles, ModelPin, ModelSource
from .artifacts import bring
from .locating import KINDS, Place, locate
from .mlflow_client import NotInRegistry, plain
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

_DATE: Final = r"-(\d{4}-\d{2}-\d{2}|\d{4})$"
_NOTHING: Final = frozenset({"", "none", "null", "auto"})


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
    servers: Servers = field(default_factory=Servers)
    trust_code: bool = False
    _seen: dict[tuple[str, bool, bool], ModelSource] = field(default_factory=dict[tuple[str, bool, bool], ModelSource])

    def at(self, place: Place, *, claimed: bool = False, encoders: bool = False) -> ModelSource:
        """What is at ``place``. ``claimed``: a claim led there, and no person named it, so that it may not be code,
        nor behind an API that this run would not send its data to anyway. ``encoders``: it may be one, as judges may.
        Raises RegistryError and ModelFilesError."""
        key = place.address, claimed, encoders
        if key not in self._seen:
            self._seen[key] = place.endpoint or inspect_model(
                bring(self.registry.connection, place.address, self.downloads),
                allow_files=self.allow_files,
                trust_code=self.trust_code and not claimed,
                servers=self.servers,
                encoders=encoders,
            )
        found = self._seen[key]
        if claimed and isinstance(found, Endpoint) and not self._reaches(found.base_url):
            raise ModelFilesError(
                Problem(
                    where=f"model {plain(place.uri)!r}",
                    found=f"asking it would send data to {found.base_url}, and only a claim says so",
                    expected="an API that the gate file names",
                    way_out="name the model as `base:`, or declare the API under `endpoints:`",
                )
            )
        return found

    def _reaches(self, base_url: str) -> bool:
        named = {
            found.base_url
            for (_, claimed, _), found in self._seen.items()
            if not claimed and isinstance(found, Endpoint)
        }
        return base_url in named | self.servers.declared_urls()


def claims_at(registry: Registry, place: Place, source: ModelSource) -> tuple[Claim, ...]:
    """Every claim about the base of the model at ``place``, the most deliberate first, the model's own last."""
    if not place.name or not place.version:
        return _own_claims(source, ())
    told = registry_claims(registry, registry.version(place.name, place.version))
    return told + _own_claims(source, told)


def _own_claims(source: ModelSource, told: Sequence[Claim]) -> tuple[Claim, ...]:
    """What files or name of a model say. The name of a fine-tuned model dates its base (``gpt-4o-mini-2024-07-18``):
    where another claim says the same without the date, that one stands."""
    if source.base_claim:
        return (Claim("the model's own files", source.base_claim),)
    base = fine_tuned_from(source.model) if isinstance(source, Endpoint) else None
    if base is None or f"{OPENAI}:/{re.sub(_DATE, '', base)}" in {claim.text for claim in told}:
        return ()
    return (Claim("the model's own name", f"{OPENAI}:/{base}"),)


def registry_claims(registry: Registry, version: RegisteredVersion) -> tuple[Claim, ...]:
    """What tags and parameters say about the base of ``version``, the most deliberate first."""
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
                way_out=f"write `base:` in the gate file, or set the version's tag 'finetune_gate.base': {KINDS}",
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
    ground: ModelSource,
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
    found = {files.digest: files for _, _, files in followed if isinstance(files, ModelFiles)}
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
            way_out=f"set the tag 'finetune_gate.base' of {champion.label}: {KINDS}",
        )
    )


def _follow(
    registry: Registry, claims: Sequence[Claim], inspection: Inspection
) -> tuple[list[tuple[Claim, Place, ModelSource]], list[str]]:
    """Where the claims lead, and for each that leads nowhere, why."""
    followed: list[tuple[Claim, Place, ModelSource]] = []
    notes: list[str] = []
    for claim in claims:
        try:
            place = locate(registry, claim.text, inspection.downloads, inspection.servers, foreign=True)
            followed.append((claim, place, inspection.at(place, claimed=True)))
        except (ConfigurationError, NotInRegistry, ModelFilesError) as error:
            notes.append(f"{claim}: {error.problems[0].found}")
    return followed, notes


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:12]
