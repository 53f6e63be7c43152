"""Find the models of one run in MLflow's registry and pin them: which versions, which files, which digests.

    registry = Registry.connect()
    pins = registry.resolve("support-bot", "latest", downloads=Path(".finetune-gate/downloads"))
    pins.candidate.version, pins.base.uri, pins.champion

An alias or ``latest`` is asked for once; from then on there are only numbers. Models are downloaded as files and
inspected, never loaded through MLflow.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, cast

from finetune_gate.evaluators.errors import ConfigurationError, EvaluationError, Problem, RegistryError

from .artifacts import bring
from .base_model import Claims, Place, claims_of, find_base, refuse_other_base
from .mlflow_client import Connection, NotInRegistry, connect, plain
from .mlflow_types import VersionEntity
from .model_files import inspect_model_files
from .pins import ModelFiles, ModelPin, Pins, Role, identical_baselines

INTENT_TAG: Final = "finetune_gate.intent"
"""Version tag that a promotion sets before it moves anything, and clears when all is published."""

_SPELLINGS: Final = "a version (7 or v7), latest, @alias, models:/{model}/7 or models:/{model}@alias"
_MODELS_LOOKED_THROUGH: Final = 1000


@dataclass(frozen=True, slots=True)
class RegisteredVersion:
    """One version of a registered model, as the registry has it now. Times are milliseconds since 1970."""

    name: str
    version: str
    run_id: str | None
    source: str
    status: str
    status_message: str
    stage: str
    created_ms: int
    updated_ms: int
    tags: Mapping[str, str]

    @property
    def uri(self) -> str:
        return f"models:/{self.name}/{self.version}"

    @property
    def label(self) -> str:
        return f"{self.name} v{self.version}"


@dataclass(frozen=True, slots=True)
class Spelling:
    """How a person named a version: by number, by alias, or as the latest."""

    kind: Literal["version", "alias", "latest"]
    value: str = ""


@dataclass(frozen=True, slots=True)
class Intent:
    """What an unfinished promotion was about to do, or did without publishing it."""

    alias: str
    before: str | None
    after: str
    stage_before: str | None
    decision_digest: str
    record_uri: str

    def to_tag(self) -> str:
        return json.dumps(
            {
                "alias": self.alias,
                "from": self.before,
                "to": self.after,
                "stage_from": self.stage_before,
                "decision": self.decision_digest,
                "record": self.record_uri,
            },
            sort_keys=True,
        )

    @classmethod
    def of(cls, version: RegisteredVersion) -> Intent | None:
        """The intent that ``version`` carries; RegistryError if its tag cannot be read."""
        text = version.tags.get(INTENT_TAG)
        if not text:
            return None
        try:
            read = cast("object", json.loads(text))
        except ValueError:
            read = None
        fields = cast("Mapping[str, object]", read) if isinstance(read, dict) else {}
        alias, after, decision = fields.get("alias"), fields.get("to"), fields.get("decision")
        before, stage, record = fields.get("from"), fields.get("stage_from"), fields.get("record")
        if (
            isinstance(alias, str)
            and isinstance(after, str)
            and isinstance(decision, str)
            and isinstance(record, str)
            and (before is None or isinstance(before, str))
            and (stage is None or isinstance(stage, str))
        ):
            return cls(alias, before, after, stage, decision, record)
        raise RegistryError(
            Problem(
                where=f"tag {INTENT_TAG!r} of {version.label}",
                found=f"{plain(text, 200)!r}",
                expected="what an interrupted promotion wrote",
                way_out="somebody changed it: delete that tag, check where the alias points, and run again",
            )
        )


def parse_spelling(text: str, model: str, what: str = "candidate") -> Spelling:
    """Read how a version of ``model`` is named. Raises ConfigurationError.

    >>> parse_spelling("models:/support-bot@champion", "support-bot")
    Spelling(kind='alias', value='champion')
    """
    rest = text.strip()
    expected = _SPELLINGS.format(model=model)
    if rest.startswith("models:"):
        address = rest.removeprefix("models:").lstrip("/")
        if not address.startswith((f"{model}/", f"{model}@")):
            raise ConfigurationError(
                Problem(
                    where=f"{what} {text!r}",
                    found=f"it does not name a version of registered model {model!r}",
                    expected=expected,
                    way_out=f"name a version of {model!r}, or use the gate file of the other model",
                )
            )
        rest = address.removeprefix(model).removeprefix("/")
    is_alias = rest.startswith("@")
    value = rest.removeprefix("@")
    if not is_alias and re.fullmatch(r"[vV]?[0-9]{1,18}", value):
        return Spelling("version", str(int(value.lstrip("vV"))))
    # MLflow reserves the word as an alias, in any case
    if not is_alias and value.lower() == "latest":
        return Spelling("latest")
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,255}", value):
        raise ConfigurationError(Problem(f"{what} {text!r}", "that is not how a version is named", expected))
    return Spelling("alias", value)


class Registry:
    """The model registry, read. Nothing here changes it."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    @classmethod
    def connect(cls, tracking_uri: str | None = None, registry_uri: str | None = None) -> Registry:
        """Connect; None means MLflow's own environment settings and defaults. Raises RegistryError."""
        return cls(connect(tracking_uri, registry_uri))

    # -- what is there ---------------------------------------------------------------------------------------------

    def aliases(self, model: str) -> dict[str, str]:
        """Alias to version number. Raises ConfigurationError if there is no such model."""
        return {alias: str(version) for alias, version in self._model(model).aliases.items()}

    def alias_version(self, model: str, alias: str) -> str | None:
        """The version that ``alias`` points to now, None if there is no such alias."""
        return self.aliases(model).get(alias)

    def versions(self, model: str) -> tuple[RegisteredVersion, ...]:
        """All versions of ``model``, lowest number first; empty if there are none, or no such model."""
        quote = '"' if "'" in model else "'"
        found: list[RegisteredVersion] = []
        token: str | None = None
        with self.connection.doing(f"list the versions of registered model {model!r}"):
            while True:
                page = self.connection.client.search_model_versions(
                    f"name={quote}{model}{quote}", max_results=1000, page_token=token
                )
                found.extend(_version(entity) for entity in page)
                token = page.token
                if not token:
                    break
        return tuple(sorted(found, key=lambda version: int(version.version)))

    def version(self, model: str, version: str) -> RegisteredVersion:
        """One version. Raises NotInRegistry."""
        with self.connection.doing(f"read version {version} of registered model {model!r}"):
            return _version(self.connection.client.get_model_version(model, version))

    def pick(self, model: str, text: str, what: str = "candidate") -> tuple[RegisteredVersion, str]:
        """The version that ``text`` names, and how it was found. Raises ConfigurationError listing what exists."""
        spelling = parse_spelling(text, model, what)
        aliases = self.aliases(model)
        number: str | None = spelling.value
        origin = f"version {spelling.value}"
        if spelling.kind == "alias":
            number, origin = aliases.get(spelling.value), f"alias @{spelling.value}"
        elif spelling.kind == "latest":
            known = self.versions(model)
            number, origin = (known[-1].version if known else None), "latest version"
        if number is not None:
            try:
                return self.version(model, number), origin
            except NotInRegistry:
                pass
        missing = {
            "version": f"registered model {model!r} has no version {spelling.value}",
            "alias": f"registered model {model!r} has no alias {spelling.value!r}",
            "latest": f"registered model {model!r} has no versions",
        }[spelling.kind]
        raise ConfigurationError(
            Problem(
                where=f"{what} {text!r}",
                found=missing,
                expected=_what_exists(self.versions(model), aliases),
                way_out=_did_you_mean(spelling.value, aliases) or "name one that exists, or register the model first",
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
        with self.connection.doing(f"find the files of {version.label}"):
            address = self.connection.client.get_model_version_download_uri(version.name, version.version)
            # stores without a location of their own repeat the source, which may name a logged model
            if address.startswith("models:/m-"):
                model_id = address.removeprefix("models:/")
                address = self.connection.client.get_logged_model(model_id).artifact_location
        return Place(version.uri, address, version.name, version.version, version.run_id)

    # -- pins ------------------------------------------------------------------------------------------------------

    def resolve(
        self,
        model: str,
        candidate: str,
        *,
        base: str = "auto",
        champion: str | None = "@champion",
        downloads: Path,
        allow_files: Sequence[str] = (),
    ) -> Pins:
        """Pin candidate, base and champion, and bring their files here.

        ``candidate`` and ``champion`` are spelled as in `parse_spelling`; ``base`` as in `base_model.locate`, or
        ``auto`` for what the candidate says of itself. ``champion`` None, or an alias that is not there yet: judged
        against the base alone, and ``champion_note`` says so. Files that are not on this machine go below
        ``downloads``. After a run that was killed while promoting this very candidate, the champion is the one
        before, so that the repeated run decides the same.

        Raises ConfigurationError (named wrongly, or the base cannot be told), RegistryError (unreachable, not
        ready), ModelFilesError (unsafe files) and EvaluationError (the candidate is its own base).
        """
        files = _Files(self.connection, downloads, tuple(allow_files))
        version, origin = self.pick(model, candidate)
        place = self.place(version)
        before, before_origin, note = self._champion(model, champion, version)
        before_place = self.place(before) if before else None
        explicit = None if base == "auto" else files.locate_base(self, base)

        pinned = _pin("candidate", place, origin, files.at(place))
        claims = claims_of(self, version, pinned.files)
        if explicit is None:
            base_pin = find_base(self, claims, files, version.label)
        else:
            base_pin = _pin("base", explicit, "gate file", files.at(explicit))
        champion_pin: ModelPin | None = None
        if before and before_place:
            champion_pin = _pin("champion", before_place, before_origin, files.at(before_place))
            if champion_pin.version != pinned.version:
                theirs = claims_of(self, before, champion_pin.files)
                refuse_other_base(self, champion_pin, base_pin, claims, theirs, files)
        pins = Pins(pinned, base_pin, champion_pin, note)
        _refuse_own_base(pins)
        return pins

    def _champion(
        self, model: str, champion: str | None, candidate: RegisteredVersion
    ) -> tuple[RegisteredVersion | None, str, str]:
        """The champion to judge against, how it was found, and what to say if there is none."""
        if champion is None:
            return None, "", "no champion is asked for: judged against its base alone"
        spelling = parse_spelling(champion, model, "champion")
        if spelling.kind != "alias":
            return *self.pick(model, champion, "champion"), ""
        alias, number = spelling.value, self.alias_version(model, spelling.value)
        if number is None:
            return None, "", f"model {model} has no alias {alias!r} yet: judged against its base alone"
        intent = Intent.of(candidate)
        if number != candidate.version or intent is None or (intent.alias, intent.after) != (alias, number):
            return self.version(model, number), f"alias @{alias}", ""
        if intent.before is None:
            return None, "", f"model {model} had no alias {alias!r} before the interrupted run: judged against its base alone"
        try:
            return self.version(model, intent.before), "champion before the interrupted run", ""
        except NotInRegistry as error:
            raise RegistryError(
                Problem(
                    where=f"tag {INTENT_TAG!r} of {candidate.label}",
                    found=f"an interrupted run moved alias {alias!r} here from version {intent.before}, which is gone",
                    expected="the version it was judged against",
                    way_out="delete that tag to judge against what the alias points to now",
                )
            ) from error

    def _model(self, model: str):  # noqa: ANN202
        try:
            with self.connection.doing(f"read registered model {model!r}"):
                return self.connection.client.get_registered_model(model)
        except NotInRegistry as error:
            names = self._model_names()
            close = difflib.get_close_matches(model, names, n=3, cutoff=0.5)
            raise ConfigurationError(
                Problem(
                    where=f"model {model!r}",
                    found=f"the registry at {self.connection.label} has no registered model of that name",
                    expected=_listed("one of", names) if names else "a registered model; there are none",
                    way_out=f"did you mean {' or '.join(map(repr, close))}?"
                    if close
                    else "correct `model:` in the gate file, or set MLFLOW_TRACKING_URI to the registry that holds it",
                )
            ) from error
