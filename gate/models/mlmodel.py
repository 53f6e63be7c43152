"""MLflow's ``MLmodel`` and the small YAML files beside it, read as data: which flavors a version was logged with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from finetune_gate.evaluators.errors import ModelFilesError, Problem

from .manifest import Manifest, shown

_MAX_BYTES = 1 << 20

Json = Mapping[str, object]


def read_flavors(manifest: Manifest) -> Mapping[str, Json]:
    """The sections of a root ``MLmodel`` by flavor; empty where there is none. Raises ModelFilesError."""
    if "MLmodel" not in manifest.files:
        return {}
    return {name: mapping(section) for name, section in mapping(read_yaml(manifest, "MLmodel").get("flavors")).items()}


def read_yaml(manifest: Manifest, name: str) -> Json:
    """A YAML mapping of at most 1 MiB, without tags that make objects. Raises ModelFilesError."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    path = manifest.root / name
    if manifest.files[name] > _MAX_BYTES:
        raise ModelFilesError(Problem(str(path), "is larger than 1 MiB"))
    try:
        document = cast("object", YAML(typ="safe", pure=True).load(path.read_text("utf-8")))  # pyright: ignore[reportUnknownMemberType]  -- ruamel is untyped
    except (YAMLError, ValueError, RecursionError) as error:
        raise ModelFilesError(Problem(str(path), f"is not valid YAML: {shown(str(error))}")) from error
    return mapping(document)


def mapping(value: object) -> Json:
    """``value`` with text for keys, empty where it is no mapping."""
    if not isinstance(value, dict):
        return {}
    return {str(key): found for key, found in cast("dict[object, object]", value).items()}
