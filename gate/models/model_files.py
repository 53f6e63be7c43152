"""From a downloaded folder to files that are safe to load, and the digest of the model they are.

    files = inspect_model_files(Path("downloads/support-bot-3"))
    files.layout       # "mlflow-transformers", "huggingface" or "peft"
    files.digest       # the same for one model in any of the layouts

Nothing is imported, executed or fetched: names, JSON and safetensors headers are read, and bytes are hashed. Three
layouts are known:

- MLflow's transformers flavor: ``MLmodel``, ``model/``, ``components/tokenizer/``, and ``peft/`` for an adapter;
- a plain Hugging Face folder: ``config.json``, ``*.safetensors``, tokenizer files;
- a PEFT adapter: ``adapter_config.json``, ``adapter_model.safetensors``, tokenizer files if it has its own.

The latter two may also lie in one sub-folder. For an adapter only the adapter is taken, whatever lies beside it:
``mlflow.transformers.log_model`` of a PEFT model also writes ``model/``, with the base's adapted layers under names
that transformers does not find again (it fills them with random numbers and says so in a warning). The base comes
from where the run pins it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import cast

from finetune_gate.evaluators.errors import ModelFilesError, Problem

from ..pins import Layout, ModelFiles
from .declared import (
    MAX_TOKENIZER_BYTES,
    adapter_problems,
    config_problems,
    index_files,
    read_json,
    tokenizer_problems,
)
from .identity import adapter_entries, canonical, digest_of, effective_digest, tokenizer_entries, weights_entries
from .manifest import Manifest, hash_files, list_files, listed, refuse_unsafe, shown
from .mlmodel import read_flavors

_LEFT_BY_READERS = frozenset({"registered_model_meta"})
"""What MLflow's own download leaves beside a model, in the store itself where that is local: no part of a version."""

__all__ = ["digest_files", "effective_digest", "inspect_model_files"]

TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "vocab.*", "merges.txt", "*.model", "*.tiktoken", "tekken.json", "chat_template*",
)  # fmt: skip
VOCABULARIES = ("tokenizer.json", "vocab.*", "*.model", "*.tiktoken", "tekken.json")
"""At least one of these makes a folder hold a tokenizer."""

Json = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class _Places:
    """Folders below the root by the part they play; "" is the root itself, None is absent."""

    layout: Layout
    weights: str | None
    tokenizer: str | None
    adapter: str | None
    base_claim: str | None = None


def inspect_model_files(root: Path, *, allow_files: Sequence[str] = ()) -> ModelFiles:
    """Find the layout, refuse what is unsafe, and digest the rest.

    ``allow_files`` are globs (on the path below ``root``, or the name) of files that would be refused for their kind
    and may lie there all the same, such as ``training_args.bin``; they are never loaded.
    Raises ModelFilesError with every fault found at that stage. Weights are hashed twice, about 1.5 s per GB.
    """
    manifest = list_files(root)
    refuse_unsafe(manifest, allow_files)
    places = _find(manifest)
    hashes = hash_files(manifest)
    tokenizer = _tokenizer_entries(manifest, places.tokenizer, hashes)
    if places.adapter is not None:
        entries = _adapter(manifest, places.adapter)
    else:
        entries = _weights(manifest, places.weights or "")
        if places.tokenizer is None:
            raise ModelFilesError(
                Problem(
                    str(manifest.root / (places.weights or "")),
                    f"has weights and no tokenizer; the folder holds {listed(list(manifest.files))}",
                    "tokenizer.json, or a tokenizer's vocabulary files, beside the weights or in components/tokenizer/",
                    "call tokenizer.save_pretrained on the same folder, or log model and tokenizer together",
                )
            )
    return ModelFiles(
        root=manifest.root,
        layout=places.layout,
        weights=_path(manifest, places.weights),
        tokenizer=_path(manifest, places.tokenizer),
        adapter=_path(manifest, places.adapter),
        base_claim=places.base_claim,
        digest=digest_of([*entries, *tokenizer]),
        files_digest=digest_files(manifest, hashes),
        total_bytes=manifest.total_bytes,
        tokenizer_digest=digest_of(tokenizer) if tokenizer else None,
    )


