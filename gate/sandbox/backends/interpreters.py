"""Which Python a sandbox gets, and which of its files.

Only what an interpreter needs to start and to import the standard library: no programs, no installed packages, no
settings of the machine. Where everything else of a machine lies (a project, its data, its keys) is never bound.
"""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from .launching import OPTIONS

UNPRIVILEGED: Final = 65534
"""The user and group that a sandbox runs as: nobody's."""

_SYSTEM_LIBRARIES: Final = ("/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib64")
_INSIDE: Final = "/python"
_OLDEST: Final = (3, 9)
_ASK: Final = (
    "import os, sys, sysconfig; print(*sys.version_info[:2], os.path.realpath(sys.executable), sys.base_prefix, "
    "sysconfig.get_path('stdlib'), sep='\\n')"
)


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python on this machine: ``version`` such as ``3.11``, its program, its prefix, and its standard library."""

    version: str
    program: Path
    prefix: Path
    library: Path

    def binds(self) -> list[str]:
        """Arguments of bubblewrap that put it at ``/python``, read-only, with the system's shared libraries."""
        inside = f"{_INSIDE}/lib/python{self.version}"
        arguments: list[str] = []
        for folder in map(Path, _SYSTEM_LIBRARIES):
            if folder.is_symlink():
                arguments += ["--symlink", os.readlink(folder), str(folder)]
            elif folder.is_dir():
                arguments += ["--ro-bind", str(folder), str(folder)]
        arguments += ["--ro-bind", str(self.program), f"{_INSIDE}/bin/python{self.version}"]
        if self.prefix == Path("/usr"):
            arguments += ["--ro-bind", str(self.library), inside]
        else:
            # Libraries of its own lie beside the standard library (conda, images of Python, pyenv --enable-shared).
            arguments += ["--ro-bind", str(self.prefix / "lib"), f"{_INSIDE}/lib"]
        for packages in ("site-packages", "dist-packages"):
            if (self.library / packages).is_dir():
                hidden = f"{inside}/{packages}"
                arguments += ["--size", "4096", "--tmpfs", hidden, "--remount-ro", hidden]
        return [*arguments, "--ro-bind-try", "/usr/share/zoneinfo", "/usr/share/zoneinfo"]

    def command(self) -> list[str]:
        return [f"{_INSIDE}/bin/python{self.version}", *OPTIONS]


@lru_cache(maxsize=2)
def interpreter_for(unprivileged: bool) -> Interpreter | None:
    """The running Python where the sandbox's user can read it, else one of the system's, the same version first; None
    where there is none. ``unprivileged``: whether that user is nobody rather than who runs this."""
    own = Path(getattr(sys, "_base_executable", "") or sys.executable)
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    elsewhere = [
        Path(folder) / f"python{suffix}" for suffix in (version, "3") for folder in ("/usr/bin", "/usr/local/bin")
    ]
    for program in (own, *elsewhere):
        found = _asked(program)
        if found is not None and all(
            not unprivileged or _readable_by_others(path) for path in (found.program, found.prefix, found.library)
        ):
            return found
    return None


def _asked(program: Path) -> Interpreter | None:
    try:
        said = subprocess.run(
            [program, "-I", "-S", "-c", _ASK], capture_output=True, text=True, timeout=10, env={}, check=True
        ).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        return None
    if (int(said[0]), int(said[1])) < _OLDEST:
        return None
    return Interpreter(f"{said[0]}.{said[1]}", Path(said[2]), Path(said[3]), Path(said[4]))


def _readable_by_others(path: Path) -> bool:
    needed = stat.S_IXOTH
    return all(folder.stat().st_mode & needed for folder in path.resolve().parents) and os.access(path, os.R_OK)
