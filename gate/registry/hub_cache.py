"""Models in the local Hugging Face cache, as plain files. Nothing is downloaded here."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_ID: Final = re.compile(r"(?P<repo>[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9][\w.-]{0,95})?)(@(?P<revision>[\w./-]{1,100}))?")
_NOT_LOADED: Final = frozenset(
    {".bin", ".pt", ".pth", ".pkl", ".ckpt", ".h5", ".msgpack", ".ot", ".onnx", ".gguf", ".tflite", ".py"}
)
"""Other frameworks' weights, pickles and code: often in a cached repository, never loaded here, so left behind."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One cached revision; ``uri`` names its commit, ``folder`` holds plain files."""

    uri: str
    folder: Path


def is_hub_id(text: str) -> bool:
    """Whether ``text`` could be a Hugging Face id: ``org/name`` or ``name``, maybe ``@revision``.

    >>> is_hub_id("HuggingFaceTB/SmolLM2-135M"), is_hub_id("/srv/models/base"), is_hub_id("s3://bucket/base")
    (True, False, False)
    """
    return _ID.fullmatch(text) is not None and ".." not in text


def cached_snapshot(hub_id: str, downloads: Path) -> Snapshot | None:
    """The cached files of ``hub_id`` below ``downloads``, or None if the cache does not hold it.

    The cache keeps links into a folder of blobs; here they become files (hard links where the disk allows it), since
    a folder with links is not accepted as a model.
    """
    match, cached = _ID.fullmatch(hub_id), _cached(hub_id)
    if match is None or cached is None:
        return None
    uri = f"hf://{match['repo']}@{cached.name}"
    target = downloads / hashlib.sha256(uri.encode()).hexdigest()[:16]
    files = {
        path.relative_to(cached): real
        for path in sorted(cached.rglob("*"))
        if path.is_file()
        and path.suffix.lower() not in _NOT_LOADED
        and (real := path.resolve()).is_relative_to(cached.parent.parent)
    }
    if not all(_same(target / name, real) for name, real in files.items()):
        downloads.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f"{target.name}.part-", dir=downloads) as scratch:
            copy = Path(scratch) / "model"
            copy.mkdir()
            for name, real in files.items():
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                try:
                    os.link(real, copy / name)
                except OSError:
                    shutil.copyfile(real, copy / name)
            shutil.rmtree(target, ignore_errors=True)
            os.replace(copy, target)
    return Snapshot(uri, target)


def is_cached(hub_id: str) -> bool:
    """Whether the cache holds it; nothing is linked or copied."""
    return _cached(hub_id) is not None


def _cached(hub_id: str) -> Path | None:
    """The cache's own folder, which is full of links."""
    from huggingface_hub import snapshot_download  # pyright: ignore[reportUnknownVariableType]  -- tqdm is untyped
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    match = _ID.fullmatch(hub_id)
    if match is None:
        return None
    try:
        return Path(snapshot_download(match["repo"], revision=match["revision"], local_files_only=True)).resolve()
    except (HFValidationError, LocalEntryNotFoundError):
        return None


def _same(copy: Path, original: Path) -> bool:
    return copy.is_file() and copy.stat().st_size == original.stat().st_size
