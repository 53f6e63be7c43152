"""Sandboxes of Linux namespaces, made by bubblewrap (https://github.com/containers/bubblewrap, 0.8 or newer).

    with Bubblewrap().start(PROGRAM, Limits()) as cell:
        cell.send(b"...", time.monotonic() + 5)

Inside there is an empty environment, no network, no /proc, no device but the harmless ones, a standard library, one
folder in memory to write in, and a filter of system calls. Nothing outside it is owned by its user: where the gate runs
as root, a sandbox is started as nobody, since limits do not bind root.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import select
import shutil
import signal
import subprocess
import sys
from typing import Final

from ..protocol import Cell, Ending, Limits
from .cells import Channel, PipedCell
from .interpreters import UNPRIVILEGED, Interpreter, interpreter_for
from .launching import ENVIRONMENT, LAUNCHER, settings_text
from .process_tree import ProcessTree
from .seccomp import filter_for

_DEVICES: Final = ("null", "zero", "full", "random", "urandom")
_FILES: Final = 8192
"""Files and folders in /tmp: each takes about a kilobyte of the kernel's memory, which no size limits."""

_MARGIN_BYTES: Final = 16 << 20
"""What all together may hold beyond what one may: so that one process alone is told by its own limit."""

_GONE_SECONDS: Final = 5.0
_COMPLAINT_BYTES: Final = 2000

_OWN_PROCESSES: Final = 1
"""The first process of the namespace, which is bubblewrap's."""


class Bubblewrap:
    """Backend ``bwrap``. A cell lives no longer than the thread that started it: the kernel ends a sandbox with the
    thread it came from, so that none is left where a gate is ended."""

    @property
    def name(self) -> str:
        return "bwrap"

    def missing(self) -> str | None:
        if not sys.platform.startswith("linux"):
            return "bubblewrap works on Linux only"
        if shutil.which("bwrap") is None:
            return "the program bwrap is not installed"
        try:
            filter_for(platform.machine())
        except OSError as error:
            return str(error)
        if interpreter_for(_as_root()) is None:
            return "no Python here can be read by the user nobody, whom a sandbox runs as where the gate runs as root"
        return None

    def start(self, program: str, limits: Limits) -> Cell:
        missing = self.missing()
        interpreter = interpreter_for(_as_root())
        if missing is not None or interpreter is None:
            raise OSError(missing)
        to_inside, from_inside, complaints, status = os.pipe(), os.pipe(), os.pipe(), os.pipe()
        calls = os.memfd_create("filter")
        os.write(calls, filter_for(platform.machine()))
        os.lseek(calls, 0, os.SEEK_SET)
        nobody = UNPRIVILEGED if _as_root() else None
        try:
            process = subprocess.Popen(
                _command(interpreter, limits, calls, status[1]),
                stdin=to_inside[0],
                stdout=from_inside[1],
                stderr=complaints[1],
                env={"PATH": "/usr/bin:/bin"},
                cwd="/",
                pass_fds=(calls, status[1]),
                user=nobody,
                group=nobody,
                extra_groups=[] if nobody is not None else None,
            )
        except BaseException:
            for descriptor in (to_inside[1], from_inside[0], complaints[0], status[0]):
                os.close(descriptor)
            raise
        finally:
            for descriptor in (to_inside[0], from_inside[1], complaints[1], status[1], calls):
                os.close(descriptor)
        contained = _Wrapped(process, status[0], complaints[0], limits)
        cell = PipedCell(Channel(from_inside[0], to_inside[1], limits.message_bytes), contained)
        try:
            cell.launch(settings_text(limits, nproc=limits.processes + _OWN_PROCESSES), program)
        except OSError as error:
            cell.close()
            raise OSError(f"bubblewrap: {contained.complaint() or error}") from error
        contained.launched()
        return cell


