"""Tokenizers and weights from inspected files, by transformers and PEFT: offline, quiet, safetensors only, no remote
code. Whatever those libraries raise becomes a ModelError here.
"""

from __future__ import annotations

import importlib.metadata
import os
import sys
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, cast

from finetune_gate.evaluators.errors import EvaluationError, ModelError, Problem

from .declared import Json, read_json, text_config, whole_number
from .foreign import Adapted, CausalModel, Tokenizer
from .identity import tensor_lines
from .manifest import shown
from .memory import refuse_out_of_memory

Dtype = Literal["float32", "bfloat16", "float16"]

DEFAULT_CONTEXT = 2048
"""Where neither configuration nor tokenizer names a context length (some recurrent models have none)."""

PLAIN_TOKENIZER_TYPES = frozenset(
    ("llama", "gpt2", "gpt_neox", "gptj", "opt", "bloom", "falcon", "gemma", "gemma2", "gemma3_text", "qwen3", "olmo2")
)
"""Architectures for which AutoTokenizer gives the plain backend if the tokenizer declares it. Known here, because
AutoTokenizer imports torch, and the address of a stored answer should not cost that."""

_PROBE = "The quick brown fox jumps over 13 lazy dogs."


def pick_device(wish: str) -> str:
    """``"auto"``: the first of cuda, mps and cpu that is there. torch is imported only where a device could be."""
    if wish != "auto":
        return wish
    if not _may_have_accelerator():
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def pick_dtype(wish: str, device: str, config: Json) -> Dtype:
    """``"auto"``: the checkpoint's own type on cuda, float32 elsewhere (exact, and on CPUs the faster)."""
    if wish in ("float32", "bfloat16", "float16"):
        return wish
    if wish != "auto":
        raise ModelError(
            Problem("dtype", f"is {shown(repr(wish))}", "auto, float32, bfloat16 or float16", "change execution.dtype")
        )
    if not device.startswith("cuda"):
        return "float32"
    for settings in (config, text_config(config)):
        named = settings.get("dtype", settings.get("torch_dtype"))
        if named in ("float32", "bfloat16", "float16"):
            return named
    return "float32"


def context_length(config: Json, tokenizer: Tokenizer) -> int:
    """How many tokens one forward pass may hold: the configuration's, or the tokenizer's where that is smaller."""
    configured = whole_number(
        config, "max_position_embeddings", "n_positions", "n_ctx", "max_sequence_length", "max_seq_len", "seq_length"
    )
    limit = tokenizer.model_max_length  # 1e30 where nobody set it
    sane = 1 < limit < 10_000_000
    if configured is None:
        return int(limit) if sane else DEFAULT_CONTEXT
    return min(configured, int(limit)) if sane else configured


@contextmanager
def offline() -> Generator[None]:
    """No network, no progress bars, no advice: huggingface_hub reads its switch at import, so both places are set."""
    switches = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    before = {name: os.environ.get(name) for name in switches}
    os.environ.update(switches)
    constants, logging = _library("huggingface_hub.constants"), _library("transformers.utils.logging")
    was_offline, verbosity, bars = constants.HF_HUB_OFFLINE, logging.get_verbosity(), logging.is_progress_bar_enabled()
    constants.HF_HUB_OFFLINE = True
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        constants.HF_HUB_OFFLINE = was_offline
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def loading_border(where: Path, what: str, classes: str = "AutoModelForCausalLM and AutoTokenizer") -> Generator[None]:
    """The named border to transformers, PEFT, tokenizers and safetensors: malformed files make them raise anything."""
    try:
        with offline():
            yield
    except (EvaluationError, KeyboardInterrupt):
        raise
    except Exception as error:
        refuse_out_of_memory(error)
        fault = shown(f"{type(error).__name__}: {error}".replace("\n", " "), 400)
        raise ModelError(
            Problem(
                str(where),
                f"{what} cannot be loaded: {fault}",
                "files that the installed transformers loads without code of their own",
                f"load the folder with {classes}, and save it again with the result",
            )
        ) from error


def load_tokenizer(folder: Path, config_folder: Path | None) -> Tokenizer:
    """The tokenizer in ``folder``; ``config_folder`` holds the config.json that decides its class, as it would if both
    lay together. Raises ModelError where text that goes in does not come out again."""
    with loading_border(folder, "the tokenizer"):
        config: Json = read_json(config_folder / "config.json") if config_folder else {}
        options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        if _is_plain(folder, config):
            kind = _library("transformers.tokenization_utils_tokenizers").TokenizersBackend
        else:
            kind = _library("transformers").AutoTokenizer
            if config_folder:
                options["config"] = _library("transformers").AutoConfig.from_pretrained(str(config_folder), **options)
        tokenizer = cast("Tokenizer", kind.from_pretrained(str(folder), **options))
        _check_round_trip(folder, tokenizer)
        return tokenizer


def check_vocabulary(top: int, rows: int | None, where: Path) -> None:
    """Raise ModelError where the tokenizer's highest id ``top`` has no embedding in the model."""
    if rows is not None and top >= rows:
        raise ModelError(
            Problem(
                str(where),
                f"its tokenizer gives ids up to {top}, and the model has {rows} embeddings",
                "a vocabulary no larger than the embedding",
                "call model.resize_token_embeddings(len(tokenizer)) before training; for an adapter that adds tokens,"
                " merge it (merge_and_unload) and log the merged model",
            )
        )


