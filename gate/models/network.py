"""One causal language model on one device, as scoring and generating use it: hidden states, logits of chosen
positions, next-token logits with a cache. What an architecture can do is tried once, on a few tokens, not looked up.
"""

from __future__ import annotations

import inspect
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, cast

from .batching import Row
from .caching import roomy
from .declared import Json
from .foreign import Cache, CausalModel
from .memory import refuse_out_of_memory
from .packing import Span, rows_apart

if TYPE_CHECKING:
    from torch import Tensor

MAX_LOGITS = 1 << 25
"""Logits held at a time, tokens times vocabulary: 128 MiB in float32, and as much again for their logarithms."""

UNBOUNDED = 1 << 60

DEFAULT_BATCH_TOKENS = {"cpu": 1024, "mps": 4096, "cuda": 16384}
"""Tokens in one batch of scoring. Larger ones are no faster on a CPU, whose caches they leave."""


class Network:
    """``network.logits(rows)``: see each method. Right padding needs no mask, since attention is causal; rows with
    branches bring their own mask."""

    def __init__(self, model: CausalModel, device: str, config: Json) -> None:
        self._model = model
        self._device = device
        self._config = config
        accepted = set(inspect.signature(model.forward).parameters)
        self._keeps = "logits_to_keep" in accepted
        self._may_cache = {"past_key_values", "attention_mask", "position_ids"} <= accepted

    def tensor(self, rows: Sequence[Sequence[int]]) -> Tensor:
        import torch

        return torch.tensor(rows, dtype=torch.long, device=self._device)

    @cached_property
    def parameters(self) -> int:
        return sum(tensor.numel() for tensor in self._model.parameters())

    @cached_property
    def splits(self) -> bool:
        """Whether body and head can be run apart: then logits are computed only where they are read."""
        import torch

        try:
            ids = self.tensor([self._probe(5, 3, 1, 2)])
            with torch.inference_mode():
                whole = self._model(input_ids=ids, use_cache=False).logits
                return bool(torch.equal(self._head(self._hidden(input_ids=ids)), whole))
        except Exception as error:  # noqa: BLE001 -- an architecture of another build may raise anything
            refuse_out_of_memory(error)  # says nothing about the architecture, and would be remembered
            return False

    @cached_property
    def branches(self) -> bool:
        """Whether a mask of ours is obeyed, so that several continuations can share their prompt in one row."""
        try:
            if self.packs:
                return True
            if not self.splits or not self._may_cache or not self.shares_prefix:
                return False
            trunk, first, second = self._probe(5, 3, 1, 2), self._probe(4, 6, 7), self._probe(1, 4, 0)
            together = self.logits([Row(trunk, (first, second))], [[6, 9]], packed=False)
            apart = self.logits([Row(trunk + first), Row(trunk + second)], [[6], [6]], packed=False)
            return _alike(together, apart)
        except Exception as error:  # noqa: BLE001 -- as above
            refuse_out_of_memory(error)
            return False

    @cached_property
    def packs(self) -> bool:
        """Whether rows can stand behind each other in one sequence. Tried on CPUs only: elsewhere, many small
        attentions in a row cost more than padding."""
        if self._device != "cpu":
            return False
        rows = [Row(self._probe(5, 3, 1, 2, 6)), Row(self._probe(1, 4)), Row(self._probe(3, 0, 2))]
        rows.append(Row(self._probe(5, 3, 1, 2), (self._probe(4, 6, 7), self._probe(1, 4, 0))))
        plain = [
            rows[0],
            rows[1],
            rows[2],
            Row(self._probe(5, 3, 1, 2, 4, 6, 7)),
            Row(self._probe(5, 3, 1, 2, 1, 4, 0)),
        ]
        try:
            if not self.splits or not self._may_cache or self.window < rows[-1].length:
                return False
            together = self.logits(rows, [[4], [0, 1], [2], [6, 9]], packed=True)
            ends = ([4], [0, 1], [2], [6], [6])
            apart = [self.logits([row], [end], packed=False) for row, end in zip(plain, ends, strict=True)]
            return _alike(together, _joined(apart))
        except Exception as error:  # noqa: BLE001 -- as above
            refuse_out_of_memory(error)
            return False

    @cached_property
    def caches(self) -> bool:
        """Whether rows padded on the left go on from a cache as they would from the start."""
        import torch

        if not self._may_cache:
            return False
        long, short, more = self._probe(5, 3, 1, 2), self._probe(1, 4), self._probe(6, 7)
        try:
            with torch.inference_mode():
                cache, mask = self.new_cache(), self.tensor([[1, 1, 1, 1], [0, 0, 1, 1]])
                ids, positions = self.tensor([long, (0, 0, *short)]), self.tensor([[0, 1, 2, 3], [0, 0, 0, 1]])
                begun = self.following(ids, cache, mask, positions)
                cache.reorder_cache(self.tensor([[1, 0]])[0])
                mask = torch.cat([mask[[1, 0]], torch.ones_like(mask[:, :1])], dim=1)
                ids, positions = self.tensor([[more[1]], [more[0]]]), self.tensor([[2], [4]])
                gone_on = self.following(ids, cache, mask, positions)
                rows = (long, short, (*short, more[1]), (*long, more[0]))
                fresh = [self.following(self.tensor([row]), None, None, None) for row in rows]
                return _alike(torch.cat([begun, gone_on]), torch.cat(fresh))
        except Exception as error:  # noqa: BLE001 -- as above
            refuse_out_of_memory(error)
            return False

    def logits(self, rows: Sequence[Row], positions: Sequence[Sequence[int]], packed: bool | None = None) -> Tensor:
        """Logits at the given positions of each row, all rows together: (number of positions, vocabulary)."""
        return next(self.chunks(rows, positions, limit=None, packed=packed))

    def chunks(
        self,
        rows: Sequence[Row],
        positions: Sequence[Sequence[int]],
        limit: int | None = MAX_LOGITS,
        packed: bool | None = None,
    ) -> Generator[Tensor]:
        """The same as ``logits``, in pieces of at most ``limit`` numbers; ``packed`` None is whatever works."""
        import torch

        with torch.inference_mode():
            if not self.splits:
                yield _picked(self._model(**self._padded(rows), use_cache=False).logits, positions)
                return
            if packed is None:
                packed = self.packs and all(row.length <= self.window for row in rows)
            hidden = self._packed(rows, positions) if packed else _picked(self._hidden(**self._padded(rows)), positions)
            step = max(1, len(hidden) if limit is None else limit // self._vocabulary)
            for at in range(0, len(hidden), step):
                yield self._head(hidden[None, at : at + step])[0]

    def new_cache(self, room: int = 0) -> Cache:
        """An empty cache in which up to ``room`` tokens can follow the first ones without a copy."""
        return cast("Cache", roomy(self._plain_cache(), room))

    @cached_property
    def cache_bytes(self) -> int:
        """What one token takes in a cache."""
        import torch

        with torch.inference_mode():
            cache = self.new_cache()
            self.following(self.tensor([self._probe(5, 3)]), cache, None, self.tensor([[0, 1]]))
            layers = cast("list[object]", getattr(cache, "layers", []))
            held = [
                cast("Tensor | None", getattr(layer, name, None)) for layer in layers for name in ("keys", "values")
            ]
            return sum(tensor.nbytes // max(1, tensor.shape[-2]) for tensor in held if tensor is not None)

    @property
    def shares_prefix(self) -> bool:
        """Whether padding may stand between a shared beginning and the rest: not where attention counts distances in
        the padded row, as sliding windows do."""
        return self._may_cache and self.window == UNBOUNDED

    def following(self, ids: Tensor, cache: Cache | None, mask: Tensor | None, positions: Tensor | None) -> Tensor:
        """Next-token logits after each row of ``ids``: (rows, vocabulary). Fills ``cache``."""
        inputs: dict[str, object] = {"input_ids": ids, "use_cache": cache is not None}
        if cache is not None:
            inputs |= {"past_key_values": cache, "position_ids": positions}
            if mask is not None:
                inputs["attention_mask"] = mask
        if self._keeps:
            inputs["logits_to_keep"] = 1
        return self._model(**inputs).logits[:, -1]

    @cached_property
    def _vocabulary(self) -> int:
        return max(1, int(self._model.get_input_embeddings().weight.shape[0]))

    def _probe(self, *ids: int) -> tuple[int, ...]:
        return tuple(token % self._vocabulary for token in ids)

    def _plain_cache(self) -> object:
        from transformers import DynamicCache

        return DynamicCache(config=self._model.config)  # pyright: ignore[reportArgumentType]  -- a config

    @cached_property
    def window(self) -> int:
        """How many tokens a row may have before any layer treats it otherwise than full attention would."""
        if self._config.get("alibi") is True:
            return 0
        seen = [UNBOUNDED]
        for layer in cast("list[object]", getattr(self._plain_cache(), "layers", [])):
            match type(layer).__name__:
                case "DynamicLayer":
                    pass
                case "DynamicSlidingWindowLayer":
                    seen.append(int(getattr(layer, "sliding_window", 0)))
                case _:
                    seen.append(0)
        return min(seen)

    def _packed(self, rows: Sequence[Row], positions: Sequence[Sequence[int]]) -> Tensor:
        """Hidden states at ``positions``, all rows in one sequence."""
        spans: list[Span] = []
        where: list[int] = []
        at = 0
        for row, of_row in zip(rows, positions, strict=True):
            spans.append((at, at + row.length, self._mask([row], row.length) if row.branches else None))
            where.extend(at + position for position in of_row)
            at += row.length
        ids = [token for row in rows for token in row.tokens]
        places = [place for row in rows for place in _positions(row, row.length)]
        with rows_apart(self._model.config, spans):
            hidden = self._hidden(input_ids=self.tensor([ids]), position_ids=self.tensor([places]))
        return hidden[0, self.tensor([where])[0]]

    def _padded(self, rows: Sequence[Row]) -> dict[str, object]:
        width = max(row.length for row in rows)
        ids = self.tensor([[*row.tokens, *[0] * (width - row.length)] for row in rows])
        if not any(row.branches for row in rows):
            return {"input_ids": ids}
        return {
            "input_ids": ids,
            "attention_mask": self._mask(rows, width),
            "position_ids": self.tensor([_positions(row, width) for row in rows]),
        }

    def _mask(self, rows: Sequence[Row], width: int) -> Tensor:
        """What each position sees: (rows, 1, width, width), 0 for seen and the lowest number for not."""
        import torch

        part = self.tensor([_parts(row, width) for row in rows])
        seen = (part[:, None, :] == 0) | (part[:, None, :] == part[:, :, None])
        seen = seen & torch.ones(width, width, dtype=torch.bool, device=self._device).tril()
        dtype = self._model.get_input_embeddings().weight.dtype
        mask = torch.zeros(seen.shape, dtype=dtype, device=self._device)
        return mask.masked_fill(~seen, torch.finfo(dtype).min)[:, None]

    def _hidden(self, **inputs: object) -> Tensor:
        return self._model.base_model(**inputs, use_cache=False).last_hidden_state

    def _head(self, hidden: Tensor) -> Tensor:
        """The model's own way from hidden states to logits, whatever it does besides the projection."""
        with _body_returns(self._model, hidden):
            zeros = self.tensor([[0] * hidden.shape[1]] * hidden.shape[0])
            return self._model(input_ids=zeros, use_cache=False).logits


def numbers(tensor: Tensor) -> list[float]:
    """A tensor of one dimension as Python numbers."""
    return cast("list[float]", tensor.tolist())  # pyright: ignore[reportUnknownMemberType]  -- torch leaves it open


def _joined(tensors: Sequence[Tensor]) -> Tensor:
    import torch

    return torch.cat(list(tensors))


def _picked(of_rows: Tensor, positions: Sequence[Sequence[int]]) -> Tensor:
    """The entries of ``of_rows`` (rows, positions, ...) at ``positions``, row after row."""
    rows = [index for index, of_row in enumerate(positions) for _ in of_row]
    return of_rows[rows, [position for of_row in positions for position in of_row]]


def _alike(found: Tensor, right: Tensor) -> bool:
    """Equal but for rounding, of which half precision has much."""
    tolerance = 2e-5 if "32" in str(right.dtype) else 2e-2
    return bool((found - right).abs().max() <= tolerance * max(1.0, float(right.abs().max())))


def _parts(row: Row, width: int) -> list[int]:
    """0 for the trunk, 1, 2, ... for the branches, -1 for padding."""
    parts = [0] * len(row.trunk)
    for number, branch in enumerate(row.branches, start=1):
        parts.extend([number] * len(branch))
    return parts + [-1] * (width - len(parts))


def _positions(row: Row, width: int) -> list[int]:
    """Every branch goes on from the end of the trunk."""
    trunk = len(row.trunk)
    positions = [*range(trunk), *(trunk + at for branch in row.branches for at in range(len(branch)))]
    return positions + [0] * (width - len(positions))


class _BodyOutput:
    """The output of any architecture's body: hidden states, and None for whatever else it may be asked."""

    def __init__(self, hidden: Tensor) -> None:
        self.last_hidden_state = hidden

    def __getattr__(self, name: str) -> None:
        return None

    def __getitem__(self, at: int | slice) -> object:
        return (self.last_hidden_state,)[at]


@contextmanager
def _body_returns(model: CausalModel, hidden: Tensor) -> Generator[None]:
    body = model.base_model
    if cast("object", body) is model:
        raise ValueError("the model has no body of its own")

    def forward(*_: object, **__: object) -> object:
        return _BodyOutput(hidden)

    before = body.__dict__.get("forward")
    body.forward = forward
    try:
        yield
    finally:
        if before is None:
            del body.__dict__["forward"]
        else:
            body.forward = before
