"""The folder for temporary files, which a container with a read-only root may lack."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from .finding import Finding, fault, ok, warning
from .machine import GIB, LEAST_FREE

_WAY_OUT: Final = (
    "set TMPDIR to a folder that this account may write to; in a container with a read-only root mount one at /tmp, as "
    "`docker run --tmpfs /tmp` does"
)


def scratch_folder(free_of: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free) -> Finding:
    """Whether Python finds a folder for temporary files that is one. Looking writes a file and removes it, as any use
    of such a folder would; where no usual folder can be written to, Python takes the working folder."""
    name = "scratch"
    try:
        folder = Path(tempfile.gettempdir())
    except FileNotFoundError:
        return fault(name, "no folder for temporary files can be written to, nor can the working folder", _WAY_OUT)
    if folder == Path.cwd():
        return warning(name, f"no folder for temporary files can be written to: they go into {folder}", _WAY_OUT)
    free = free_of(folder)
    said = f"{folder}: {free / GIB:.1f} GiB free"
    if free < LEAST_FREE:
        return warning(name, f"{said}: too little for the files of a model in transit", f"make room, or {_WAY_OUT}")
    return ok(name, said)
