"""What MLflow's registry says of a model: its newest version, what that is, what names its base, what serves.

Nothing is changed, and no weights are brought: of the version's files only the few small ones are read that say what it
is.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from finetune_gate.evaluators.errors import ConfigurationError, FinetuneGateError, Problem

from ..models.addresses import OPENAI, Servers
from ..models.declared import read_json
from ..models.manifest import list_files
from ..models.mlmodel import read_flavors, read_yaml
from ..models.openai_flavor import fine_tuned_from
from ..registry.artifacts import local_path
from ..registry.base_model import Claim, registry_claims
from ..registry.hub_cache import is_cached, is_hub_id
from ..registry.locating import locate
from ..registry.mlflow_client import plain
from ..registry.registered import RegisteredVersion
from ..registry.registry import Registry

Kind = Literal["transformers", "peft", "openai", "sklearn", "pyfunc", "unknown"]
_WORDS: Final[Mapping[Kind, str]] = {
    "transformers": "a transformers model",
    "peft": "a PEFT adapter",
    "openai": "a model behind OpenAI's API",
    "sklearn": "a scikit-learn model, which is Python code to MLflow",
    "pyfunc": "a Python function",
    "unknown": "of a kind that is not known yet",
}
_SMALL: Final = ("MLmodel", "model.yaml", "config.json", "adapter_config.json", "peft/adapter_config.json")
_MOST_BYTES: Final = 1 << 20
_CODE: Final = (
    "this version is Python code: the gate refuses it unless the gate file says `trust: code`. Then its author's code"
    " runs on the machine that gates it, in a process of its own and without the gate's environment, but as the same"
    " user: no sandbox. Write it only where everyone who can register versions of this model may run code there."
)


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """One model of a registry at ``address``. ``version`` is the newest, None where there are none. ``claims`` name its
    base, ``leads`` are those that lead to a model that is there."""

    address: str
    name: str
    version: str | None
    kind: Kind
    aliases: Mapping[str, str]
    stages: Mapping[str, str]
    claims: tuple[str, ...] = ()
    leads: tuple[str, ...] = ()
    note: str = ""

    @property
    def scores_tokens(self) -> bool:
        """Whether it gives log-probabilities, as far as is known."""
        return self.kind not in ("openai", "sklearn", "pyfunc")

    @property
    def found(self) -> str:
        if self.version is None:
            return f"no version of it is registered at {self.address} yet{self._noted}"
        return f"newest version at {self.address}: {self.version}, {_WORDS[self.kind]}{self._noted}"

    @property
    def _noted(self) -> str:
        return f" ({self.note})" if self.note else ""

    @property
    def base_note(self) -> str:
        if self.version is None:
            return ""
        if self.leads:
            return f"found: {'; '.join(self.leads)}"
        if self.claims:
            return f"NAME IT HERE: what names it leads nowhere on this machine: {'; '.join(self.claims)}"
        return "NAME IT HERE: nothing says what this version was fine-tuned from, so a run would stop and ask"

    @property
    def champion_note(self) -> str:
        serves = self.aliases.get("champion")
        others = ", ".join(f"@{alias} (version {number})" for alias, number in sorted(self.aliases.items()))
        if serves is not None:
            return f"now version {serves}"
        beside = f"; there are {others}: name the one that serves, here and under promotion" if others else ""
        return f"no alias champion yet: the first model is judged by its base alone{beside}"

    @property
    def stages_note(self) -> str:
        if not self.stages:
            return ""
        used = ", ".join(f"version {number} in {stage}" for number, stage in self.stages.items())
        return f"stages are in use ({used}): `stage: Production` beside the alias moves that too, see docs/promotion.md"

    @property
    def runs_code(self) -> str:
        return _CODE if self.kind in ("sklearn", "pyfunc") else ""


def look_at_registry(tracking_uri: str | None, model: str | None) -> RegisteredModel:
    """The registered ``model``, or the only one that there is; ``tracking_uri`` as for `Registry.connect`.

    Raises RegistryError where nobody answers, ConfigurationError where the model cannot be told.
    """
    registry = Registry.connect(tracking_uri)
    address = registry.public_address()
    name = model or _only(registry, address)
    aliases = registry.aliases(name, "--model")
    versions = registry.versions(name)
    stages = {one.version: one.stage for one in versions if one.stage in ("Staging", "Production")}
    if not versions:
        return RegisteredModel(address, name, None, "unknown", aliases, stages)
    newest = versions[-1]
    try:
        kind, own = _look_inside(registry, newest)
    except (FinetuneGateError, OSError) as error:
        why = error.problems[0].found if isinstance(error, FinetuneGateError) else error.strerror or "unreadable"
        note = f"its files could not be read: {plain(why)}"
        return RegisteredModel(address, name, newest.version, "unknown", aliases, stages, note=note)
    claims = [*registry_claims(registry, newest), *own]
    leads = [claim for claim in claims if _leads_somewhere(registry, claim)]
    return RegisteredModel(
        address, name, newest.version, kind, aliases, stages, tuple(map(str, claims)), tuple(map(str, leads))
    )


def _only(registry: Registry, address: str) -> str:
    names = registry.model_names()
    if len(names) == 1:
        return names[0]
    found = f"has {len(names)} registered models: {', '.join(map(repr, names[:10]))}" if names else "has no models"
    way_out = "--model NAME" if names else "--model NAME for one that will be; or set MLFLOW_TRACKING_URI"
    raise ConfigurationError(Problem(f"MLflow at {address}", plain(found), "one, or the name of one", way_out))


def _look_inside(registry: Registry, version: RegisteredVersion) -> tuple[Kind, Sequence[Claim]]:
    """What it is, and what its own files say of its base."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        _bring_small(registry, registry.place(version).address, folder)
        flavors = read_flavors(list_files(folder))
        for adapter in ("adapter_config.json", "peft/adapter_config.json"):
            if (folder / adapter).is_file():
                return "peft", _claims(read_json(folder / adapter).get("base_model_name_or_path"))
        if "transformers" in flavors:
            return "transformers", _claims(flavors["transformers"].get("source_model_name"))
        if "openai" in flavors:
            base = fine_tuned_from(_name_at_api(folder))
            return "openai", _claims(f"{OPENAI}:/{base}" if base else None)
        if "python_function" in flavors:
            return ("sklearn" if "sklearn" in flavors else "pyfunc"), ()
        if (folder / "config.json").is_file():
            return "transformers", _claims(read_json(folder / "config.json").get("_name_or_path"))
        return "unknown", ()


