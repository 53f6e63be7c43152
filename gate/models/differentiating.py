"""A network that is asked with embeddings in place of tokens, and how its answer moves with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import fsum
from typing import TYPE_CHECKING, cast

from .batching import Ids
from .memory import refuse_out_of_memory
from .network import MAX_LOGITS, Network, numbers

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Point:
    """A place between an uninformative prompt and the real one, with the continuation that is scored there.

    ``shares`` says for each token of ``context`` how much of it is its own embedding: 1 all, 0 none, the rest being
    the uninformative token's.
    """

    context: Ids
    targets: Ids
    shares: tuple[float, ...]

    @property
    def length(self) -> int:
        return len(self.context) + len(self.targets)


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read at a point: log-probability of all targets together, in nats; ``slopes``, how fast it grows with
    the share of each prompt token; ``similarity``, the highest cosine between the last hidden state of each prompt
    token and those of the targets."""

    logprob: float
    slopes: tuple[float, ...] = ()
    similarity: tuple[float, ...] = ()


class Differentiable(Network):
    """``network.slopes(points, start)``, ``network.readings(points, start)``; ``start`` is the id of the uninformative
    token, None for an embedding of zeros."""

    @cached_property
    def differentiates(self) -> bool:
        """Whether embeddings may stand in for tokens, with the same result, and gradients reach them."""
        import torch

        point = Point(self._probe(5, 3, 1), self._probe(2), (1.0, 1.0, 1.0))
        try:
            if not self.splits:
                return False
            for parameter in self._model.parameters():
                parameter.requires_grad_(False)  # else every layer keeps its input for a gradient that nobody asks for
            ids = self.tensor([[*point.context, *point.targets]])
            with torch.no_grad():
                by_id = self._hidden(input_ids=ids).float()
                by_embedding = self._hidden(inputs_embeds=self._embedded(ids)).float()
            close = 1e-3 * float(by_id.abs().max())
            self.slopes([point], None)
            return bool((by_id - by_embedding).abs().max() <= close)
        except Exception as error:  # noqa: BLE001 -- an architecture of another build may raise anything
            refuse_out_of_memory(error)
            return False

    def readings(self, points: Sequence[Point], start: int | None) -> list[Reading]:
        """Log-probability and similarity at each point, without gradients."""
        return self._read(points, start, with_slopes=False)

    def slopes(self, points: Sequence[Point], start: int | None) -> list[Reading]:
        """Log-probability and slopes at each point: one pass forward and one backward for all of its targets."""
        return self._read(points, start, with_slopes=True)

    def states(self, rows: Sequence[Ids]) -> list[Tensor]:
        """Last hidden states of each row: (tokens, width), in float32."""
        import torch

        width = max(map(len, rows))
        with torch.inference_mode():
            hidden = self._hidden(input_ids=self.tensor([[*row, *[0] * (width - len(row))] for row in rows]))
            return [hidden[at, : len(row)].float() for at, row in enumerate(rows)]

    def _read(self, points: Sequence[Point], start: int | None, with_slopes: bool) -> list[Reading]:
        import torch

        width = max(point.length for point in points)
        rows = [row for row, point in enumerate(points) for _ in point.targets]
        before = [len(point.context) - 1 + at for point in points for at in range(len(point.targets))]
        # whoever calls may be in inference mode, in which nothing can be differentiated
        with torch.inference_mode(False), torch.set_grad_enabled(with_slopes):
            ids = self.tensor([[*p.context, *p.targets, *[0] * (width - p.length)] for p in points])
            shares = [[*p.shares, *[1.0] * (width - len(p.shares))] for p in points]
            share = torch.tensor(shares, dtype=torch.float32, device=self._device)
            embedded = self._embedded(ids)
            own = embedded.float()
            nothing = torch.zeros_like(own[:1, :1]) if start is None else self._embedded(self.tensor([[start]])).float()
            # lerp is exact at both ends, also where a half-precision embedding comes back from float32
            put = torch.lerp(nothing.expand_as(own), own, share[..., None]).to(embedded.dtype)
            put.requires_grad_(with_slopes)
            hidden = self._hidden(inputs_embeds=put)
            picked = hidden[rows, before]
            targets = self.tensor([[target for point in points for target in point.targets]])[0]
            logprobs, toward_states = self._scored(picked.detach(), targets, with_slopes)
            grown: list[list[float]] | None = None
            if with_slopes:
                (toward,) = torch.autograd.grad(picked, put, toward_states)
                grown = [numbers(row) for row in (toward.float() * (own - nothing)).sum(-1)]
        return _by_point(points, numbers(logprobs), grown, hidden)

    def _scored(self, states: Tensor, targets: Tensor, with_slopes: bool) -> tuple[Tensor, Tensor | None]:
        """Log-probability of each target after its state, and how their sum moves with the states. In pieces: logits
        and what is kept for going back through them take more memory than the network itself."""
        import torch

        step = max(1, MAX_LOGITS // self._vocabulary)
        logprobs: list[Tensor] = []
        toward: list[Tensor] = []
        for at in range(0, len(states), step):
            piece = states[at : at + step].clone().requires_grad_(with_slopes)
            table = self._head(piece[None])[0].float().log_softmax(-1)
            found = table.gather(-1, targets[at : at + step, None])[:, 0]
            logprobs.append(found.detach())
            if with_slopes:
                toward.extend(torch.autograd.grad(found.sum(), piece))
        return torch.cat(logprobs), torch.cat(toward) if toward else None

    def _embedded(self, ids: Tensor) -> Tensor:
        """Embeddings as the network itself looks them up: (rows, tokens, width)."""
        layer = cast("Callable[[Tensor], Tensor]", self._model.get_input_embeddings())
        return layer(ids).detach()


def _by_point(
    points: Sequence[Point], logprobs: Sequence[float], slopes: Sequence[Sequence[float]] | None, hidden: Tensor
) -> list[Reading]:
    found: list[Reading] = []
    at = 0
    for row, point in enumerate(points):
        logprob = fsum(logprobs[at : at + len(point.targets)])
        at += len(point.targets)
        if slopes is not None:
            found.append(Reading(logprob, slopes=tuple(slopes[row][: len(point.context)])))
        else:
            found.append(Reading(logprob, similarity=_similarity(hidden[row, : point.length], len(point.context))))
    return found


def _similarity(states: Tensor, prompt: int) -> tuple[float, ...]:
    import torch

    unit = torch.nn.functional.normalize(states.detach().float(), dim=-1)
    return tuple(numbers((unit[:prompt] @ unit[prompt:].T).amax(-1)))
