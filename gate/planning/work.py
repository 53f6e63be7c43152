"""What is left to ask of a model, shard by shard, as a run would ask it."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass

from finetune_gate.evaluators.asking import Ability, GenerateRequest, Request

from ..models.protocol import Model
from ..run.shards import cut_shards
from .planned import Left, ShardSize


@dataclass(frozen=True, slots=True)
class Piece:
    """One shard. ``held`` are addresses of answers that the store has, ``missing`` those of the requests ``left``."""

    held: tuple[str, ...]
    missing: tuple[str, ...]
    left: tuple[Request, ...]
    size: ShardSize


@dataclass(frozen=True, slots=True)
class Work:
    """All shards of one model. ``unable`` counts requests that it has not the ability to answer: no work."""

    pieces: tuple[Piece, ...]
    stored: int
    unable: int

    @property
    def left(self) -> Left:
        return sum((piece.size.left for piece in self.pieces), Left())


def addresses_of(model: Model, requests: Sequence[Request]) -> dict[Request, str]:
    return dict(zip(requests, model.addresses(requests), strict=True))


def work_on(model: Model, addresses: dict[Request, str], abilities: Container[Ability], held: Container[str]) -> Work:
    """Cut as a run cuts it: from all requests, whatever the store holds. Tokens are counted shard by shard, because
    a prompt that two shards share is read twice."""
    pieces: list[Piece] = []
    unable = 0
    for shard in cut_shards(addresses):
        able = [request for request in shard if request.needs in abilities]
        unable += len(shard) - len(able)
        left = tuple(request for request in able if addresses[request] not in held)
        stored = tuple(addresses[request] for request in able if addresses[request] in held)
        missing = tuple(addresses[request] for request in left)
        pieces.append(Piece(stored, missing, left, _size(model, left, missing)))
    return Work(tuple(pieces), sum(len(piece.held) for piece in pieces), unable)


def _size(model: Model, left: Sequence[Request], missing: Iterable[str]) -> ShardSize:
    tokens = model.tokens(left)
    most = [request.max_new_tokens for request in left if isinstance(request, GenerateRequest)]
    return ShardSize(
        kind="texts" if most else "scores",
        left=Left(requests=len(left), read=tokens.read, written=tokens.written, exact=tokens.exact),
        rows=len(set(missing)),  # one answer serves all requests with its address
        steps=max(most, default=0),
    )
