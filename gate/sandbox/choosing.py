"""Which sandbox a run uses, or why it has none.

    chosen = choose("auto")
    if isinstance(chosen, Unavailable): print(chosen.reason)

A backend is used only after it has contained every probe on this machine, in this process. Nothing that a user can set
takes the place of that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal

from .backends.bubblewrap import Bubblewrap
from .backends.containers import Containers
from .probes.self_test import self_test
from .protocol import Backend

Wanted = Literal["auto", "bwrap", "docker"]

_RESTRICTED: Final = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")

_WAYS: Final = (
    "three ways to get a sandbox: install bubblewrap 0.8 or newer (`apt-get install bubblewrap`); where it is and may "
    "make no user namespaces (Ubuntu from 24.04 on), allow that, by an AppArmor profile for /usr/bin/bwrap with "
    "`userns,` or by `sysctl kernel.apparmor_restrict_unprivileged_userns=0`; or have a Docker engine, the extra "
    "`docker`, and an image of Python given by its digest (docs/sandbox.md)"
)


@dataclass(frozen=True, slots=True)
class Unavailable:
    """There is no sandbox: what was tried, why each is not used, and the ways to get one."""

    reason: str


@lru_cache(maxsize=8)
def choose(wanted: Wanted = "auto", image: str | None = None) -> Backend | Unavailable:
    """The backend named, or with ``auto`` the first of bubblewrap and Docker, that contains every probe.

    ``image``: what Docker's containers are made of, ``name@sha256:...``. The answer holds for the life of this process.
    """
    backends: list[Backend] = []
    if wanted in ("auto", "bwrap"):
        backends.append(Bubblewrap())
    if wanted in ("auto", "docker"):
        backends.append(Containers(image))
    return first_that_contains(backends)


def first_that_contains(backends: Sequence[Backend]) -> Backend | Unavailable:
    """The first of ``backends`` whose self-test finds no breach."""
    refused: list[str] = []
    for backend in backends:
        why = _why_not(backend)
        if why is None:
            return backend
        refused.append(f"{backend.name}: {why}")
    return Unavailable(f"no sandbox here, so nothing was run ({'; '.join(refused)}); {_WAYS}")


def _why_not(backend: Backend) -> str | None:
    missing = backend.missing()
    if missing is not None:
        return missing
    try:
        tested = self_test(backend)
    except OSError as error:
        hint = ""
        if backend.name == "bwrap" and _RESTRICTED.exists() and _RESTRICTED.read_text(encoding="ascii").strip() == "1":
            hint = " (AppArmor restricts user namespaces here)"
        return f"it does not work here: {error}{hint}"
    if tested.breaches:
        got_out = ", ".join(f"{name} ({what})" for name, what in sorted(tested.breaches.items())[:5])
        return f"{len(tested.breaches)} of {len(tested.tried)} probes got out of it: {got_out}"
    return None
