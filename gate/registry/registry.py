"""Find the models of one run in MLflow's registry and pin them: which versions, which files, which digests.

    registry = Registry.connect()
    pins = registry.resolve("support-bot", "latest", downloads=Path(".finetune-gate/downloads"))
    pins.candidate.version, pins.base.uri, pins.champion

An alias or ``latest`` is asked for once; from then on there are only numbers. Models are brought here as files and
inspected as data: nothing of them runs here.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, get_args

from finetune_gate.evaluators.errors import ConfigurationError, EvaluationError, Problem, RegistryError

from ..models.addresses import EndpointEntry, Servers
from ..pins import ModelFiles, ModelPin, ModelSource, Pins, Role, identical_baselines
from ..sandbox.address import sandbox_at
from .base_model import Inspection, champion_adapts, claims_at, find_base
from .locating import KINDS, Place, locate
from .mlflow_client import Connection, NotInRegistry, connect, plain
from .mlflow_types import ModelEntity
from .own_models import is_own
from .registered import INTENT_TAG, Intent, RegisteredVersion, parse_spelling

_LISTED: Final = 10
_MODELS_LOOKED_THROUGH: Final = 1000
_MOST_VERSIONS: Final = 100_000


class Registry:
    """The model registry, read. Nothing here changes it."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    @classmethod
    def connect(cls, tracking_uri: str | None = None, registry_uri: str | None = None) -> Registry:
        """Connect; None means MLflow's own environment settings and defaults. Raises RegistryError."""
        return cls(connect(tracking_uri, registry_uri))

    def public_address(self) -> str:
        """The registry's address, without user and password."""
        return self.connection.label

    def aliases(self, model: str, key: str = "model") -> dict[str, str]:
        """Alias to version number. Raises ConfigurationError if there is no such model; ``key`` is where the gate file
        names it."""
        return {alias: str(version) for alias, version in self._model(model, key).aliases.items()}

    def alias_version(self, model: str, alias: str) -> str | None:
        """The version that ``alias`` points to now, None if there is no such alias."""
        return self.aliases(model).get(alias)

    def model_names(self) -> list[str]:
        """Of all registered models but finetune-gate's own lists, sorted; the first thousand."""
        names: list[str] = []
        token: str | None = None
        with self.connection.doing("list the registered models"):
            while len(names) < _MODELS_LOOKED_THROUGH:
                page = self.connection.client.search_registered_models(max_results=500, page_token=token)
                names += [entity.name for entity in page if not is_own(entity.name)]
                token = page.token
                if not token:
                    break
        return sorted(names)

    def versions(self, model: str) -> tuple[RegisteredVersion, ...]:
        """All versions of ``model``, lowest number first; empty if there are none, or no such model."""
        quote = '"' if "'" in model else "'"
        found: list[RegisteredVersion] = []
        token: str | None = None
        with self.connection.doing(f"list the versions of registered model {model!r}"):
            while len(found) < _MOST_VERSIONS:
                page = self.connection.client.search_model_versions(
                    f"name={quote}{model}{quote}", max_results=1000, page_token=token
                )
                found.extend(RegisteredVersion.of(entity) for entity in page)
                token = page.token
                if not token:
                    break
        return tuple(sorted(found, key=lambda version: int(version.version)))

    def version(self, model: str, version: str) -> RegisteredVersion:
        """One version. Raises NotInRegistry."""
        with self.connection.doing(f"read version {version} of registered model {model!r}"):
            return RegisteredVersion.of(self.connection.client.get_model_version(model, version))

    def pick(self, model: str, text: str, what: str = "candidate") -> tuple[RegisteredVersion, str]:
        """The version that ``text`` names, and how it was found. Raises ConfigurationError listing what exists."""
        spelling = parse_spelling(text, model, what)
        aliases = self.aliases(model, what if what in ("base", "judge") else "model")
        number: str | None = spelling.value
        origin, missing = f"version {number}", f"registered model {model!r} has no version {number}"
        if spelling.kind == "alias":
            number = aliases.get(spelling.value)
            origin, missing = f"alias @{spelling.value}", f"registered model {model!r} has no alias {spelling.value!r}"
        elif spelling.kind == "latest":
            known = self.versions(model)
            number = known[-1].version if known else None
            origin, missing = "latest version", f"registered model {model!r} has no versions"
        if number is not None:
            try:
                return self.version(model, number), origin
            except NotInRegistry:
                pass
        close = difflib.get_close_matches(spelling.value, aliases, n=3, cutoff=0.5)
        raise ConfigurationError(
            Problem(
                where=f"{what} {text!r}",
                found=missing,
                expected=_what_exists(self.versions(model), aliases),
                way_out=_did_you_mean([f"@{alias}" for alias in close])
                or "name one that exists, or register the model first",
            )
        )

    def place(self, version: RegisteredVersion) -> Place:
        """Where the files of ``version`` lie. Raises RegistryError, also if the version is not ready."""
        if version.status != "READY":
            reason = f": {plain(version.status_message)}" if version.status_message else ""
            raise RegistryError(
                Problem(
                    where=version.label,
                    found=f"its status is {version.status}{reason}",
                    expected="READY",
                    way_out="wait until MLflow has finished registering it, or register it again",
                )
            )
        client = self.connection.client
        with self.connection.doing(f"find the files of {version.label}"):
            address = client.get_model_version_download_uri(version.name, version.version)
            if address.startswith("models:/m-"):
                address = client.get_logged_model(address.removeprefix("models:/")).artifact_location
        return Place(version.uri, address, version.name, version.version, version.run_id)

    def resolve(
        self,
        model: str,
        candidate: str,
        *,
        base: str = "auto",
        champion: str | None = "@champion",
        downloads: Path,
        allow_files: Sequence[str] = (),
        endpoints: Mapping[str, EndpointEntry] | None = None,
        trust_code: bool = False,
        judges: Sequence[str] = (),
    ) -> Pins:
        """Pin candidate, base, champion and judges, and bring their files here.

        ``candidate`` and ``champion`` are spelled as `parse_spelling` reads them; ``base`` and ``judges`` as `locate`
        does, ``base`` also ``auto`` for what the candidate says of itself. ``champion`` None, or an alias that is not
        there yet: judged against the base alone, and ``champion_note`` says so. Files that are not on this machine go
        below ``downloads``. After a run that was killed while it promoted this very candidate, the champion is the one
        from before, so that the repeated run decides the same.

        ``endpoints`` are the APIs that addresses can begin with, besides ``openai``. ``trust_code``: candidate,
        champion, and a base or judge that is named here, may be Python code; a base that is only claimed never.

        Raises ConfigurationError (named wrongly, or the base cannot be told), RegistryError (unreachable, not
        ready), ModelFilesError (unsafe files, code without trust) and EvaluationError (the candidate is its own base).
        """
        inspection = Inspection(self, downloads, tuple(allow_files), Servers(endpoints), trust_code)
        version, origin = self.pick(model, candidate)
        place = self.place(version)
        before, before_origin, note = self._champion(model, champion, version)
        before_place = self.place(before) if before else None
        told = None if base == "auto" else self._told(base, "base", inspection)

        candidate_pin = _pin("candidate", place, origin, inspection.at(place))
        claims = claims_at(self, place, candidate_pin.files)
        if told is None:
            base_pin = find_base(self, claims, inspection, version.label)
        else:
            base_pin = _pin("base", told, "gate file", inspection.at(told))
        base_pin = self._grounded(base_pin, inspection)
        if candidate_pin.files.adapter is not None:
            _refuse_no_ground(candidate_pin, base_pin)
            candidate_pin = replace(candidate_pin, adapts=base_pin.adapts)
        champion_pin: ModelPin | None = None
        if before_place:
            champion_pin = _pin("champion", before_place, before_origin, inspection.at(before_place))
        if before_place and champion_pin and champion_pin.files.adapter is not None:
            both = (claims, claims_at(self, before_place, champion_pin.files))
            ground = base_pin.adapts or base_pin.files
            own = champion_adapts(self, champion_pin, both, ground, inspection, told=told is not None)
            if own is None:
                _refuse_no_ground(champion_pin, base_pin)
            champion_pin = replace(champion_pin, adapts=own or base_pin.adapts)
        pins = Pins(
            candidate_pin, base_pin, champion_pin, note, {text: self._judge(text, inspection) for text in judges}
        )
        _refuse_own_base(pins)
        return pins

    def _judge(self, text: str, inspection: Inspection) -> ModelPin:
        if text in get_args(Role):
            found = "that is the name of a part in the run"
            raise ConfigurationError(Problem(f"judge {text!r}", found, KINDS, "name the judge by its address"))
        sandbox = sandbox_at(text)
        if sandbox is not None:
            return ModelPin("judge", text, None, None, None, "evaluator", sandbox)
        place = self._told(text, "judge", inspection)
        return self._grounded(_pin("judge", place, "evaluator", inspection.at(place, encoders=True)), inspection)

    def _grounded(self, pin: ModelPin, inspection: Inspection) -> ModelPin:
        """``pin`` with the model it sits on, if it is an adapter."""
        if pin.files.adapter is None:
            return pin
        place = Place(pin.uri, str(pin.files.root), pin.name, pin.version, pin.run_id)
        under = find_base(self, claims_at(self, place, pin.files), inspection, f"{pin.role} {pin.label}, an adapter")
        if not isinstance(under.files, ModelFiles) or under.files.adapter is not None:
            another = "sits on another adapter" if under.files.adapter else "the claims lead to no model files"
            raise EvaluationError(
                Problem(
                    where=f"{pin.role} {pin.label}",
                    found=f"it is an adapter, and {another}, {under.label}",
                    expected="a model with weights of its own, or an adapter on one",
                    way_out=f"register adapter and model merged (merge_and_unload), and name that as `{pin.role}:`",
                )
            )
        return replace(pin, adapts=under.files)

    def _told(self, text: str, what: Role, inspection: Inspection) -> Place:
        """Where the model is that a person named. A judge has no folder to start from: evaluators are not told where
        the gate file lies."""
        try:
            return locate(self, text, inspection.downloads, inspection.servers, what=what, foreign=what == "judge")
        except NotInRegistry as error:
            raise ConfigurationError(
                Problem(f"{what} {text!r}", error.problems[0].found, "a model that exists", f"correct `{what}:`")
            ) from error

    def _champion(
        self, model: str, champion: str | None, candidate: RegisteredVersion
    ) -> tuple[RegisteredVersion | None, str, str]:
        """The champion to judge against, how it was found, and what to say if there is none."""
        if champion is None:
            return None, "", "no champion asked for: judged against its base alone"
        spelling = parse_spelling(champion, model, "champion")
        if spelling.kind != "alias":
            return *self.pick(model, champion, "champion"), ""
        alias = spelling.value
        number = self.alias_version(model, alias)
        intent = Intent.of(candidate)
        if intent and number == candidate.version and (intent.alias, intent.after) == (alias, number):
            # the candidate serves because a gate moved it there: judged again, it is judged by what it replaced
            number = intent.before
        if number is None:
            return None, "", f"model {model} has no alias {alias!r} yet: judged against its base alone"
        try:
            return self.version(model, number), f"alias @{alias}", ""
        except NotInRegistry as error:
            if intent is None or number != intent.before:
                raise
            if intent.published:
                return candidate, f"alias @{alias}", ""
            raise RegistryError(
                Problem(
                    where=f"tag {INTENT_TAG!r} of {candidate.label}",
                    found=f"an interrupted run moved alias {alias!r} here from version {intent.before}, which is gone",
                    expected="the version it was judged against",
                    way_out="delete that tag to judge against what the alias points to now",
                )
            ) from error

    def _model(self, model: str, key: str) -> ModelEntity:
        if is_own(model):
            found = "that is one of finetune-gate's own lists, and holds no models"
            way_out = "name the model that it is about; `finetune-gate history` shows what is in it"
            raise ConfigurationError(Problem(f"{key} {model!r}", found, "a registered model", way_out))
        try:
            with self.connection.doing(f"read registered model {model!r}"):
                return self.connection.client.get_registered_model(model)
        except NotInRegistry as error:
            names = self.model_names()
            close = difflib.get_close_matches(model, names, n=3, cutoff=0.5)
            raise ConfigurationError(
                Problem(
                    where=f"{key} {model!r}",
                    found=f"MLflow at {self.connection.label} has no registered model of that name",
                    expected=_some(names) if names else "a registered model, and there are none",
                    way_out=_did_you_mean(close)
                    or f"correct `{key}:` in the gate file, or set MLFLOW_TRACKING_URI to the registry that holds it",
                )
            ) from error


