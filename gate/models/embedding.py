"""A vector for a text from a causal language model: the mean of its last hidden states, of unit length.

Special tokens are left out of the mean: the states of the first token of all are alike in every text, and large. Such
vectors lie in a narrow cone, so their cosines are high throughout; what counts is their order. A model that was
trained to embed does better.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from finetune_gate.evaluators.asking import Embedding, Failed

from .batching import Ids
from .differentiating import Differentiable
from .memory import in_batches
from .network import numbers
from .protocol import Deliver
from .tokenizing import Prompted

EMBEDDINGS = 1
"""The version of what an embedding of a causal language model is, a part of its address."""


def embed(
    network: Differentiable,
    special: frozenset[int],
    prompts: Sequence[Prompted | Failed],
    limit: int,
    batch_tokens: int,
    deliver: Deliver,
) -> None:
    """Deliver an answer for each of ``prompts``. Of a text longer than ``limit`` tokens the beginning counts."""
    items: list[tuple[int, Ids]] = []
    for owner, prompt in enumerate(prompts):
        if isinstance(prompt, Failed):
            deliver(owner, prompt)
        elif all(token in special for token in prompt.ids[:limit]):
            deliver(owner, Failed("the text has no tokens of its own"))
        else:
            items.append((owner, prompt.ids[:limit]))
    if items and not network.splits:
        for owner, _ in items:
            deliver(owner, Failed("the model's architecture shows no hidden states"))
        return

    def work(some: Sequence[tuple[int, Ids]]) -> None:
        import torch

        states = network.states([ids for _, ids in some])
        means = [
            of_row[[at for at, token in enumerate(ids) if token not in special]].mean(0)
            for of_row, (_, ids) in zip(states, some, strict=True)
        ]
        unit = torch.nn.functional.normalize(torch.stack(means), dim=-1)
        vectors = [tuple(numbers(row)) for row in unit]
        for (owner, _), vector in zip(some, vectors, strict=True):
            whole = all(map(isfinite, vector)) and any(vector)
            deliver(owner, Embedding(vector) if whole else Failed("the model gave no vector of finite numbers"))

    in_batches(items, lambda item: len(item[1]), batch_tokens, work)
