"""Answers under an fsspec URL: ``<root>/v1/<model digest>/<hash>.jsonl.gz``.

Works for every file system that fsspec has an implementation for (S3, GCS, Azure, SFTP, a mounted folder, ...), with
the credentials that it finds by itself. Nothing is renamed or changed once it is there.
"""

from __future__ import annotations

import posixpath
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, Final, Protocol, TypeVar, cast

from finetune_gate.evaluators.errors import EvaluationError, Problem, without_credentials

from .packs import folder_name, is_pack_name
from .places import Pack, place_number, wrong_place
from .store import ModelKey

T = TypeVar("T")

ASKING_SECONDS: Final = 30.0
MOVING_SECONDS: Final = 180.0
"""For one pack. What takes longer counts as out of reach: client libraries can retry for many minutes in silence."""

_PACKAGES: Final[Mapping[str, str]] = {
    "s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs", "abfss": "adlfs",
    "sftp": "paramiko", "ssh": "paramiko", "smb": "smbprotocol", "hf": "huggingface_hub", "oss": "ossfs",
}  # fmt: skip


class FileSystem(Protocol):
    """The part of an fsspec file system that is used here."""

    def invalidate_cache(self) -> None: ...
    def ls(self, path: str, detail: bool = ...) -> list[dict[str, Any]]: ...
    def cat_file(self, path: str, start: int | None = ..., end: int | None = ...) -> bytes: ...
    def makedirs(self, path: str, exist_ok: bool = ...) -> None: ...
    def pipe_file(self, path: str, value: bytes) -> None: ...
    def rm_file(self, path: str) -> None: ...
    def mv(self, path1: str, path2: str) -> None: ...


def open_fsspec(url: str) -> FsspecAnswers:
    """Raises ConfigurationError for a scheme that fsspec does not know, or whose package is not installed."""
    fsspec = import_module("fsspec.core")
    scheme = url.split("://", 1)[0]
    try:
        found = fsspec.url_to_fs(url)
    except ImportError as error:
        package = _PACKAGES.get(scheme, error.name or scheme)
        raise wrong_place(url, f"the package for {scheme}:// is not installed", f"pip install {package}") from error
    except ValueError as error:
        raise wrong_place(url, f"it cannot be opened: {without_credentials(str(error))}") from error
    system, root = cast("tuple[FileSystem, str]", found)
    return FsspecAnswers(url, system, root)


class FsspecAnswers:
    """Made by `open_fsspec`. Each pack is a group of its own."""

    def __init__(self, url: str, system: FileSystem, root: str) -> None:
        self._url = without_credentials(url).rstrip("/")
        self._system = system
        self._root = posixpath.join(root, "v1")
        self._renames = url.startswith(("file://", "local://"))

    @property
    def label(self) -> str:
        return self._url

    @property
    def number(self) -> int:
        return place_number(self._url)

    def packs(self, digest: str) -> list[Pack]:
        def listed() -> list[dict[str, Any]]:
            self._system.invalidate_cache()
            try:
                return self._system.ls(self._folder(digest), detail=True)
            except FileNotFoundError:
                return []

        found: list[Pack] = []
        for entry in self._within(ASKING_SECONDS, "list", listed):
            name, size = posixpath.basename(str(entry["name"])), entry.get("size")
            if is_pack_name(name):
                found.append(Pack(name, name, size if isinstance(size, int) else None))
        return found

    def read(self, digest: str, pack: Pack, limit: int) -> bytes | None:
        def content() -> bytes | None:
            try:
                return self._system.cat_file(self._path(digest, pack.name), start=0, end=limit + 1)
            except FileNotFoundError:
                return None

        return self._within(MOVING_SECONDS, "read", content)

    def write(self, model: ModelKey, packs: Mapping[str, bytes]) -> None:
        folder = self._folder(model.digest)
        self._within(ASKING_SECONDS, "write", lambda: self._system.makedirs(folder, exist_ok=True))
        for name, content in packs.items():
            self._within(MOVING_SECONDS, "write", lambda to=f"{folder}/{name}", what=content: self._write(to, what))

    def remove(self, digest: str, packs: Sequence[Pack]) -> None:
        def removed(path: str) -> None:
            try:
                self._system.rm_file(path)
            except FileNotFoundError:
                return  # somebody else has done it

        for pack in packs:
            path = self._path(digest, pack.name)
            self._within(ASKING_SECONDS, "remove", lambda path=path: removed(path))

    def close(self) -> None:
        """Nothing is kept open."""

    def _write(self, path: str, content: bytes) -> None:
        if not self._renames:  # object stores put a file as a whole
            self._system.pipe_file(path, content)
            return
        part = f"{path}.part-{uuid.uuid4().hex}"
        self._system.pipe_file(part, content)
        self._system.mv(part, path)

    def _folder(self, digest: str) -> str:
        return posixpath.join(self._root, folder_name(digest))

    def _path(self, digest: str, name: str) -> str:
        return posixpath.join(self._folder(digest), name)

    def _within(self, seconds: float, doing: str, work: Callable[[], T]) -> T:
        """The border with foreign file systems: whatever they raise, and however long they take."""
        done: list[T] = []
        failed: list[Exception] = []

        def run() -> None:
            try:
                done.append(work())
            except Exception as error:  # noqa: BLE001 - each file system has exceptions of its own
                failed.append(error)

        thread = threading.Thread(target=run, name=f"{doing} shared answers", daemon=True)
        thread.start()
        thread.join(seconds)
        if done:
            return done[0]
        cause = failed[0] if failed else TimeoutError(f"no answer in {seconds:.0f} s")
        found = f"cannot {doing}: {without_credentials(str(cause)) or type(cause).__name__}"
        way_out = "check the address, the network and the credentials"
        raise EvaluationError(Problem(f"shared answers at {self._url}", found, "", way_out)) from cause