def _pin(role: Role, place: Place, origin: str, files: ModelSource) -> ModelPin:
    return ModelPin(role, place.uri, place.name, place.version, place.run_id, origin, files)


def _refuse_no_ground(adapter: ModelPin, base: ModelPin) -> None:
    if not isinstance(base.adapts or base.files, ModelFiles):
        raise ConfigurationError(
            Problem(
                where=f"base {base.label}",
                found=f"{adapter.role} {adapter.label} is an adapter, and cannot sit on what has no files ({base.uri})",
                expected="the files of the model that it was trained on",
                way_out="correct `base:`, or register adapter and model merged (merge_and_unload)",
            )
        )


def _refuse_own_base(pins: Pins) -> None:
    if "base" in identical_baselines(pins):
        raise EvaluationError(
            Problem(
                where=f"candidate {pins.candidate.label}",
                found=f"the registered files are the base's own ({pins.base.label}): there is nothing to compare",
                expected="a model that differs from its base",
                way_out="was the fine-tuned model saved? register the version that training wrote, or correct `base:`",
            )
        )


def _what_exists(versions: Sequence[RegisteredVersion], aliases: Mapping[str, str]) -> str:
    if not versions:
        return "a registered version, and there are none"
    numbers = [version.version for version in versions]
    known = "version " + numbers[0] if len(numbers) == 1 else f"one of versions {', '.join(numbers)}"
    if len(numbers) > _LISTED:
        known = f"one of {len(numbers)} versions, the newest {', '.join(numbers[-1:-6:-1])}"
    named = ", ".join(f"@{alias} (version {number})" for alias, number in sorted(aliases.items()))
    return f"{known}; aliases: {named}" if named else f"{known}; there are no aliases"


def _some(names: Sequence[str]) -> str:
    listed = ", ".join(repr(name) for name in names[:_LISTED])
    return f"one of {listed}" + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")


def _did_you_mean(names: Sequence[str]) -> str:
    return f"did you mean {' or '.join(map(repr, names))}?" if names else ""
