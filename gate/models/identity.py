"""The digest of a model: what it is, whatever layout or place it is stored in.

Two folders have one digest exactly when they hold the same tensors (name, type, shape, bytes), the same configuration,
the same tokenizer with the same chat template, and, for an adapter, the same adapter settings. What changes without
changing an answer is left out: file names and shards of the weights, key order and bookkeeping fields of the JSON
files, generation_config.json (every generation setting is the gate's), and the base path that an adapter names.

Limits: a tokenizer saved again in another file format (vocab.json + merges.txt against tokenizer.json, or
special_tokens_map.json folded into tokenizer_config.json) is another tokenizer here, even where it encodes alike.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import cast

from finetune_gate.evaluators.errors import ModelFilesError, Problem

from ..pins import ModelFiles
from .manifest import open_regular, shown

MAX_HEADER_BYTES = 100_000_000
"""The safetensors format's own limit."""

_CHUNK = 4 << 20

_CONFIG_NOISE = frozenset(("_name_or_path", "transformers_version", "_commit_hash"))
_TOKENIZER_NOISE = _CONFIG_NOISE | frozenset(
    ("name_or_path", "special_tokens_map_file", "tokenizer_file", "is_local", "local_files_only", "chat_template")
)
_ADAPTER_NOISE = frozenset(("base_model_name_or_path", "revision", "peft_version", "inference_mode", "auto_mapping"))
_UNORDERED = frozenset(("target_modules", "modules_to_save", "exclude_modules", "target_parameters"))
"""Sets in PEFT, written as lists in an order that changes from process to process."""

Json = Mapping[str, object]


def tensor_lines(path: Path) -> dict[str, str]:
    """``{tensor name: "name dtype shape sha256"}`` of one safetensors file, read without any framework.

    Raises ModelFilesError where the file is not well-formed: a header that is no JSON, or bytes that no tensor or
    two tensors claim.
    """
    try:
        with os.fdopen(open_regular(path), "rb") as file:
            size = os.fstat(file.fileno()).st_size
            header_bytes = int.from_bytes(file.read(8), "little")
            if size < 8 or header_bytes > min(MAX_HEADER_BYTES, size - 8):
                raise _malformed(path, "its header is longer than the file, or missing")
            tensors = _header(path, file.read(header_bytes), size - 8 - header_bytes)
            lines: dict[str, str] = {}
            for name, (kind, shape, begin, end) in tensors.items():
                file.seek(8 + header_bytes + begin)
                digest, left = hashlib.sha256(), end - begin
                while left and (chunk := file.read(min(_CHUNK, left))):
                    digest.update(chunk)
                    left -= len(chunk)
                if left:
                    raise _malformed(path, "it ends before its last tensor")
                lines[name] = json.dumps([name, kind, list(shape), digest.hexdigest()])
            return lines
    except OSError as error:
        raise ModelFilesError(Problem(str(path), f"cannot be read: {error.strerror or error}")) from error


def weights_entries(files: Iterable[Path], config: Json) -> list[str]:
    """Identity of a model's weights and configuration. A tensor that two files hold is refused."""
    lines: dict[str, str] = {}
    for path in files:
        found = tensor_lines(path)
        if twice := sorted(lines.keys() & found.keys()):
            raise _malformed(path, f"it holds a tensor that another file holds too: {shown(twice[0])}")
        lines |= found
    return ["config " + canonical(config, drop=_CONFIG_NOISE), *(f"tensor {lines[name]}" for name in sorted(lines))]


def adapter_entries(config: Json, weights: Path) -> list[str]:
    """Identity of an adapter apart from its base: settings that change its arithmetic, and its tensors."""
    plain = {
        key: sorted(cast("list[str]", value)) if key in _UNORDERED and _are(str, value) else value
        for key, value in config.items()
        if key not in _ADAPTER_NOISE
    }
    lines = tensor_lines(weights)
    return ["adapter " + canonical(plain), *(f"adapter tensor {lines[name]}" for name in sorted(lines))]


