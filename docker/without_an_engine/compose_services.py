"""What compose.yaml declares, read into plain data for those who start it without an engine.

services = read_services(Path("docker/compose.yaml"), {})
services["mlflow"].command, services["mlflow"].needs
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from ruamel.yaml import YAML

OURS = "finetune-gate"
"""The image that is built here; all others are somebody else's programs."""

Condition = Literal["service_started", "service_healthy", "service_completed_successfully"]

_VARIABLE = re.compile(r"\$\$|\$\{(?P<name>\w+)(?:(?P<how>:?[-?])(?P<word>[^{}]*))?\}")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class Health:
    """A service is healthy when ``command`` ends with 0 within ``timeout_s``."""

    command: tuple[str, ...]
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Service:
    """``mounts``: by path inside, the name of a volume, or a path beside compose.yaml, secrets and configs too.
    ``scratch``: paths inside that are empty at every start. ``needs``: by service, what it waits for. ``ends``: it is
    done when it has ended, and is no server."""

    name: str
    image: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    health: Health | None
    needs: Mapping[str, Condition]
    mounts: Mapping[str, str]
    scratch: tuple[str, ...]
    ports: tuple[int, ...]
    profiles: tuple[str, ...]
    working_dir: str | None
    ends: bool
    stop_s: float

    @property
    def ours(self) -> bool:
        return self.image.partition(":")[0] == OURS


def read_compose(path: Path, environment: Mapping[str, str]) -> dict[str, Any]:
    """The file with its variables put in and its merges done. Raises ValueError for a variable that must be set."""
    return _filled(YAML(typ="safe").load(path.read_text(encoding="utf-8")), environment)


def read_services(path: Path, environment: Mapping[str, str]) -> dict[str, Service]:
    """``environment`` holds what compose takes from ``.env`` or the shell."""
    found = read_compose(path, environment)
    files = {kind: {name: one["file"] for name, one in found.get(kind, {}).items()} for kind in ("secrets", "configs")}
    return {name: _service(name, one, files) for name, one in found["services"].items()}


def seconds(text: str) -> float:
    """``1m30s``, as compose writes durations."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is no duration such as 1m30s")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def _service(name: str, one: dict[str, Any], files: Mapping[str, Mapping[str, str]]) -> Service:
    mounts: dict[str, str] = {}
    for volume in one.get("volumes", []):
        source, inside = volume.split(":")[:2]
        mounts[inside] = source
    for secret in one.get("secrets", []):
        mounts[f"/run/secrets/{secret}"] = files["secrets"][secret]
    for config in one.get("configs", []):
        mounts[config["target"]] = files["configs"][config["source"]]
    check = one.get("healthcheck", {})
    test = list(check.get("test", []))
    return Service(
        name=name,
        image=one["image"],
        command=tuple(one.get("command", ())),
        environment={key: str(value) for key, value in one.get("environment", {}).items()},
        health=Health(tuple(test[1:]), seconds(check["timeout"])) if test[:1] == ["CMD"] else None,
        needs={other: how["condition"] for other, how in one.get("depends_on", {}).items()},
        mounts=mounts,
        scratch=tuple(where.partition(":")[0] for where in one.get("tmpfs", [])),
        ports=tuple(int(port) for port in one.get("expose", [])),
        profiles=tuple(one.get("profiles", ())),
        working_dir=one.get("working_dir"),
        ends=not str(one.get("restart", "no")).startswith(("always", "unless-stopped")),
        stop_s=seconds(one.get("stop_grace_period", "10s")),
    )


def _filled(value: Any, environment: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(one, environment) for key, one in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_filled(one, environment) for one in cast("list[Any]", value)]
    return _VARIABLE.sub(lambda match: _of(match, environment), value) if isinstance(value, str) else value


def _of(match: re.Match[str], environment: Mapping[str, str]) -> str:
    name, how, word = match["name"], match["how"] or "", match["word"] or ""
    if name is None:
        return "$"
    value = environment.get(name)
    if value is None or (not value and how.startswith(":")):
        if how.endswith("?"):
            raise ValueError(f"{name} must be set: {word}")
        return word
    return value
