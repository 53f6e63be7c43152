"""What lies in a model folder, and what of it is refused before any of it is read.

    manifest = list_files(root)               # Manifest: every regular file, and nothing else
    refuse_unsafe(manifest, allow=("*.bin",))  # ModelFilesError names every offending file in one go
    hash_files(manifest)                      # {"model.safetensors": "9f86d0...", ...}

Limits: 10,000 files, 12 levels, names of 200 bytes. A race between listing and loading is not covered here: files
that others can write to are hashed again right before a decision is acted on.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from finetune_gate.evaluators.errors import ModelFilesError, Problem

MAX_FILES = 10_000
MAX_DEPTH = 12
MAX_NAME_BYTES = 200

WEIGHT_ENDINGS = frozenset((".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".h5", ".msgpack"))

UNSAFE_ENDINGS = WEIGHT_ENDINGS | frozenset(
    (".joblib", ".keras", ".dill", ".py", ".pyc", ".pyo", ".pyz", ".so", ".pyd", ".dll", ".dylib", ".whl")
)
"""Formats that run code when they are loaded, or are code. ``.bin`` is PyTorch's pickle, whatever else it may be."""

_CHUNK = 4 << 20


@dataclass(frozen=True, slots=True)
class Manifest:
    """``files`` maps the POSIX path below ``root`` to its size in bytes."""

    root: Path
    files: Mapping[str, int]

    @property
    def total_bytes(self) -> int:
        return sum(self.files.values())

    def within(self, folder: str) -> dict[str, int]:
        """Files directly inside ``folder`` ("" is the root), by basename."""
        return {
            PurePosixPath(path).name: size
            for path, size in self.files.items()
            if PurePosixPath(path).parent == PurePosixPath(folder)
        }

    def folders(self) -> set[str]:
        return {PurePosixPath(path).parts[0] for path in self.files if "/" in path}


def list_files(root: Path) -> Manifest:
    """Every regular file below ``root``, sorted. Raises ModelFilesError for links, devices, pipes and bad names."""
    where = str(root)
    if not root.is_dir():
        raise ModelFilesError(
            Problem(where, "is not a folder" if root.exists() else "does not exist", "a folder of model files")
        )
    files: dict[str, int] = {}
    problems: list[Problem] = []
    pending: list[tuple[Path, PurePosixPath, int]] = [(root.resolve(), PurePosixPath(), 0)]
    while pending:
        folder, inside, depth = pending.pop()
        for entry in _entries(folder):
            relative = inside / entry.name
            fault = _name_fault(entry.name) or _kind_fault(entry)
            if fault is None and depth >= MAX_DEPTH:
                fault = f"lies deeper than {MAX_DEPTH} levels"
            if fault is not None:
                problems.append(Problem(f"{where}: {shown(str(relative))}", fault, "regular files and folders only"))
            elif entry.is_dir(follow_symlinks=False):
                pending.append((Path(entry.path), relative, depth + 1))
            else:
                files[str(relative)] = entry.stat(follow_symlinks=False).st_size
            if len(files) + len(problems) > MAX_FILES:
                raise ModelFilesError(
                    Problem(where, f"holds more than {MAX_FILES:,} files", "the files of one model version")
                )
    if problems:
        raise ModelFilesError(*problems)
    return Manifest(root.resolve(), dict(sorted(files.items())))


def refuse_unsafe(manifest: Manifest, allow: Sequence[str]) -> None:
    """Refuse formats that run code, unless a glob of ``allow`` matches the path or the name. None is ever loaded."""
    offending = [
        path
        for path in manifest.files
        if PurePosixPath(path).suffix.lower() in UNSAFE_ENDINGS and not _matches(path, allow)
    ]
    if not offending:
        return
    holds_safetensors = any(path.endswith(".safetensors") for path in manifest.files)
    if not holds_safetensors and any(PurePosixPath(path).suffix.lower() in WEIGHT_ENDINGS for path in offending):
        raise ModelFilesError(
            Problem(
                str(manifest.root),
                f"weights lie in a pickle only: {listed(offending)}",
                "weights as safetensors; a pickle runs its author's code when it is loaded",
                "save again with model.save_pretrained(dir, safe_serialization=True) and log that folder",
            )
        )
    raise ModelFilesError(
        *(
            Problem(
                f"{manifest.root}: {shown(path)}",
                "is code, or a format that runs code when it is loaded",
                "safetensors, JSON and text",
                "leave it out of the logged model, or allow that it lies there (it is never loaded) with an"
                f" allow_files pattern such as {PurePosixPath(path).name!r}",
            )
            for path in offending
        )
    )


def hash_files(manifest: Manifest) -> dict[str, str]:
    """SHA-256 of every file, by path. Reads without following links; several files at a time."""
    paths = [manifest.root / path for path in manifest.files]
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        return dict(zip(manifest.files, pool.map(_hash, paths), strict=True))


def open_regular(path: Path) -> int:
    """A read-only file descriptor. A link put in the file's place since it was listed is an error, not followed."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"{path} is no longer a regular file")
    return descriptor


def shown(text: str, limit: int = 200) -> str:
    """``text`` of unknown origin made fit for an error message: control characters escaped, cut to ``limit``."""
    clean = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text[:limit])
    return clean + ("..." if len(text) > limit else "")


def listed(names: Sequence[str], limit: int = 8) -> str:
    """Names for a message: ``a, b and 3 more``."""
    text = ", ".join(shown(name) for name in names[:limit])
    return f"{text} and {len(names) - limit} more" if len(names) > limit else text


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise ModelFilesError(Problem(str(folder), f"cannot be read: {error.strerror}", "a readable folder")) from error


def _name_fault(name: str) -> str | None:
    try:
        encoded = name.encode("utf-8")
    except UnicodeEncodeError:
        return "has a name that is not UTF-8"
    if len(encoded) > MAX_NAME_BYTES:
        return f"has a name longer than {MAX_NAME_BYTES} bytes"
    if not name.isprintable():
        return "has control or invisible characters in its name"
    if ".." in name or "\\" in name:
        return "has '..' or a backslash in its name"
    return None


def _kind_fault(entry: os.DirEntry[str]) -> str | None:
    if entry.is_symlink():
        return "is a symbolic link (copy the folder with links resolved, as cp -rL does)"
    if entry.is_dir(follow_symlinks=False) or entry.is_file(follow_symlinks=False):
        return None
    return "is a device, pipe or socket"


def _matches(path: str, patterns: Sequence[str]) -> bool:
    name = PurePosixPath(path).name
    return any(fnmatchcase(path, pattern) or fnmatchcase(name, pattern) for pattern in patterns)


def _hash(path: Path) -> str:
    digest = hashlib.sha256()
    with os.fdopen(open_regular(path), "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
