"""This machine: Python, packages, the folder where answers are kept, and, if asked for, what computes."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Callable, Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Final

from ..answers import STORE_FILE, StoreLimits
from .finding import Finding, fault, ok, skipped, warning

PROJECT: Final = "finetune-gate"
GIB: Final = 1 << 30
LEAST_FREE: Final = 100 << 20
"""Bytes: with less, a run soon cannot keep what it computed."""

LITTLE_FREE: Final = 2 * GIB
"""Bytes: with less, the files of one more model may not fit."""

VersionOf = Callable[[str], str | None]
"""The installed version of a package, None where it is not installed."""


def installed(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def python_and_packages(version_of: VersionOf = installed) -> Iterator[Finding]:
    """Whether Python and every package that this project requires are of a version that it works with."""
    try:
        wanted = metadata.metadata(PROJECT)["Requires-Python"]
        requirements = metadata.requires(PROJECT) or []
    except metadata.PackageNotFoundError:
        yield skipped("packages", "finetune-gate is not installed as a package, so what it needs is not known")
        return
    yield python_version(wanted, platform.python_version())
    yield from package_versions(requirements, version_of)


def python_version(wanted: str, found: str) -> Finding:
    from packaging.specifiers import SpecifierSet

    if SpecifierSet(wanted).contains(found, prereleases=True):
        return ok("python", found)
    return fault("python", f"{found}, and {wanted} is needed", "make the environment with a Python of that range")


def package_versions(requirements: Iterable[str], version_of: VersionOf) -> Iterator[Finding]:
    """One finding for FastAPI, one for every other package that is missing or of a wrong version, one for the rest."""
    from packaging.requirements import Requirement

    right = 0
    for requirement in map(Requirement, requirements):
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        found = version_of(requirement.name)
        fits = found is not None and requirement.specifier.contains(found, prereleases=True)
        if requirement.name == "fastapi":
            yield _fastapi(found, str(requirement.specifier), fits)
        elif fits:
            right += 1
        else:
            said = "is not installed" if found is None else f"{found} is installed"
            way_out = f"pip install -c constraints.txt '{requirement.name}{requirement.specifier}'"
            yield fault(f"package {requirement.name}", f"{said}, and {requirement.specifier} is needed", way_out)
    yield ok("packages", f"{right} more, each of a version that works")


def _fastapi(found: str | None, wanted: str, fits: bool) -> Finding:
    if fits:
        return ok("package fastapi", f"{found}, with which Prefect's server starts")
    said = f"{found} is installed" if found else "it is not installed"
    trap = "Prefect's own range admits versions with which its server does not start or `prefect deploy` fails"
    return fault("package fastapi", f"{said}, and {wanted} is needed: {trap}", f"pip install 'fastapi{wanted}'")


def home_folder(
    home: Path, free_of: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free
) -> list[Finding]:
    """Whether answers can be kept under ``home``, and downloaded models beside them. Nothing is written."""
    name, there = "home", _nearest(home)
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        found = f"{there} {'cannot be written to' if there.is_dir() else 'is no folder'}"
        return [fault(name, found, "set FINETUNE_GATE_HOME to a folder that this account may write to")]
    limits = StoreLimits.from_environment()
    store = home / STORE_FILE
    kept = store.stat().st_size if store.is_file() else 0
    free = free_of(there)
    said = f"{home}: {free / GIB:.1f} GiB free, {kept / GIB:.2f} GiB of answers"
    way_out = "make room (`finetune-gate store prune`), or set FINETUNE_GATE_HOME to a larger disk"
    if free < LEAST_FREE:
        return [fault(name, f"{said}: too little to keep what a run computes", way_out)]
    if free < LITTLE_FREE:
        return [warning(name, f"{said}: the files of another model may not fit", way_out)]
    if free + kept < limits.max_bytes:
        grows = f"the store may grow to {limits.max_bytes / GIB:g} GiB before it is pruned"
        return [warning(name, f"{said}, and {grows}", f"set FINETUNE_GATE_STORE_MAX_GB below that; or {way_out}")]
    return [ok(name, said)]


def records_folder(out: Path) -> Finding:
    there = _nearest(out)
    if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
        return ok("records", f"{out} can be written to")
    return fault("records", f"{out}: {there} cannot be written to", "run in another folder, or give `run` an --out")


def device(wanted: str) -> Finding:
    """What models would be computed on. ``wanted`` is the gate file's ``execution.device``."""
    name = "device"
    try:
        import torch
    except (ImportError, OSError) as error:
        return fault(name, f"torch cannot be imported: {error}", "pip install -c constraints.txt torch")
    there = ["cuda"] * torch.cuda.is_available() + ["mps"] * torch.backends.mps.is_available() + ["cpu"]
    said = f"torch {torch.__version__}, which sees {', '.join(there)}"
    if wanted not in ("auto", *there):
        way_out = "set execution.device: auto, or install the build of torch for that device and its driver"
        return fault(name, f"{said}; the gate file wants {wanted}", way_out)
    if there[0] == "cuda":
        said += f" ({torch.cuda.get_device_name(0)})"
    return ok(name, f"{said}; models run on {there[0] if wanted == 'auto' else wanted}")


def _nearest(path: Path) -> Path:
    """``path``, or the nearest of its parents that exists: where it would be made."""
    path = path.absolute()
    return next((one for one in (path, *path.parents) if one.exists()), path)
