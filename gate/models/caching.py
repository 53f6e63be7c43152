"""A key-value cache with room: tokens are written behind the earlier ones, where transformers' own copies all of them
for every token.

    cache = roomy(DynamicCache(config=model.config), room=32)

Rows that leave a batch are overwritten by its last ones, so that no other row is moved. Only layers that keep every
token are replaced; sliding windows and recurrent states stay as transformers made them.
"""

from __future__ import annotations

from functools import cache as once
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from torch import Tensor


def roomy(cache: Any, room: int) -> Any:
    """``cache``, an empty DynamicCache, with layers that have room for ``room`` tokens after the first ones."""
    plain, made = import_module("transformers.cache_utils").DynamicLayer, _layer_class()
    cache.layers = [made(room) if type(layer) is plain else layer for layer in cache.layers]
    return cache


def places_after(keep: list[int]) -> list[int]:
    """Which row stands where once only the rows ``keep`` (ascending) are left: the last ones fill the gaps.

    ``places_after([0, 2, 5])`` is ``[0, 5, 2]``.
    """
    count = len(keep)
    staying = {row for row in keep if row < count}
    moving = iter([row for row in keep if row >= count])
    return [row if row in staying else next(moving) for row in range(count)]


@once
def _layer_class() -> Any:
    """Made at the first use: its base class imports torch."""
    plain: Any = import_module("transformers.cache_utils").DynamicLayer

    class RoomyLayer(plain):
        """``keys`` and ``values`` are views of the filled part of two buffers: (rows, heads, tokens, width)."""

        keys: Any
        values: Any

        def __init__(self, room: int) -> None:
            super().__init__()  # pyright: ignore[reportUnknownMemberType]  -- a class of transformers, as below
            self._room = room
            self._buffers: tuple[Tensor, Tensor] | None = None

        def update(self, key_states: Tensor, value_states: Tensor, *_: object, **__: object) -> tuple[Tensor, Tensor]:
            if not self.is_initialized:
                self.lazy_initialization(key_states, value_states)
            seen = self.get_seq_length()
            end = seen + key_states.shape[-2]
            if self._buffers is None or self._buffers[0].shape[-2] < end:
                self._buffers = (self._grown(self.keys, key_states, end), self._grown(self.values, value_states, end))
            keys, values = self._buffers
            rows = key_states.shape[0]
            keys[:rows, :, seen:end] = key_states
            values[:rows, :, seen:end] = value_states
            self.keys, self.values = keys[:rows, :, :end], values[:rows, :, :end]
            return self.keys, self.values

        def batch_repeat_interleave(self, repeats: int) -> None:
            self._buffers = None
            if self.get_seq_length() > 0 and self.keys.shape[0] == 1:  # copied when the next token comes
                self.keys, self.values = (tensor.expand(repeats, -1, -1, -1) for tensor in (self.keys, self.values))
            else:
                super().batch_repeat_interleave(repeats)  # pyright: ignore[reportUnknownMemberType]

        def reorder_cache(self, beam_idx: Tensor) -> None:
            if self.get_seq_length() == 0:
                return
            wanted = cast("list[int]", beam_idx.tolist())  # pyright: ignore[reportUnknownMemberType]  -- torch leaves it open
            count = len(wanted)
            moved = [place for place, row in enumerate(wanted) if row != place]
            if self._buffers is None or any(wanted[place] < count for place in moved):
                super().reorder_cache(beam_idx)  # pyright: ignore[reportUnknownMemberType]
                self._buffers = None
                return
            if moved:
                sources = [wanted[place] for place in moved]
                self.keys[moved] = self.keys[sources]
                self.values[moved] = self.values[sources]
            self.keys, self.values = self.keys[:count], self.values[:count]

        def _grown(self, old: Tensor, new: Tensor, end: int) -> Tensor:
            rows, heads, _, width = new.shape
            buffer = new.new_empty((rows, heads, end + self._room, width))
            if self.get_seq_length() > 0:
                buffer[:, :, : old.shape[-2]] = old
            return buffer

    return RoomyLayer
