"""Bring model files from where MLflow keeps them to this machine: listed first, bounded, whole or not at all.

    folder = bring(store, "mlflow-artifacts:/1/models/m-0b4f/artifacts", Path("downloads"))

A location on this machine is used where it lies and never written to. Any other is downloaded into
``downloads/<first 16 hex digits of a hash of the address>``: no path is ever made from a name in the registry. A
download appears under that name only once complete; one that is there already is used again when the listing (paths
and sizes) is the same.

    with brought_anew(store, address, Path("downloads")) as folder:      # to see what lies at the source now
        ...

Limits. Files replaced at the source by others of the same sizes are not noticed by `bring`; right before a promotion
they are brought anew, and compared by digest. What is replaced after that look, in the moment before the alias moves or
any time later, is not noticed by a gate: the decision record holds the digest of what was judged. Nor are files on this
machine that are replaced while they are read and put back before that look: give the account that runs gates a store
that others cannot write to, or one that it downloads from.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from finetune_gate.evaluators.errors import Problem, RegistryError

from .mlflow_client import Connection, NotInRegistry, public_uri

GIB: Final = 1024**3


@dataclass(frozen=True, slots=True)
class Limits:
    """What one model may bring: bytes in all, files (folders counted), folders within folders."""

    total_bytes: int = 200 * GIB
    files: int = 10_000
    depth: int = 20


DEFAULT_LIMITS: Final = Limits()
_ABANDONED_AFTER_S: Final = 24 * 3600


def local_path(uri: str) -> Path | None:
    """The path that ``uri`` names on this machine, or None for any other scheme.

    >>> local_path("file:///srv/models/a%20b"), local_path("/srv/models"), local_path("s3://bucket/model")
    (PosixPath('/srv/models/a b'), PosixPath('/srv/models'), None)
    """
    parts = urllib.parse.urlsplit(uri)
    if parts.scheme == "file":
        return Path(urllib.request.url2pathname(parts.path))
    return None if "://" in uri or parts.scheme else Path(uri)


def is_there(store: Connection, uri: str) -> bool:
    """Whether any file is at ``uri``."""
    local = local_path(uri)
    return local.exists() if local is not None else bool(store.list_artifacts(uri))


def bring(store: Connection, uri: str, downloads: Path, limits: Limits = DEFAULT_LIMITS) -> Path:
    """The folder with the files at ``uri``, on this machine. Raises RegistryError."""
    local = local_path(uri)
    if local is not None:
        if local.is_dir():
            return local
        raise NotInRegistry(
            Problem(
                where=f"files at {public_uri(uri)}",
                found="there is no such folder on this machine",
                expected="a folder this machine can read, or files that the MLflow server hands out",
                way_out="run where that folder is, or start the server with --artifacts-destination",
            )
        )
    uri = uri.rstrip("/")
    wanted = _listing(store, uri, limits)
    downloads.mkdir(parents=True, exist_ok=True)
    # one address such as mlflow-artifacts:/1/... means other files on another server
    name = hashlib.sha256(f"{store.tracking_uri}\n{uri}".encode()).hexdigest()[:16]
    target = downloads / name
    if _holds(target, wanted):
        return target
    size = sum(known or 0 for known in wanted.values())
    _refuse_full_disk(uri, downloads, size)
    _sweep(downloads, name)
    with tempfile.TemporaryDirectory(prefix=f"{name}.part-", dir=downloads) as scratch:
        fetched = store.download_artifacts(uri, Path(scratch))
        if not _holds(fetched, wanted):
            raise RegistryError(
                Problem(
                    where=f"files at {public_uri(uri)}",
                    found="what was downloaded is not what was listed",
                    expected=f"{len(wanted)} files, {size} bytes in all",
                    way_out="run again; if it stays so, look at the artifact store",
                )
            )
        if target.exists():
            shutil.rmtree(target)
        try:
            os.replace(fetched, target)
        except OSError:
            # another run was faster; its copy is as good as ours
            if not _holds(target, wanted):
                raise
    return target


@contextmanager
def brought_anew(store: Connection, uri: str, downloads: Path, limits: Limits = DEFAULT_LIMITS) -> Generator[Path]:
    """As `bring`, without using a download again; what is downloaded lies below ``downloads``, and is deleted
    afterwards. Raises NotInRegistry where there are no files any more."""
    downloads.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="anew-", dir=downloads) as scratch:
        yield bring(store, uri, Path(scratch), limits)


def _listing(store: Connection, uri: str, limits: Limits) -> dict[str, int | None]:
    """Path (relative to ``uri``, "/" between parts) to size of every file; None where the store does not say."""
    where = f"files at {public_uri(uri)}"
    files: dict[str, int | None] = {}
    folders = [""]
    entries = total = 0
    root = PurePosixPath(urllib.parse.urlsplit(uri).path).name
    while folders:
        folder = folders.pop()
        for entry in store.list_artifacts(f"{uri}/{folder}".rstrip("/")):
            # paths come back below the last part of the address that was asked for
            path = f"{folder}/{entry.path.removeprefix(f'{PurePosixPath(folder).name or root}/')}".lstrip("/")
            entries += 1
            total += entry.file_size or 0
            if not _is_safe(path, limits.depth):
                raise RegistryError(Problem(where, f"unsafe file name {path[:200]!r}", "", "remove that file"))
            if entries > limits.files or total > limits.total_bytes:
                raise RegistryError(
                    Problem(
                        where,
                        f"more than {limits.files} files or {limits.total_bytes / GIB:g} GiB",
                        "the files of one model",
                        "register the model's own folder, without checkpoints and optimizer states",
                    )
                )
            if entry.is_dir:
                folders.append(path)
            else:
                files[path] = entry.file_size
    if not files:
        raise NotInRegistry(
            Problem(where, "there are no files", "model files", "log the model again, and register that version")
        )
    return files


def _is_safe(path: str, depth: int) -> bool:
    parts = path.split("/")
    return (
        not path.startswith("/")
        and len(parts) <= depth
        and all(part not in ("", ".", "..") and len(part.encode()) <= 200 for part in parts)
        and path.isprintable()
        and "\\" not in path
    )


def _holds(folder: Path, wanted: Mapping[str, int | None]) -> bool:
    """Whether ``folder`` holds the listed files and no others, all of them plain files of the listed sizes."""
    found: dict[str, int] = {}
    for parent, folders, names in os.walk(folder):
        if any((Path(parent) / name).is_symlink() for name in folders):
            return False
        for name in names:
            path = Path(parent) / name
            status = path.lstat()
            if not stat.S_ISREG(status.st_mode):
                return False
            found[path.relative_to(folder).as_posix()] = status.st_size
    return found.keys() == wanted.keys() and all(size in (None, found[path]) for path, size in wanted.items())


def _refuse_full_disk(uri: str, downloads: Path, needed: int) -> None:
    free = shutil.disk_usage(downloads).free
    if needed > free:
        raise RegistryError(
            Problem(
                where=f"files at {public_uri(uri)}",
                found=f"{needed / GIB:.1f} GiB to download, {free / GIB:.1f} GiB free under {str(downloads)!r}",
                way_out="free space there, or point the download folder at a larger disk",
            )
        )


def _sweep(downloads: Path, name: str) -> None:
    """Remove what killed downloads of the same address left behind; a younger one may still be running."""
    for left in downloads.glob(f"{name}.part-*"):
        if time.time() - left.stat().st_mtime > _ABANDONED_AFTER_S:
            shutil.rmtree(left, ignore_errors=True)