def digest_files(manifest: Manifest, hashes: Mapping[str, str]) -> str:
    """Names every file found, by path, size and content. ``hashes`` are those of `hash_files`."""
    return digest_of(
        [
            canonical({"path": path, "size": size, "sha256": hashes[path]})
            for path, size in manifest.files.items()
            if PurePosixPath(path).name not in _LEFT_BY_READERS
        ]
    )


def _find(manifest: Manifest) -> _Places:
    flavor = _transformers_flavor(manifest)
    if flavor is not None:
        return _flavor_places(manifest, flavor)
    for folder in ("", *_single_subfolder(manifest)):
        here = manifest.within(folder)
        if "adapter_config.json" in here and "config.json" in here and _weight_files(here):
            raise ModelFilesError(
                Problem(
                    str(manifest.root / folder),
                    "holds a whole model and an adapter in one folder: which of them is the model is not clear",
                    "either config.json with weights, or adapter_config.json with an adapter",
                    "log the adapter's folder alone, or merge the adapter and log the merged model",
                )
            )
        if "adapter_config.json" in here:
            adapter = read_json(manifest.root / folder / "adapter_config.json")
            claim = _claim(adapter.get("base_model_name_or_path"))
            return _Places("peft", None, folder if _has_tokenizer(here) else None, folder, claim)
        if "config.json" in here:
            config = read_json(manifest.root / folder / "config.json")
            tokenizer = folder if _has_tokenizer(here) else None
            return _Places("huggingface", folder, tokenizer, None, _claim(config.get("_name_or_path")))
    raise ModelFilesError(
        Problem(
            str(manifest.root),
            f"is no known layout of a model; it holds {listed(list(manifest.files)) or 'nothing'}",
            "MLflow's transformers flavor, a Hugging Face folder (config.json, *.safetensors, tokenizer), or a PEFT"
            " adapter (adapter_config.json, adapter_model.safetensors), at the top or in one sub-folder",
            "log the folder that model.save_pretrained and tokenizer.save_pretrained wrote",
        )
    )


def _transformers_flavor(manifest: Manifest) -> Json | None:
    """The ``transformers`` section of a root ``MLmodel``; None where there is none. Only directory names are read."""
    flavors = read_flavors(manifest)
    if flavor := flavors.get("transformers"):
        return flavor
    if flavors and not {"config.json", "adapter_config.json"} & set(manifest.within("")):
        raise ModelFilesError(
            Problem(
                f"{manifest.root}/MLmodel",
                f"has the flavors {listed(sorted(flavors))}",
                "the transformers flavor, or a plain Hugging Face or PEFT folder",
                "log the model with mlflow.transformers.log_model, or its folder with log_artifacts",
            )
        )
    return None


def _flavor_places(manifest: Manifest, flavor: Json) -> _Places:
    claim = _claim(flavor.get("source_model_name")) or _claim(flavor.get("local_base_model_path"))
    model = _inner_folder(manifest, flavor, "model_binary")
    adapter = _inner_folder(manifest, flavor, "peft_adaptor")
    named = flavor.get("components")
    components = cast("list[object]", named) if isinstance(named, list) else []
    tokenizer = "components/tokenizer" if "tokenizer" in components else None
    if tokenizer is None or not _has_tokenizer(manifest.within(tokenizer)):
        beside = [folder for folder in (adapter, model) if folder and _has_tokenizer(manifest.within(folder))]
        tokenizer = beside[0] if beside else None
    if adapter is not None:
        own = read_json(manifest.root / adapter / "adapter_config.json")
        claim = _claim(own.get("base_model_name_or_path")) or claim
        return _Places("mlflow-transformers", None, tokenizer, adapter, claim)
    if model is None or "config.json" not in manifest.within(model):
        raise ModelFilesError(
            Problem(
                str(manifest.root),
                "is logged with MLflow's transformers flavor, without weights (save_pretrained=False)",
                "weights in model/",
                "log it again with save_pretrained=True, or call mlflow.transformers.persist_pretrained_model",
            )
        )
    return _Places("mlflow-transformers", model, tokenizer, None, claim)


def _inner_folder(manifest: Manifest, flavor: Json, key: str) -> str | None:
    """A folder that ``MLmodel`` names; the manifest is what says whether there is one, so no name can lead outside."""
    name = flavor.get(key)
    if name is None:
        return None
    if not isinstance(name, str) or not name or not manifest.within(name):
        raise ModelFilesError(
            Problem(f"{manifest.root}/MLmodel", f"{key} names {shown(repr(name))}, which is no folder of this model")
        )
    return "" if name == "." else str(PurePosixPath(name))