def load_causal_model(weights: Path, dtype: Dtype, device: str) -> CausalModel:
    """The causal language model in ``weights``, in evaluation mode. Raises ModelError where a tensor is missing:
    transformers would put random numbers in its place; where the device is none that torch can use; and where memory
    does not hold it."""
    with loading_border(weights, "the model"):
        torch = _library("torch")
        _limit_threads()
        _check_device(device)
        model, report = _library("transformers").AutoModelForCausalLM.from_pretrained(
            str(weights),
            dtype=getattr(torch, dtype),
            trust_remote_code=False,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
        )
        lacking = sorted({str(key) for kind in ("missing_keys", "mismatched_keys") for key in report.get(kind, ())})
        if lacking:
            raise ModelError(
                Problem(
                    str(weights),
                    f"{len(lacking)} tensors are missing or of another shape, {shown(lacking[0])} among them",
                    "every tensor that the configuration asks for",
                    "save the whole model with save_pretrained; a PEFT model's base must be saved without its adapter",
                )
            )
        return cast("CausalModel", model.eval().to(device))


def attach_adapter(model: CausalModel | Adapted, adapter: Path, name: str, device: str, first: bool) -> Adapted:
    """Put the adapter in ``adapter`` onto ``model`` under ``name``; it is not made active.

    Raises ModelError where it does not fit, or leaves a layer of its own without weights.
    """
    with loading_border(adapter, "the adapter"):
        peft = _library("peft")
        options: dict[str, Any] = {"adapter_name": name, "is_trainable": False, "torch_device": device}
        if first:
            adapted = peft.PeftModel.from_pretrained(model, str(adapter), **options)
        else:
            adapted = cast("Any", model)
            adapted.load_adapter(str(adapter), **options)
        put = set(peft.get_peft_model_state_dict(adapted, adapter_name=name, save_embedding_layers=False))
        stored = set(tensor_lines(adapter / "adapter_model.safetensors"))
        if lacking := sorted(put - stored):
            raise ModelError(
                Problem(
                    str(adapter),
                    f"has no weights for {len(lacking)} of its layers, {shown(lacking[0])} among them",
                    "an adapter trained on this base",
                    "check that the base named is the one it was trained from",
                )
            )
        return cast("Adapted", adapted.eval())


def _library(name: str) -> Any:
    """A heavy, loosely typed library, imported when it is needed. Results are cast where they enter typed code."""
    return import_module(name)


def _is_plain(folder: Path, config: Json) -> bool:
    path = folder / "tokenizer_config.json"
    if not (folder / "tokenizer.json").is_file() or not path.is_file() or (folder / "tekken.json").is_file():
        return False
    declared = read_json(path, 50 << 20).get("tokenizer_class")
    plain = declared in ("TokenizersBackend", "PreTrainedTokenizerFast")
    return plain and config.get("model_type") in PLAIN_TOKENIZER_TYPES


def _check_round_trip(folder: Path, tokenizer: Tokenizer) -> None:
    """A tokenizer that lost its vocabulary loads without complaint and encodes everything to nothing."""
    ids = tokenizer(
        [_PROBE], add_special_tokens=False, return_attention_mask=False, return_token_type_ids=False, verbose=False
    )["input_ids"][0]
    back = tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    same = "".join(back.split()).casefold() == "".join(_PROBE.split()).casefold()
    if not ids or not (same or tokenizer.unk_token_id in ids):
        found = f"{len(ids)} tokens that read {shown(repr(back), 80)}"
        raise ModelError(
            Problem(
                str(folder),
                f"its tokenizer turns {_PROBE!r} into {found}",
                "the same text back",
                "log the folder that tokenizer.save_pretrained wrote, with tokenizer.json in it",
            )
        )


def _check_device(device: str) -> None:
    """Raise ModelError where torch cannot put anything on ``device``, before weights are read for nothing."""
    torch = _library("torch")
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # a torch without CUDA raises the second
        refuse_out_of_memory(error)
        fault = shown(str(error).partition("\n")[0], 200)
        raise ModelError(
            Problem(
                "device",
                f"{shown(repr(device))} cannot be used: {fault}",
                "a device of this machine that the installed torch can use",
                "set execution.device: auto, or install a torch that is built for the device",
            )
        ) from error


def _limit_threads() -> None:
    """No more threads than cores this process may use; torch counts the machine's. OMP_NUM_THREADS is obeyed."""
    if "OMP_NUM_THREADS" in os.environ or not hasattr(os, "sched_getaffinity"):
        return
    import torch

    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text("ascii").split()
        if quota != "max":
            cores = min(cores, max(1, int(quota) // int(period)))
    except (OSError, ValueError):
        pass  # no such limit on this machine
    if torch.get_num_threads() > cores:
        torch.set_num_threads(cores)


def _may_have_accelerator() -> bool:
    if "torch" in sys.modules or sys.platform != "linux":  # elsewhere devices are no files
        return True
    try:
        if importlib.metadata.version("torch").endswith("+cpu"):
            return False
    except importlib.metadata.PackageNotFoundError:
        return False
    return any(Path(device).exists() for device in ("/dev/nvidiactl", "/dev/nvidia0", "/dev/kfd", "/dev/dxg"))
