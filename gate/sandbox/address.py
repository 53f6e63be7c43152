"""Addresses of sandboxes: ``sandbox:auto``, ``sandbox:bwrap``, ``sandbox:docker/python@sha256:...``. An image may
follow ``auto`` too, for where the choice falls on Docker.

    sandbox_at("sandbox:bwrap")     # Sandbox(backend="bwrap", image=None, ...)
    sandbox_at("models:/judge/3")   # None: an address of another kind

No sandbox is looked for, or started: that is for the first program.
"""

from __future__ import annotations

import os
import re
from typing import Final

from finetune_gate.evaluators.errors import ConfigurationError, Problem

from ..pins import Sandbox

_IMAGE: Final = r"[A-Za-z0-9][\w./:-]{0,254}@sha256:[0-9a-f]{64}"
_ADDRESS: Final = re.compile(rf"sandbox:(auto|bwrap|docker)(?:/({_IMAGE}))?", re.ASCII)
_EXPECTED: Final = "sandbox:auto, sandbox:bwrap, or sandbox:docker/IMAGE@sha256:DIGEST"


def sandbox_at(text: str) -> Sandbox | None:
    """The sandbox at ``text``, None where that is no address of one. Raises ConfigurationError for one that is written
    wrongly."""
    if not text.startswith("sandbox:"):
        return None
    from .trials.executing import VERSION

    found = _ADDRESS.fullmatch(text)
    backend, image = found.groups() if found else (None, None)
    match backend:
        case "auto":
            return Sandbox("auto", image, VERSION, _python())
        case "bwrap" if image is None:
            return Sandbox("bwrap", None, VERSION, _python())
        case "docker" if image is not None:
            return Sandbox("docker", image, VERSION, "of the image")
        case _:
            raise ConfigurationError(Problem(f"judge {text[:300]!a}", "that is no sandbox's address", _EXPECTED))


def _python() -> str:
    """The version of the Python that programs are run by where they are run on this machine itself."""
    from .backends.interpreters import interpreter_for

    found = interpreter_for(hasattr(os, "geteuid") and os.geteuid() == 0)
    return found.version if found else "none"
