"""Rows of different lengths behind each other in one sequence, without padding, each attending to itself alone.

All layers but attention treat tokens one by one, so one long sequence is as good to them as a batch, and holds no
padding to pay for; attention is computed row by row. On CPUs this is as fast as a batch of equal lengths. transformers
lets an attention function be registered; ours cuts the sequence and calls the standard one on each row.

Limits: architectures that do not go through that register, layers that cap their scores, and rows longer than a sliding
window are refused here or found out by ``Network``'s trial, and go padded.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

NAME = "finetune_gate_rows"

_UNKNOWN = ("softcap", "s_aux", "position_bias")

Span = tuple[int, int, "Tensor | None"]
"""Begin and end of a row in the sequence, and its mask; None for plain causal attention."""

_spans: ContextVar[Sequence[Span]] = ContextVar("rows of the sequence")


@contextmanager
def rows_apart(config: Any, spans: Sequence[Span]) -> Generator[None]:
    """Within the context, models of ``config`` attend within ``spans`` only. Reads and restores its attention name."""
    transformers = import_module("transformers")
    transformers.AttentionInterface.register(NAME, _attend)
    before, token = config._attn_implementation, _spans.set(spans)
    config._attn_implementation = NAME
    try:
        yield
    finally:
        config._attn_implementation = before
        _spans.reset(token)


def _attend(
    module: object, query: Tensor, key: Tensor, value: Tensor, attention_mask: object, **options: Any
) -> tuple[Tensor, None]:
    """Attention of each row by transformers' own function for it. ``query`` is (1, heads, tokens, width)."""
    import torch

    if attention_mask is not None or any(options.get(name) is not None for name in _UNKNOWN):
        raise NotImplementedError("this attention is more than causal")
    window = options.get("sliding_window")
    if window is not None and max(end - at for at, end, _ in _spans.get()) > window:
        raise NotImplementedError("a row is longer than what this layer sees of it")
    standard = import_module("transformers.integrations.sdpa_attention").sdpa_attention_forward
    parts = [
        standard(module, query[:, :, at:end], key[:, :, at:end], value[:, :, at:end], mask, **options)[0]
        for at, end, mask in _spans.get()
    ]
    return torch.cat(parts, dim=1), None
