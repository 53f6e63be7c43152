"""What is planted around a sandbox for its probes to find: secrets, listeners, a process, a folder.

with Surroundings() as planted:
    settings = planted.told(limits)     # what the inside is told
    ...
    planted.reached()                   # what the outside saw come
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from ..protocol import Limits

_ORDINARY: Final = frozenset({"PATH", "HOME", "PWD", "LANG", "LC_ALL", "LC_CTYPE", "HOSTNAME", "TERM", "SHLVL", "USER"})
_TELLING: Final = 6
"""A shorter value may be in two environments by chance."""

_LONG: Final = 60
"""From here on a folder's path may leave too little of the 108 bytes that a socket's may have."""

_WAITS: Final = "read line"


class Surroundings:
    """Everything is gone again at the end of the ``with``. Raises OSError where it cannot be made."""

    def __init__(self) -> None:
        self._secret = secrets.token_hex(16)
        self._marker = f"probe-{secrets.token_hex(8)}"
        self._owned = contextlib.ExitStack()
        self._listening: dict[str, socket.socket] = {}
        self._settings: dict[str, str] = {}

    def __enter__(self) -> Self:
        self._owned.callback(self._end_lingering)
        try:
            self._plant_files()
            self._plant_listeners()
            self._plant_process()
        except BaseException:
            self._owned.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self._owned.close()

    @property
    def secret_file(self) -> Path:
        return self._folder / "secret"

    def told(self, limits: Limits, skip: frozenset[str] = frozenset()) -> dict[str, str]:
        """What the probes are told: where everything is, and ``limits``; ``skip`` names those that are not run."""
        return {
            **self._settings,
            "memory": str(limits.memory_bytes),
            "disk": str(limits.disk_bytes),
            "processes": str(limits.processes),
            "files": str(limits.open_files),
            "skip": " ".join(sorted(skip)),
        }

    def reached(self) -> dict[str, str]:
        """By the names of probes: what came to the outside, whatever the inside said of it."""
        found: dict[str, str] = {}
        for name, listener in self._listening.items():
            try:
                came = (
                    listener.recv(100)
                    if listener.type == socket.SOCK_DGRAM
                    else bool(listener.accept()[0].close() or 1)
                )
            except OSError:
                continue
            if came:
                found[name] = "the outside was reached"
        if self._process.poll() is not None:
            found["signal_to_the_outside"] = "a process outside was ended"
        if (self._open_folder / "written").exists():
            found["writing_outside"] = "a file was written outside"
        return found

    def lingering(self) -> list[int]:
        """The numbers of the processes that a probe has left behind."""
        left: list[int] = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if self._marker.encode() in (folder / "cmdline").read_bytes():
                    left.append(int(folder.name))
            except OSError:
                continue
        return left

    def _plant_files(self) -> None:
        near = tempfile.gettempdir()
        self._folder = Path(tempfile.mkdtemp(prefix="gate-probe-", dir=near if len(near) < _LONG else "/tmp"))
        self._owned.callback(shutil.rmtree, self._folder, ignore_errors=True)
        self._folder.chmod(0o755)
        self.secret_file.write_text(self._secret, encoding="ascii")
        self.secret_file.chmod(0o666)
        self._open_folder = self._folder / "open"
        self._open_folder.mkdir()
        self._open_folder.chmod(0o777)
        known = [
            hashlib.sha256(value.encode("utf-8", "surrogateescape")).hexdigest()
            for name, value in os.environ.items()
            if name not in _ORDINARY and len(value) >= _TELLING
        ]
        self._settings |= {
            "secret": self._secret,
            "marker": self._marker,
            "file": str(self.secret_file),
            "folder": str(self._folder),
            "open_folder": str(self._open_folder),
            "environment": " ".join(known),
            "host": os.uname().nodename,
        }

    def _plant_listeners(self) -> None:
        path, name, datagrams = (
            str(self._folder / "socket"),
            f"gate-{secrets.token_hex(8)}",
            f"gate-{secrets.token_hex(8)}",
        )
        self._listen("tcp", socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0))
        self._listen("udp", socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0))
        self._listen("unix_by_path", socket.AF_UNIX, socket.SOCK_STREAM, path)
        self._listen("unix_by_name", socket.AF_UNIX, socket.SOCK_STREAM, f"\0{name}")
        self._listen("unix_by_pair", socket.AF_UNIX, socket.SOCK_DGRAM, f"\0{datagrams}")
        with contextlib.suppress(OSError):  # a machine without IPv6
            self._listen("tcp_6", socket.AF_INET6, socket.SOCK_STREAM, ("::1", 0))
        Path(path).chmod(0o777)
        self._settings |= {"path": path, "name": name, "datagrams": datagrams}

    def _listen(self, name: str, family: int, kind: int, address: str | tuple[str, int]) -> None:
        made = self._owned.enter_context(socket.socket(family, kind))
        made.bind(address)
        made.setblocking(False)
        if kind == socket.SOCK_STREAM:
            made.listen(16)
        if family != socket.AF_UNIX:
            self._settings[name] = str(made.getsockname()[1])
        self._listening[name] = made

    def _plant_process(self) -> None:
        held = self._owned.enter_context(self.secret_file.open("rb"))
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", _WAITS, "sh", self._secret],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PROBE_SECRET": self._secret},
            cwd=self._folder,
            pass_fds=(held.fileno(),),
        )
        self._owned.callback(self._end_process)
        self._settings["process"] = str(self._process.pid)

    def _end_lingering(self) -> None:
        for process in self.lingering():
            with contextlib.suppress(OSError):
                os.kill(process, signal.SIGKILL)

    def _end_process(self) -> None:
        self._process.kill()
        self._process.communicate(timeout=5)
