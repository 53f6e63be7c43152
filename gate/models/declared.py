"""What the JSON files of a model declare, and which declarations are refused: everything that imports code by name,
reads another file or place, or makes the model something else than a causal language model.

A refusal is a Problem, so that all of a folder's faults are reported together.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

from finetune_gate.evaluators.errors import ModelFilesError, Problem

from .manifest import open_regular, shown

MAX_CONFIG_BYTES = 1 << 20
MAX_TOKENIZER_BYTES = 50 << 20

ADAPTER_KINDS = frozenset(("LORA", "ADALORA", "LOHA", "LOKR", "IA3", "OFT", "BOFT", "VERA", "LN_TUNING", "HRA"))
"""PEFT types that only add to the base's own layers. The others learn prompts (and load a tokenizer by name while
loading), point at further adapters, or wrap the model so that the base cannot be had back by switching them off."""

_CODE_KEYS = ("auto_map", "custom_pipelines", "custom_pipeline")
_ADAPTER_IMPORTS = ("megatron_config", "arrow_config", "alora_invocation_tokens")
_ADAPTER_FILES = ("cache_file", "covariance_file")
_MERGE = "merge the adapter (merge_and_unload), save the result as a model, and log that"

Json = Mapping[str, object]


def read_json(path: Path, limit: int = MAX_CONFIG_BYTES) -> Json:
    """A JSON object of at most ``limit`` bytes. Raises ModelFilesError."""
    try:
        with os.fdopen(open_regular(path), "rb") as file:
            raw = file.read(limit + 1)
    except OSError as error:
        raise ModelFilesError(Problem(str(path), f"cannot be read: {error.strerror or error}")) from error
    if len(raw) > limit:
        raise ModelFilesError(Problem(str(path), "is too large", f"at most {limit:,} bytes"))
    try:
        document: object = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ModelFilesError(
            Problem(str(path), f"is not valid JSON: {shown(str(error))}", "a JSON object", "log the model again")
        ) from error
    if not isinstance(document, dict):
        raise ModelFilesError(Problem(str(path), f"holds a {type(document).__name__}", "a JSON object"))
    return cast("Json", document)


def code_problems(path: Path, document: Json) -> Iterator[Problem]:
    """``auto_map`` and its kin, at any depth: names of classes that the model's author would have us import."""
    for key, _ in _walk(document):
        if key in _CODE_KEYS:
            yield Problem(
                str(path),
                f"has {key!r}, which names code of the model's author to import",
                "an architecture and a tokenizer that transformers itself knows",
                f"train from a model without custom code, or remove {key!r} if transformers knows the architecture",
            )


def tokenizer_problems(path: Path, settings: Json, has_tokenizer_json: bool) -> Iterator[Problem]:
    """What in ``tokenizer_config.json`` names code, or files that the digest does not see."""
    yield from code_problems(path, settings)
    for key in ("tokenizer_file", "vocab_file", "merges_file"):
        if isinstance(settings.get(key), str) and not has_tokenizer_json:
            yield Problem(
                str(path),
                f"names {shown(repr(settings[key]))} as its {key!r}",
                "vocabulary files beside it, under their usual names",
                "save the tokenizer again with tokenizer.save_pretrained",
            )


def config_problems(path: Path, config: Json) -> Iterator[Problem]:
    """What in ``config.json`` cannot be gated."""
    yield from code_problems(path, config)
    causal_only = "a causal language model (decoder only)"
    names = architectures(config)
    if config.get("is_encoder_decoder") is True:
        yield Problem(str(path), f"describes an encoder-decoder model {_named(names)}", causal_only)
    elif names and not any(_may_be_causal(name) for name in names):
        yield Problem(
            str(path),
            f"describes a model without a language-model head {_named(names)}",
            causal_only,
            "save the model as AutoModelForCausalLM",
        )
    if not isinstance(config.get("model_type"), str):
        yield Problem(str(path), "has no 'model_type'", "the architecture's name", "save it with model.save_pretrained")
    for key, value in _walk(config):
        if "implementation" in key and re.search(r"[/:]", str(value)):
            yield Problem(str(path), f"asks for the kernel {shown(repr(value))} ({key}), which is downloaded code")


