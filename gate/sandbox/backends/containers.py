"""Sandboxes that are containers of a Docker engine, each used once.

    Containers("python@sha256:...").start(PROGRAM, Limits())

The image is given by its digest, is on the machine already (nothing is pulled), and needs nothing but Python 3.9 or
newer as ``python3``. Where the engine has gVisor's runtime (``runsc``), containers run on that kernel instead of the
machine's. Needs the extra ``docker``.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import platform
import re
import socket
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from ..protocol import Cell, Ending, Limits
from .cells import Channel, PipedCell
from .interpreters import UNPRIVILEGED
from .launching import ENVIRONMENT, LAUNCHER, OPTIONS, settings_text
from .seccomp import filter_for

if TYPE_CHECKING:
    from docker.models.containers import Container

    from docker import DockerClient

_DIGEST: Final = re.compile(r"[a-z0-9][a-z0-9._/:-]{0,200}@sha256:[0-9a-f]{64}|sha256:[0-9a-f]{64}")
_GVISOR: Final = "runsc"
_UNIX: Final = "unix://"
_ANSWER_SECONDS: Final = 20
_LONGEST_ANSWER: Final = 4096
_LABEL: Final = "finetune-gate.sandbox"
_FILES: Final = 8192
_HEADER: Final = 8
_STANDARD_OUTPUT: Final = 1

_OWN_PROCESSES: Final = 1
"""The first process, which collects the ended ones."""


class Containers:
    """Backend ``docker``. ``image``: ``name@sha256:...`` or an image's own ``sha256:...``."""

    def __init__(self, image: str | None) -> None:
        self._image = image
        self._gvisor: bool | None = None

    @property
    def name(self) -> str:
        return "docker"

    def missing(self) -> str | None:
        if importlib.util.find_spec("docker") is None:
            return "the extra `docker` is not installed"
        if self._image is None:
            return "no image is given"
        if _DIGEST.fullmatch(self._image) is None:
            return f"the image {self._image!r} is not given by its digest (name@sha256:...)"
        return _no_engine(_engine_address())

    def start(self, program: str, limits: Limits) -> Cell:
        missing = self.missing()
        if missing is not None or self._image is None:
            raise OSError(missing)
        from docker.errors import DockerException
        from requests.exceptions import RequestException

        from docker import DockerClient

        # A client for each: it keeps connections open, more with each question, until it is closed.
        try:
            client = DockerClient.from_env(timeout=_ANSWER_SECONDS)
        except DockerException as error:
            raise OSError(f"docker: {error}") from error
        try:
            options = container_options(limits, self._has_gvisor(client))
            container = client.containers.create(self._image, **options)
        except (DockerException, RequestException) as error:
            client.close()
            raise OSError(f"docker: {error}") from error
        contained = _Running(client, container)
        try:
            stream = _attached(str(container.id))
        except OSError as error:
            contained.end(0.0)
            raise OSError(f"docker: {error}") from error
        descriptor = stream.detach()
        cell = PipedCell(Channel(descriptor, descriptor, limits.message_bytes, Demultiplexed()), contained)
        try:
            container.start()
            cell.launch(launch_settings(limits), program)
        except (DockerException, RequestException, OSError) as error:
            cell.close()
            raise OSError(f"docker: {error}") from error
        contained.launched = True
        return cell

    def _has_gvisor(self, client: DockerClient) -> bool:
        if self._gvisor is None:
            self._gvisor = _GVISOR in client.info().get("Runtimes", {})  # pyright: ignore[reportUnknownMemberType]  # untyped
        return self._gvisor


def container_options(limits: Limits, gvisor: bool) -> dict[str, Any]:
    """What ``docker.containers.create`` is given besides the image. No part of the machine is in it: no folder, no
    variable, no network, no right."""
    from docker.types import LogConfig, Ulimit

    def ulimit(name: str, value: int) -> Ulimit:
        return Ulimit(name=name, soft=value, hard=value)

    owner = f"uid={UNPRIVILEGED},gid={UNPRIVILEGED}"
    options: dict[str, Any] = {
        "entrypoint": ["python3"],
        "command": [*OPTIONS, "-c", LAUNCHER],
        "stdin_open": True,
        "network_mode": "none",
        "user": f"{UNPRIVILEGED}:{UNPRIVILEGED}",
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "read_only": True,
        # An owner as well as a mode: some engines set the mode that the folder has in the image.
        "tmpfs": {"/tmp": f"rw,noexec,nosuid,nodev,size={limits.disk_bytes},nr_inodes={_FILES},mode=1777,{owner}"},
        "working_dir": "/tmp",
        "mem_limit": limits.memory_bytes + limits.disk_bytes,
        "memswap_limit": limits.memory_bytes + limits.disk_bytes,
        "pids_limit": limits.processes + _OWN_PROCESSES,
        "nano_cpus": 10**9,
        "ipc_mode": "none",
        "environment": dict(ENVIRONMENT),
        "ulimits": [
            ulimit("nofile", limits.open_files),
            ulimit("fsize", limits.disk_bytes),
            ulimit("core", 0),
            ulimit("msgqueue", 0),  # the engine mounts them, and they hold memory of the kernel
        ],
        "log_config": LogConfig(type="none"),
        "hostname": "sandbox",
        "oom_score_adj": 1000,
        "labels": {_LABEL: ""},
    }
    if gvisor:
        options["runtime"] = _GVISOR
    return options


