"""Where on one machine the things are that compose.yaml speaks of.

places = Places(folder, services, ports, artifacts=folder / "artifacts")
places.said(services["mlflow"], services["mlflow"].command)     # paths, names and ports are this machine's

A path inside a container becomes one below ``folder``, or the file that is mounted there; the name of a service with
a port, and its own port by itself, become a port of 127.0.0.1. Nothing else is changed.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from compose_services import Service

STATE = "/var/lib/finetune-gate"
"""Where the image keeps what it writes."""

_OWN_NAMES = ("127.0.0.1", "localhost", "0.0.0.0")


@dataclass(frozen=True, slots=True)
class Places:
    """``beside``: the folder of compose.yaml. ``ports``: of this machine, by service and port inside. ``artifacts``: a
    folder that takes the place of every S3 address; None where there is an object store."""

    folder: Path
    beside: Path
    ports: Mapping[tuple[str, int], int]
    artifacts: Path | None

    def of(self, service: Service, inside: str) -> Path:
        """The file or folder that stands for the path ``inside``; volumes and scratch folders are made."""
        for mount in sorted(service.mounts, key=len, reverse=True):
            if inside == mount or inside.startswith(f"{mount}/"):
                return self._mounted(service.mounts[mount]) / inside[len(mount) :].lstrip("/")
        root = self.folder / "scratch" / service.name
        for scratch in (STATE, *service.scratch):
            (root / scratch.lstrip("/")).mkdir(parents=True, exist_ok=True)
        return root / inside.lstrip("/")

    def said(self, service: Service, texts: Iterable[str]) -> list[str]:
        """``texts`` of ``service``, as they have to be said on this machine."""
        paths = sorted({*service.mounts, *service.scratch, STATE}, key=len, reverse=True)
        path = re.compile(rf"(?<![\w.:/-])(?:{'|'.join(map(re.escape, paths))})(?=/|$|[\"',)])")
        return [self._ports(service, path.sub(lambda match: str(self.of(service, match[0])), text)) for text in texts]

    def _mounted(self, source: str) -> Path:
        if source.startswith((".", "/")):
            return (self.beside / source).resolve()
        volume = self.folder / "volumes" / source
        volume.mkdir(parents=True, exist_ok=True)
        return volume

    def _ports(self, service: Service, text: str) -> str:
        for (name, port), mapped in self.ports.items():
            own = name == service.name
            names = "|".join(map(re.escape, (name, *_OWN_NAMES) if own else (name,)))
            text = re.sub(rf"(?<![\w.-])(?:{names}):{port}(?!\d)", f"127.0.0.1:{mapped}", text)
            if own:
                text = re.sub(rf"^(--port=)?{port}$", rf"\g<1>{mapped}", text)
        text = re.sub(r"^(--host=)?0\.0\.0\.0$", r"\g<1>127.0.0.1", text)
        return text if self.artifacts is None else re.sub(r"(?<==)s3://[\w-]+$", str(self.artifacts), text)


def free_ports(count: int) -> list[int]:
    """Different ones, that nobody listened at a moment ago."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
