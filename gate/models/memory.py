"""Batches by token budget that shrink when memory runs out."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from typing import TypeVar

from finetune_gate.evaluators.errors import ModelError, Problem

from .batching import batch_end

Item = TypeVar("Item")

_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "failed to allocate")


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


def _give_back_memory() -> None:
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _is_out_of_memory(error: Exception) -> bool:
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(sign in text for sign in _OUT_OF_MEMORY)
