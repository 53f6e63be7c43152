"""Encoders by transformers: offline, safetensors only, no remote code. Whatever it raises becomes a ModelError here."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, cast

from finetune_gate.evaluators.errors import ModelError, Problem

from ..pins import EncoderFiles
from .loading import loading_border
from .manifest import shown

if TYPE_CHECKING:
    from torch import Tensor


class Encoder(Protocol):
    """An encoder of transformers: with a head it returns ``logits``, without one ``last_hidden_state``."""

    def __call__(self, **inputs: Tensor) -> Any: ...


def load_encoder(files: EncoderFiles, dtype: str, device: str, padding: int | None) -> tuple[Encoder, int]:
    """The encoder in evaluation mode, and how many parameters it has. Raises ModelError where a tensor that matters is
    missing. A pooler is none of them: vectors are pooled here. ``padding`` is the tokenizer's: classifiers made of a
    decoder read the last token that is something else."""
    torch: Any = import_module("torch")
    where = str(files.weights)
    kind = "AutoModel" if files.task == "embeds" else "AutoModelForSequenceClassification"
    with loading_border(files.weights, "the encoder", kind):
        transformers: Any = import_module("transformers")
        model, report = getattr(transformers, kind).from_pretrained(
            where,
            dtype=getattr(torch, dtype),
            trust_remote_code=False,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
        )
        model = model.eval().to(device)
    named = {str(key) for kind in ("missing_keys", "mismatched_keys") for key in report.get(kind, ())}
    lacking = sorted(key for key in named if files.task == "entails" or not key.startswith("pooler."))
    if lacking:
        raise ModelError(
            Problem(
                where,
                f"{len(lacking)} tensors are missing or of another shape, {shown(lacking[0])} among them",
                "every tensor that the configuration asks for",
                "save the whole model with save_pretrained",
            )
        )
    if getattr(model.config, "pad_token_id", None) is None:
        model.config.pad_token_id = padding
    return cast("Encoder", model), sum(parameter.numel() for parameter in model.parameters())
