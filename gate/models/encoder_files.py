"""Encoders as files: models that give a vector for a text, or tell whether one text entails another. They are judges.

    files = inspect_encoder(Path("downloads/all-MiniLM-L6-v2"))
    files.task       # "embeds", or "entails" for a sequence classifier with the three labels of NLI
    files.pooling    # "mean" or "cls", as its folder says

A plain Hugging Face folder or that of sentence-transformers, at the top or in the one sub-folder that holds a model, as
MLflow's flavors keep it. ``modules.json`` of the latter may name Transformer, Pooling and Normalize, and its
``1_Pooling/config.json`` mean or cls. Nothing is imported or executed here.

Limits: prompts that sentence-transformers would put before a text (``config_sentence_transformers.json``) are not put
there. Poolings other than mean and cls, Dense layers, and classifiers with other labels are refused.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Literal, cast

from finetune_gate.evaluators.errors import ModelFilesError, Problem

from ..pins import EncoderFiles
from .declared import MAX_CONFIG_BYTES, MAX_TOKENIZER_BYTES, architectures, code_problems, index_files, read_json
from .identity import digest_of, weights_entries
from .manifest import Manifest, hash_files, list_files, listed, open_regular, refuse_unsafe, shown
from .mlmodel import mapping
from .model_files import TOKENIZER_FILES, VOCABULARIES, digest_files

Task = Literal["embeds", "entails"]
Pooling = Literal["mean", "cls"]
Json = Mapping[str, object]

RELATIONS = ("entailment", "neutral", "contradiction")
_KNOWN_MODULES = ("Transformer", "Pooling", "Normalize")
_MODE = "pooling_mode_"
_ENCODERS = ("Model", "ForMaskedLM", "ForPreTraining")


def encoder_task(config: Json) -> Task | None:
    """What an encoder with this ``config.json`` could do; None for what is none: it writes, or is unknown."""
    names = architectures(config)
    if config.get("is_encoder_decoder") is True:
        return None
    if any(name.endswith("ForSequenceClassification") for name in names):
        return "entails"
    writes = any(name.endswith(("ForCausalLM", "ForConditionalGeneration", "LMHeadModel")) for name in names)
    return "embeds" if not writes and any(name.endswith(_ENCODERS) for name in names) else None


def is_encoder(manifest: Manifest) -> bool:
    """Whether ``inspect_encoder`` is what should look at these files. Raises ModelFilesError for a broken config.json,
    as whatever else looks at it would."""
    folder = _folder(manifest)
    return folder is not None and encoder_task(read_json(manifest.root / folder / "config.json")) is not None


def inspect_encoder(root: Path, *, allow_files: Sequence[str] = ()) -> EncoderFiles:
    """Find what the encoder in ``root`` does and how, refuse what is unsafe, and digest the rest.

    Raises ModelFilesError, also for a folder that holds no encoder.
    """
    manifest = list_files(root)
    refuse_unsafe(manifest, allow_files)
    folder = _folder(manifest)
    config: Json = {} if folder is None else read_json(manifest.root / folder / "config.json")
    task = encoder_task(config)
    if folder is None or task is None:
        raise ModelFilesError(
            Problem(
                str(manifest.root),
                f"holds no encoder ({shown(', '.join(architectures(config))) or 'no config.json in one place'})",
                "config.json of an encoder such as BertModel, or of a ForSequenceClassification",
            )
        )
    here, place = manifest.within(folder), manifest.root / folder
    tokenizer = _tokenizer(manifest, folder)
    problems = [*code_problems(place / "config.json", config), *_tokenizer_problems(manifest, tokenizer)]
    shards = [name for name in ("model.safetensors", "model.safetensors.index.json") if name in here][:1]
    if not shards:
        problems.append(
            Problem(
                str(place),
                f"has a configuration and no weights that can be loaded; it holds {listed(list(here))}",
                "model.safetensors, or model.safetensors.index.json with its shards",
                "save it with save_pretrained(dir, safe_serialization=True)",
            )
        )
    if problems:
        raise ModelFilesError(*problems)
    if shards == ["model.safetensors.index.json"]:
        shards = index_files(place / shards[0], read_json(place / shards[0], MAX_TOKENIZER_BYTES), here)
    hashes = hash_files(manifest)
    relations = _relations(place / "config.json", config) if task == "entails" else (0, 1, 2)
    pooling = _pooling(manifest, folder) if task == "embeds" else "mean"
    settings: Json = _settings(manifest, folder) if task == "embeds" else {}
    longest = settings.get("max_seq_length")
    lowercase = settings.get("do_lower_case") is True
    entries = [
        *weights_entries([place / name for name in shards], config),
        *_tokenizer_entries(manifest, tokenizer, hashes),
        f"encoder {task} {pooling} {relations} {longest} {lowercase}",
    ]
    return EncoderFiles(
        root=manifest.root,
        task=task,
        weights=place,
        tokenizer=manifest.root / tokenizer,
        digest=digest_of(entries),
        files_digest=digest_files(manifest, hashes),
        total_bytes=manifest.total_bytes,
        pooling=pooling,
        relations=relations,
        longest=longest if isinstance(longest, int) and longest > 0 else None,
        lowercase=lowercase,
    )


def _folder(manifest: Manifest) -> str | None:
    """Where the model lies: at the top, or in the only sub-folder with a configuration and weights."""
    if "config.json" in manifest.within(""):
        return ""
    found = [
        folder
        for folder in sorted(manifest.folders())
        if "config.json" in manifest.within(folder)
        and any(name.endswith(".safetensors") for name in manifest.within(folder))
    ]
    return found[0] if len(found) == 1 else None


def _tokenizer(manifest: Manifest, folder: str) -> str:
    for place in dict.fromkeys((folder, "components/tokenizer", "")):
        if any(fnmatchcase(name, pattern) for name in manifest.within(place) for pattern in VOCABULARIES):
            return place
    raise ModelFilesError(
        Problem(
            str(manifest.root / folder),
            "has no tokenizer",
            "tokenizer.json, or a tokenizer's vocabulary files, beside the weights",
            "call tokenizer.save_pretrained on the same folder",
        )
    )


def _tokenizer_problems(manifest: Manifest, folder: str) -> Iterator[Problem]:
    if "tokenizer_config.json" in manifest.within(folder):
        path = manifest.root / folder / "tokenizer_config.json"
        yield from code_problems(path, read_json(path, MAX_TOKENIZER_BYTES))


def _tokenizer_entries(manifest: Manifest, folder: str, hashes: Mapping[str, str]) -> Iterator[str]:
    for name in sorted(manifest.within(folder)):
        if any(fnmatchcase(name, pattern) for pattern in TOKENIZER_FILES):
            yield f"tokenizer {name} {hashes[str(PurePosixPath(folder) / name)]}"


def _relations(path: Path, config: Json) -> tuple[int, int, int]:
    """At which outputs the relations of NLI are. Raises ModelFilesError for a classifier of anything else."""
    named = {str(name).strip().casefold(): place for place, name in mapping(config.get("id2label")).items()}
    places = [named.get(relation, "") for relation in RELATIONS]
    if len(named) != len(RELATIONS) or sorted(places) != ["0", "1", "2"]:
        raise ModelFilesError(
            Problem(
                str(path),
                f"classifies into {shown(', '.join(sorted(named))) or 'labels without a name'}",
                f"the three labels {', '.join(RELATIONS)}, in any order",
                "use a model trained on three-way natural language inference, and name its labels in id2label: with"
                " two labels, not entailed could mean neutral or contradicted",
            )
        )
    first, second, third = map(int, places)
    return first, second, third


def _pooling(manifest: Manifest, folder: str) -> Pooling:
    """How one vector is made of many. Raises ModelFilesError for a way that is not known here."""
    # sentence-transformers keeps its list of modules beside the model, or above it where that is a module's own folder
    home = PurePosixPath(folder if f"{folder}/modules.json" in manifest.files else "")
    modules = _modules(manifest, home)
    if unknown := [kind for kind, _ in modules if kind not in _KNOWN_MODULES]:
        raise ModelFilesError(
            Problem(
                str(manifest.root / home / "modules.json"),
                f"has the module {shown(unknown[0])!r}",
                f"only {', '.join(_KNOWN_MODULES)}",
                "use an encoder without further layers",
            )
        )
    place = home / next((path for kind, path in modules if kind == "Pooling"), "1_Pooling")
    if "config.json" not in manifest.within(str(place)):
        return "mean"
    path = manifest.root / place / "config.json"
    settings = read_json(path)
    named = settings.get("pooling_mode")
    modes = {key.removeprefix(_MODE) for key, on in settings.items() if key.startswith(_MODE) and on}
    modes |= {named} if isinstance(named, str) else set()
    match sorted(modes):
        case ["mean_tokens"] | ["mean"] | []:
            return "mean"
        case ["cls_token"] | ["cls"]:
            return "cls"
        case others:
            raise ModelFilesError(
                Problem(str(path), f"pools by {shown(', '.join(others))}", "mean or cls", "use an encoder that does")
            )


def _modules(manifest: Manifest, home: PurePosixPath) -> list[tuple[str, str]]:
    """Kind and folder of each module that sentence-transformers would load; empty where it is no folder of its."""
    if str(home / "modules.json") not in manifest.files:
        return []
    path = manifest.root / home / "modules.json"
    try:
        with os.fdopen(open_regular(path), "rb") as file:
            document: object = json.loads(file.read(MAX_CONFIG_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelFilesError(Problem(str(path), f"is not valid JSON: {shown(str(error))}", "a list")) from error
    entries = [mapping(entry) for entry in cast("list[object]", document)] if isinstance(document, list) else []
    return [(str(entry.get("type", "")).rpartition(".")[2], str(entry.get("path", ""))) for entry in entries]


def _settings(manifest: Manifest, folder: str) -> Json:
    """``sentence_bert_config.json``, wherever sentence-transformers may have put it."""
    for place in dict.fromkeys((folder, "")):
        if "sentence_bert_config.json" in manifest.within(place):
            return read_json(manifest.root / place / "sentence_bert_config.json")
    return {}