def _name_at_api(folder: Path) -> str:
    """ "" where it is not in the file that MLflow writes."""
    manifest = list_files(folder)
    return str(read_yaml(manifest, "model.yaml").get("model", "")) if "model.yaml" in manifest.files else ""


def _claims(text: object) -> tuple[Claim, ...]:
    return (Claim("the model's own files", text),) if isinstance(text, str) and text.strip() else ()


def _bring_small(registry: Registry, address: str, into: Path) -> None:
    """The files of `_SMALL` that there are. Links are left where they are: they may lead anywhere."""
    local, listed = local_path(address), dict[str, set[str]]()
    for name in _SMALL:
        folder = name.rpartition("/")[0]
        target = into / name
        if local is not None:
            source = local / name
            if source.is_file() and not source.is_symlink() and source.stat().st_size <= _MOST_BYTES:
                target.parent.mkdir(exist_ok=True)
                shutil.copyfile(source, target)
            continue
        if folder and folder not in listed[""]:
            continue
        if folder not in listed:
            listed[folder] = _names_at(registry, f"{address.rstrip('/')}/{folder}".rstrip("/"))
        if target.name in listed[folder]:
            target.parent.mkdir(exist_ok=True)
            fetched = registry.connection.download_artifacts(f"{address.rstrip('/')}/{name}", into / "fetched")
            shutil.move(fetched, target)
    shutil.rmtree(into / "fetched", ignore_errors=True)


def _names_at(registry: Registry, uri: str) -> set[str]:
    found = registry.connection.list_artifacts(uri)
    return {one.path.rpartition("/")[2] for one in found if (one.file_size or 0) <= _MOST_BYTES}


def _leads_somewhere(registry: Registry, claim: Claim) -> bool:
    if is_hub_id(claim.text):  # `locate` would link its files
        return is_cached(claim.text)
    try:
        locate(registry, claim.text, Path(tempfile.gettempdir()), Servers(), foreign=True)
    except FinetuneGateError:
        return False
    return True
