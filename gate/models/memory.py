"""Batches by token budget that shrink when memory runs out."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from typing import TypeVar

from finetune_gate.evaluators.errors import ModelError, Problem

from .batching import batch_end
from .manifest import shown

Item = TypeVar("Item")

_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "failed to allocate", "alloc_failed")
"""What torch's devices say; the last is cuBLAS and cuDNN, which need memory of their own at the first product."""


def in_batches(
    items: Sequence[Item], size: Callable[[Item], int], budget: int, work: Callable[[Sequence[Item]], None]
) -> None:
    """Call ``work`` on all ``items``, longest first, at most ``budget`` padded tokens at a time; on running out of
    memory with half as many. Raises ModelError where one item alone does not fit."""
    ordered = sorted(items, key=size, reverse=True)
    lengths = [size(item) for item in ordered]
    at = 0
    while at < len(ordered):
        end = batch_end(lengths, at, budget)
        try:
            work(ordered[at:end])
            at = end
            continue
        except (RuntimeError, MemoryError) as error:
            if not _is_out_of_memory(error):
                raise
            if end - at == 1:
                raise ModelError(
                    Problem(
                        "memory",
                        f"one sequence of {lengths[at]} tokens does not fit",
                        "enough memory for the model and its longest sequence",
                        "use a larger device, a shorter text, or execution.dtype: bfloat16",
                    )
                ) from error
        # only here, behind the handler, does nothing hold on to the failed batch's tensors any more
        _give_back_memory()
        budget = max(1, (end - at) // 2) * max(1, lengths[at])


def refuse_out_of_memory(error: Exception) -> None:
    """Raise ModelError where ``error`` says that memory ran out with nothing but the model in it; else return."""
    if isinstance(error, ModelError):  # said already, by a trial inside a trial
        raise error
    fault = shown(str(error).partition("\n")[0] or type(error).__name__, 200)
    if _is_out_of_memory(error):
        raise ModelError(
            Problem(
                "memory",
                f"the model itself does not fit: {fault}",
                "enough memory for the model and its longest sequence",
                "use a larger device, free what else is in its memory, or set execution.dtype: bfloat16",
            )
        ) from error


def _give_back_memory() -> None:
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _is_out_of_memory(error: Exception) -> bool:
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(sign in text for sign in _OUT_OF_MEMORY)