class _Wrapped:
    """A running bubblewrap, and what it started."""

    def __init__(self, process: subprocess.Popen[bytes], status: int, complaints: int, limits: Limits) -> None:
        self._process = process
        self._status = status
        self._complaints = complaints
        self._complaint = ""
        self._ending: Ending | None = None
        self._tree = ProcessTree(process.pid)
        self._memory_bytes = limits.memory_bytes + _MARGIN_BYTES
        self._launched = False
        self._folder: int | None = None

    def launched(self) -> None:
        self._launched = True
        self._folder = self._tree.folder("/tmp")
        self._tree.first_to_go()

    def complaint(self) -> str:
        """What bubblewrap itself said, after the end."""
        return self._complaint

    def too_much(self) -> bool:
        if self._ending is not None or self._tree.memory_bytes(self._memory_bytes) > self._memory_bytes:
            return self._ending is None
        if self._folder is None:
            return False
        held = os.fstatvfs(self._folder)
        return held.f_files - held.f_ffree > _FILES

    def end(self, patience: float) -> Ending:
        if self._ending is not None:
            return self._ending
        by_itself = _ended_within(self._process, patience)
        gone = by_itself or self._kill()
        os.set_blocking(self._complaints, False)
        try:
            self._complaint = os.read(self._complaints, _COMPLAINT_BYTES).decode("utf-8", "replace").strip()
        except OSError:
            self._complaint = ""
        for descriptor in (self._complaints, self._status, self._folder):
            if descriptor is not None:
                os.close(descriptor)
        if not self._launched or not gone:
            self._ending = "sandbox_error"
        elif not by_itself:
            self._ending = "running"
        else:
            self._ending = "killed" if self._process.returncode < 0 or self._process.returncode > 128 else "exited"
        return self._ending

    def _kill(self) -> bool:
        """End the first process of the namespace: the kernel ends all others, and bubblewrap then ends by itself, after
        the last of them. Whether they are gone."""
        first = self._first_process()
        if first is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(first, signal.SIGKILL)
            if _ended_within(self._process, _GONE_SECONDS):
                return True
        self._process.kill()
        return _ended_within(self._process, _GONE_SECONDS)

    def _first_process(self) -> int | None:
        # bubblewrap has not collected it while bubblewrap itself runs, so that the number cannot be another's by now.
        os.set_blocking(self._status, False)
        try:
            said = os.read(self._status, 4096).split(b"\n")[0]
            return int(json.loads(said)["child-pid"])
        except (OSError, ValueError, KeyError):
            return None


def _ended_within(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """As ``wait`` with a limit, which looks only every now and then where this is told at once."""
    if process.poll() is None and seconds > 0:
        handle = os.pidfd_open(process.pid)
        try:
            poll = select.poll()
            poll.register(handle, select.POLLIN)
            poll.poll(1000 * seconds)
        finally:
            os.close(handle)
    return process.poll() is not None


def _as_root() -> bool:
    return os.geteuid() == 0


def _command(interpreter: Interpreter, limits: Limits, calls: int, status: int) -> list[str]:
    devices = [argument for name in _DEVICES for argument in ("--dev-bind", f"/dev/{name}", f"/dev/{name}")]
    return [
        str(shutil.which("bwrap")),
        "--unshare-all",
        "--unshare-user",
        "--disable-userns",
        "--die-with-parent",
        "--new-session",
        *("--cap-drop", "ALL"),
        *("--uid", str(UNPRIVILEGED), "--gid", str(UNPRIVILEGED)),
        *("--hostname", "sandbox"),
        "--clearenv",
        *("--setenv", "HOME", "/tmp", "--setenv", "LD_LIBRARY_PATH", "/python/lib"),
        *(argument for setting in ENVIRONMENT.items() for argument in ("--setenv", *setting)),
        *interpreter.binds(),
        *devices,
        *("--size", str(limits.disk_bytes), "--tmpfs", "/tmp"),
        *("--symlink", "/tmp", "/dev/shm"),
        *("--remount-ro", "/"),
        *("--chdir", "/tmp"),
        *("--seccomp", str(calls)),
        *("--json-status-fd", str(status)),
        "--",
        *interpreter.command(),
        "-c",
        LAUNCHER,
    ]