def launch_settings(limits: Limits) -> bytes:
    """What the launcher sets inside. The filter of system calls comes on top of the engine's own."""
    return settings_text(limits, filter=filter_for(platform.machine()).hex())


class _Running:
    """One container, until it is removed."""

    def __init__(self, client: DockerClient, container: Container) -> None:
        self._client = client
        self._container = container
        self._ending: Ending | None = None
        self.launched = False

    def too_much(self) -> bool:
        return False  # the engine's control group counts, and ends it

    def end(self, patience: float) -> Ending:
        if self._ending is None:
            from docker.errors import DockerException
            from requests.exceptions import RequestException

            try:
                self._ending = self._ended(patience)
            except (DockerException, RequestException):
                self._ending = "sandbox_error"
            with contextlib.suppress(DockerException, RequestException):
                self._container.remove(force=True)
            self._client.close()
        return self._ending

    def _ended(self, patience: float) -> Ending:
        until = time.monotonic() + patience
        while True:
            self._container.reload()
            state = cast("dict[str, Any]", self._container.attrs["State"])
            if not state["Running"] or time.monotonic() >= until:
                break
            time.sleep(0.02)
        if not self.launched:
            return "sandbox_error"
        if state["OOMKilled"]:
            return "out_of_memory"
        if state["Running"]:
            return "running"
        return "killed" if int(state["ExitCode"]) > 128 else "exited"


class Demultiplexed:
    """Standard output out of a stream of frames: one byte says which stream, three are zero, four give the length."""

    def __init__(self) -> None:
        self._left = 0
        self._wanted = False
        self._header = bytearray()

    def __call__(self, part: bytes) -> bytes:
        kept = bytearray()
        while part:
            if self._left:
                piece, part = part[: self._left], part[self._left :]
                self._left -= len(piece)
                if self._wanted:
                    kept += piece
                continue
            missing = _HEADER - len(self._header)
            self._header += part[:missing]
            part = part[missing:]
            if len(self._header) == _HEADER:
                self._wanted = self._header[0] == _STANDARD_OUTPUT
                self._left = int.from_bytes(self._header[4:], "big")
                self._header.clear()
        return bytes(kept)


def _attached(container: str) -> socket.socket:
    """The container's standard input and output, as one stream. The SDK's own way gives a connection away that it keeps
    in its pool, and asks its next question there."""
    stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        stream.settimeout(_ANSWER_SECONDS)
        stream.connect(_engine_address().removeprefix(_UNIX))
        stream.sendall(
            f"POST /containers/{container}/attach?stream=1&stdin=1&stdout=1 HTTP/1.1\r\n"
            "Host: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n".encode("ascii")
        )
        answer = b""
        while not answer.endswith(b"\r\n\r\n") and len(answer) < _LONGEST_ANSWER:
            byte = stream.recv(1)  # not one further: what follows is the program's
            if not byte:
                break
            answer += byte
        if not answer.startswith((b"HTTP/1.1 101 ", b"HTTP/1.1 200 ")):
            raise OSError(f"the engine does not give its streams: {answer[:100]!r}")
    except BaseException:
        stream.close()
        raise
    return stream


def _engine_address() -> str:
    return os.environ.get("DOCKER_HOST", f"{_UNIX}/var/run/docker.sock")


def _no_engine(address: str) -> str | None:
    """Why no engine answers at ``address``, found within a quarter of a second."""
    if not address.startswith(_UNIX):
        return f"the engine at {address.partition('://')[0]}://... is not on a socket of this machine"
    path = Path(address.removeprefix(_UNIX))
    try:
        if not stat.S_ISSOCK(path.stat().st_mode):
            return f"{path} is no socket"
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as made:
            made.settimeout(0.25)
            made.connect(str(path))
    except OSError as error:
        return f"no Docker engine at {path}: {error.strerror or error}"
    return None