def _weights(manifest: Manifest, folder: str) -> list[str]:
    """Digest entries of a whole model. Raises ModelFilesError."""
    here, place = manifest.within(folder), manifest.root / folder
    config = read_json(place / "config.json")
    if problems := [*config_problems(place / "config.json", config)]:
        raise ModelFilesError(*problems)
    shards = _weight_files(here)
    if not shards:
        raise ModelFilesError(
            Problem(
                str(place),
                f"has a configuration and no weights that can be loaded; it holds {listed(list(here))}",
                "model.safetensors, or model.safetensors.index.json with its shards",
                "save it with model.save_pretrained(dir, safe_serialization=True) and log that folder",
            )
        )
    if shards == ["model.safetensors.index.json"]:
        shards = index_files(place / shards[0], read_json(place / shards[0], MAX_TOKENIZER_BYTES), here)
    return weights_entries([place / name for name in shards], config)


def _adapter(manifest: Manifest, folder: str) -> list[str]:
    """Digest entries of an adapter. Raises ModelFilesError."""
    place = manifest.root / folder
    config = read_json(place / "adapter_config.json")
    problems = [*adapter_problems(place / "adapter_config.json", config)]
    if "adapter_model.safetensors" not in manifest.within(folder):
        problems.append(
            Problem(
                str(place),
                f"has no adapter_model.safetensors; it holds {listed(list(manifest.within(folder)))}",
                "the adapter's weights as safetensors",
                "save it with peft_model.save_pretrained(dir) and log that folder",
            )
        )
    if problems:
        raise ModelFilesError(*problems)
    return adapter_entries(config, place / "adapter_model.safetensors")


def _tokenizer_entries(manifest: Manifest, folder: str | None, hashes: Mapping[str, str]) -> list[str]:
    if folder is None:
        return []
    place, prefix = manifest.root / folder, f"{folder}/" if folder else ""
    documents: dict[str, Json] = {}
    others: dict[str, str] = {}
    for name in manifest.within(folder):
        if not any(fnmatchcase(name, pattern) for pattern in TOKENIZER_FILES):
            continue
        if name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"):
            documents[name] = read_json(place / name, MAX_TOKENIZER_BYTES)
        elif name != "chat_template.jinja":
            others[name] = hashes[prefix + name]
    for path, digest in hashes.items():
        if path.startswith(f"{prefix}additional_chat_templates/"):
            others[path.removeprefix(prefix)] = digest
    settings = documents.get("tokenizer_config.json", {})
    if problems := [*tokenizer_problems(place / "tokenizer_config.json", settings, "tokenizer.json" in documents)]:
        raise ModelFilesError(*problems)
    return tokenizer_entries(documents, others, _template(place, manifest.within(folder), settings))


def _template(place: Path, here: Mapping[str, int], settings: Json) -> str | None:
    """The chat template, wherever it is kept: a file of its own wins over the tokenizer's settings."""
    if "chat_template.jinja" in here:
        if here["chat_template.jinja"] > 1 << 20:
            raise ModelFilesError(Problem(str(place / "chat_template.jinja"), "is larger than 1 MiB"))
        return (place / "chat_template.jinja").read_text("utf-8", errors="surrogateescape")
    template = settings.get("chat_template")
    if template is None or isinstance(template, str):
        return template
    return canonical({"templates": template})


def _single_subfolder(manifest: Manifest) -> Iterator[str]:
    """The one sub-folder that holds a model, if there is just one."""
    holding = [
        folder
        for folder in sorted(manifest.folders())
        if {"config.json", "adapter_config.json"} & set(manifest.within(folder))
    ]
    if len(holding) == 1:
        yield holding[0]


def _weight_files(here: Mapping[str, int]) -> list[str]:
    """What transformers would load: the single file where there is one, else the index."""
    return [name for name in ("model.safetensors", "model.safetensors.index.json") if name in here][:1]


def _has_tokenizer(here: Mapping[str, int]) -> bool:
    return any(fnmatchcase(name, pattern) for name in here for pattern in VOCABULARIES)


def _claim(value: object) -> str | None:
    return shown(value, 500) if isinstance(value, str) and value.strip() else None


def _path(manifest: Manifest, folder: str | None) -> Path | None:
    return None if folder is None else manifest.root / folder