def tokenizer_entries(documents: Mapping[str, Json], others: Mapping[str, str], template: str | None) -> list[str]:
    """Identity of a tokenizer: its JSON files (parsed), its other files (SHA-256 by name), and its chat template."""
    entries: list[str] = []
    for name, document in documents.items():
        if name == "tokenizer.json":  # padding and truncation are set again at every call, whatever the file says
            text = canonical(document, drop=frozenset(("padding", "truncation")))
        else:
            text = canonical(document, drop=_TOKENIZER_NOISE if name == "tokenizer_config.json" else frozenset())
        entries.append(f"tokenizer {name} {_sha256(text)}")
    entries.extend(f"tokenizer {name} {digest}" for name, digest in others.items())
    if template is not None:
        entries.append(f"tokenizer chat template {_sha256(template)}")
    return sorted(entries)


def digest_of(entries: Sequence[str]) -> str:
    """SHA-256 over entries in their order; lengths included, so that no two lists of entries look alike."""
    digest = hashlib.sha256()
    for entry in entries:
        data = entry.encode("utf-8", "surrogatepass")
        digest.update(f"{len(data)}:".encode() + data)
    return digest.hexdigest()


def effective_digest(files: ModelFiles, base: ModelFiles | None) -> str:
    """What answers: the model itself, or for an adapter the adapter together with the base it sits on.

    Raises ModelFilesError where an adapter comes without its base.
    """
    if files.adapter is None:
        return files.digest
    if base is None:
        raise ModelFilesError(
            Problem(
                str(files.root),
                "is an adapter, and the base model it sits on is not known",
                "the files of the base model beside it",
                "name the base in the gate file: base: models:/<name>/<version>",
            )
        )
    if base.adapter is not None:
        raise ModelFilesError(
            Problem(
                str(base.root),
                "is named as the base of an adapter, and is an adapter itself",
                "a base with weights of its own",
                "merge it (merge_and_unload), save the result as a model, and name that",
            )
        )
    return digest_of(["adapter on base", files.digest, base.digest])


def canonical(document: Json, drop: frozenset[str] = frozenset()) -> str:
    """JSON with sorted keys, without the top-level keys in ``drop``."""
    kept = {key: value for key, value in document.items() if key not in drop}
    return json.dumps(kept, sort_keys=True, ensure_ascii=True, separators=(",", ":"))


def _header(path: Path, raw: bytes, body_bytes: int) -> dict[str, tuple[str, tuple[int, ...], int, int]]:
    try:
        header: object = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise _malformed(path, "its header is no JSON") from error
    if not isinstance(header, dict):
        raise _malformed(path, "its header is no JSON object")
    tensors: dict[str, tuple[str, tuple[int, ...], int, int]] = {}
    for name, entry in cast("dict[str, object]", header).items():
        if name == "__metadata__":
            continue
        tensors[name] = _described(path, name, entry)
    expected = 0
    for _, _, begin, end in sorted(tensors.values(), key=lambda tensor: tensor[2:]):
        if begin != expected or end < begin:
            raise _malformed(path, "its tensors overlap, or leave bytes that belong to none")
        expected = end
    if expected != body_bytes:
        raise _malformed(path, f"it has {body_bytes} bytes of data where its header speaks of {expected}")
    return tensors


def _described(path: Path, name: str, entry: object) -> tuple[str, tuple[int, ...], int, int]:
    """``(dtype, shape, begin, end)`` of one tensor in a header."""
    fields = cast("dict[str, object]", entry) if isinstance(entry, dict) else {}
    kind, shape, offsets = (fields.get(key) for key in ("dtype", "shape", "data_offsets"))
    if isinstance(kind, str) and _are(int, shape) and _are(int, offsets):
        begin_end = cast("list[int]", offsets)
        if len(begin_end) == 2:
            return kind, tuple(cast("list[int]", shape)), begin_end[0], begin_end[1]
    raise _malformed(path, f"tensor {shown(name)} is not described as the format demands")


def _malformed(path: Path, fault: str) -> ModelFilesError:
    return ModelFilesError(
        Problem(str(path), f"is no well-formed safetensors file: {fault}", way_out="log and download the model again")
    )


def _are(kind: type, value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, kind) for item in cast("list[object]", value))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