def adapter_problems(path: Path, config: Json) -> Iterator[Problem]:
    """What in ``adapter_config.json`` imports by name, reads other files, or hides the base."""
    yield from code_problems(path, config)
    kind = config.get("peft_type")
    if kind not in ADAPTER_KINDS:
        yield Problem(str(path), f"peft_type {shown(repr(kind))}", f"one of {', '.join(sorted(ADAPTER_KINDS))}", _MERGE)
    for key in _ADAPTER_IMPORTS:
        if config.get(key) is not None:
            yield Problem(str(path), f"sets {key!r}, which brings in other code or other adapters", "null", _MERGE)
    if config.get("megatron_core", "megatron.core") not in ("megatron.core", None):
        yield Problem(str(path), f"names the module {shown(repr(config['megatron_core']))} to import", "megatron.core")
    for key, value in _walk(config):
        if key in _ADAPTER_FILES and value is not None:
            yield Problem(str(path), f"has {key!r}, which names a pickle to load", "null", _MERGE)
    match config.get("auto_mapping"):
        case None:
            pass
        case {"parent_library": str(library), "base_model_class": str(_)} if re.fullmatch(
            r"transformers(\.\w+)*", library
        ):
            pass
        case other:
            yield Problem(str(path), f"auto_mapping imports {shown(repr(other))}", "a class of transformers")
    if not isinstance(config.get("task_type"), str | None) or config.get("task_type") not in ("CAUSAL_LM", None):
        yield Problem(str(path), f"task_type {shown(repr(config.get('task_type')))}", "CAUSAL_LM")


def shares_base(adapter: Json) -> bool:
    """Whether the base can be had back by switching the adapter off, so that both may share one set of weights.

    Not so for trained biases, replicated layers, and initialisations that move a part of the base into the adapter.
    """
    start = adapter.get("init_lora_weights", True)
    moves_base = isinstance(start, str) and start.lower() not in ("gaussian", "eva", "orthogonal")
    return adapter.get("bias", "none") == "none" and not adapter.get("layer_replication") and not moves_base


def index_files(path: Path, index: Json, present: Mapping[str, int]) -> list[str]:
    """Shard names of ``model.safetensors.index.json``. Raises ModelFilesError where one is outside or missing."""
    weight_map = index.get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise ModelFilesError(Problem(str(path), "has no 'weight_map'", "tensor names with the file each lies in"))
    names = sorted({str(name) for name in cast("dict[str, object]", weight_map).values()})
    problems = [
        Problem(
            str(path),
            f"names {shown(name)!r}, which is {'not in the folder' if _is_plain(name) else 'no plain file name'}",
            "safetensors files that lie beside it",
            "log the whole folder that save_pretrained wrote",
        )
        for name in names
        if not _is_plain(name) or name not in present
    ]
    if problems:
        raise ModelFilesError(*problems)
    return names


def architectures(config: Json) -> list[str]:
    names = config.get("architectures")
    return [str(name) for name in cast("list[object]", names)] if isinstance(names, list) else []


def text_config(config: Json) -> Json:
    """The language model's own settings: multi-modal configurations nest them."""
    nested = config.get("text_config")
    return cast("Json", nested) if isinstance(nested, dict) else config


def whole_number(config: Json, *keys: str) -> int | None:
    """The first of ``keys`` that holds a positive whole number, in the configuration or its ``text_config``."""
    for settings in (config, text_config(config)):
        for key in keys:
            value = settings.get(key)
            if isinstance(value, int) and not isinstance(value, bool) and value > 0:
                return value
    return None


def _walk(value: object) -> Iterator[tuple[str, object]]:
    """Every key with its value, at any depth; without recursion, which hostile nesting could exhaust."""
    pending = [value]
    while pending:
        inner = pending.pop()
        if isinstance(inner, dict):
            pairs = cast("dict[str, object]", inner)
            yield from pairs.items()
            pending.extend(pairs.values())
        elif isinstance(inner, list):
            pending.extend(cast("list[object]", inner))


def _may_be_causal(name: str) -> bool:
    return re.search(r"(For(CausalLM|ConditionalGeneration)|LMHeadModel)$", name) is not None


def _named(names: list[str]) -> str:
    return f"({shown(', '.join(names))})" if names else ""


def _is_plain(name: str) -> bool:
    return re.fullmatch(r"[\w][\w.\-+=]*\.safetensors", name) is not None and ".." not in name
