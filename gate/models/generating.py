"""Texts by greedy choice or seeded sampling, in batches whose make-up does not change what any request gets.

transformers' ``generate`` draws one random stream per batch and carries finished rows to the end. Here every request
has its own stream, made of its seed, its sample number and its prompt; rows that are finished leave the batch; and a
beginning that all prompts of a batch share is read once. Two models asked the same question draw from one stream, which
takes noise out of their comparison.

Limits: that a batch changes nothing holds for float32 up to ties. In half precision, whose rounding depends on the
shape of a batch, the first of two nearly equal tokens may be another one in another batch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from finetune_gate.evaluators.asking import Answer, Failed, GenerateRequest, Generation

from .batching import common_prefix
from .caching import places_after
from .foreign import Tokenizer
from .memory import in_batches
from .network import Network, numbers
from .protocol import Deliver

if TYPE_CHECKING:
    from torch import Tensor

MIN_SHARED = 8
"""A shared beginning shorter than this is not worth a pass of its own."""


@dataclass(slots=True)
class Task:
    """One prompt to go on from. ``ends`` are the token ids after which nothing more is generated."""

    owner: int
    ids: tuple[int, ...]
    request: GenerateRequest
    ends: frozenset[int]
    new: list[int] = field(default_factory=list[int])
    random: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        seed = json.dumps([self.request.seed, self.request.sample, self.ids]).encode()
        self.random = np.random.default_rng(int.from_bytes(hashlib.sha256(seed).digest(), "big"))

    @property
    def tokens(self) -> int:
        return len(self.ids) + self.request.max_new_tokens

    def restart(self) -> None:
        self.new.clear()
        self.__post_init__()


def refusal(request: GenerateRequest, prompt_tokens: int, limit: int) -> Failed | None:
    """Why a request cannot be answered, if so. A prompt is never cut to make room: a question without its beginning,
    or a chat without its system turn, is another question."""
    if request.max_new_tokens < 0:
        return Failed(f"max_new_tokens is {request.max_new_tokens}")
    if not request.temperature >= 0 or not 0 < request.top_p <= 1:
        return Failed(f"temperature {request.temperature} or top_p {request.top_p} is out of range")
    if prompt_tokens + request.max_new_tokens > limit:
        return Failed(
            f"the prompt has {prompt_tokens} tokens and may be answered with {request.max_new_tokens}; together they"
            f" exceed the model's context of {limit}"
        )
    return None


def generate(
    network: Network, tokenizer: Tokenizer, tasks: Sequence[Task], batch_tokens: int, deliver: Deliver
) -> None:
    """Deliver one Generation for each task. Only new tokens are decoded, without special tokens."""

    def finished(task: Task) -> bool:
        if task.new and task.new[-1] in task.ends:
            return True
        return len(task.new) >= task.request.max_new_tokens or _stops(tokenizer, task)

    def work(batch: Sequence[Task]) -> None:
        for task in batch:
            task.restart()
        answers = _run(network, batch, finished) if network.caches else _run_without_cache(network, batch, finished)
        for task in batch:
            deliver(task.owner, answers.get(task.owner) or _generation(tokenizer, task))

    asked = [task for task in tasks if task.request.max_new_tokens]
    for task in tasks:
        if not task.request.max_new_tokens:
            deliver(task.owner, Generation("", "length", 0))
    in_batches(asked, lambda task: task.tokens, batch_tokens if network.caches else 1, work)


def _run(network: Network, batch: Sequence[Task], finished: Callable[[Task], bool]) -> dict[int, Answer]:
    """Fill ``task.new`` of every task. Returns answers of tasks that failed."""
    import torch

    failed: dict[int, Answer] = {}
    with torch.inference_mode():
        cache = network.new_cache(room=max(task.request.max_new_tokens for task in batch))
        shared = common_prefix([task.ids for task in batch]) if len(batch) > 1 and network.shares_prefix else 0
        shared = shared if shared >= MIN_SHARED else 0
        if shared:
            network.following(
                network.tensor([batch[0].ids[:shared]]), cache, None, network.tensor([list(range(shared))])
            )
            cache.batch_repeat_interleave(len(batch))
        width = max(len(task.ids) for task in batch) - shared
        blanks = [width - (len(task.ids) - shared) for task in batch]
        padded = any(blanks)
        ids = network.tensor([[0] * blank + list(task.ids[shared:]) for task, blank in zip(batch, blanks, strict=True)])
        mask = network.tensor([[1] * shared + [0] * blank + [1] * (width - blank) for blank in blanks])
        positions = network.tensor([[shared] * blank + list(range(shared, shared + width - blank)) for blank in blanks])
        alive: list[Task] = list(batch)
        while True:
            logits = network.following(ids, cache, mask if padded else None, positions)
            for task, token in zip(alive, _choose(logits, alive), strict=True):
                if token is None:
                    failed[task.owner] = Failed("the model gave a probability that is not a number")
                else:
                    task.new.append(token)
            keep = [at for at, task in enumerate(alive) if task.owner not in failed and not finished(task)]
            if not keep:
                return failed
            if len(keep) < len(alive):
                keep = places_after(keep)
                kept = network.tensor([keep])[0]
                cache.reorder_cache(kept)
                mask, positions = mask[kept], positions[kept]
                alive = [alive[at] for at in keep]
            ids = network.tensor([[task.new[-1]] for task in alive])
            mask = torch.cat([mask, torch.ones_like(ids)], dim=1)
            positions = positions[:, -1:] + 1


def _run_without_cache(network: Network, batch: Sequence[Task], finished: Callable[[Task], bool]) -> dict[int, Answer]:
    """For architectures without a key-value cache that takes padding: one row at a time, read again for each token."""
    import torch

    failed: dict[int, Answer] = {}
    with torch.inference_mode():
        for task in batch:
            while not finished(task):
                logits = network.following(network.tensor([[*task.ids, *task.new]]), None, None, None)
                token = _choose(logits, [task])[0]
                if token is None:
                    failed[task.owner] = Failed("the model gave a probability that is not a number")
                    break
                task.new.append(token)
    return failed


def _choose(logits: Tensor, tasks: Sequence[Task]) -> list[int | None]:
    """The next token of each task; None where the logits are not numbers."""
    import torch

    best, sound = numbers(logits.argmax(-1)), numbers(~logits.isnan().any(-1))
    chosen = [int(token) if good else None for token, good in zip(best, sound, strict=True)]
    drawn = [at for at, task in enumerate(tasks) if task.request.temperature > 0 and sound[at]]
    if not drawn:
        return chosen
    requests = [tasks[at].request for at in drawn]
    rows = logits[drawn].float()
    rows = rows.cpu() if rows.device.type == "mps" else rows  # which has no float64
    heat = torch.tensor([[request.temperature] for request in requests], device=rows.device)
    nucleus = torch.tensor([[request.top_p] for request in requests], dtype=torch.float64, device=rows.device)
    uniform = [[tasks[at].random.random()] for at in drawn]
    scaled = (rows - rows.max(-1, keepdim=True).values) / heat
    probability, order = scaled.double().softmax(-1).sort(dim=-1, descending=True, stable=True)
    before = probability.cumsum(-1) - probability
    kept = torch.where(before < nucleus, probability, 0.0).cumsum(-1)
    point = torch.tensor(uniform, dtype=torch.float64, device=rows.device) * kept[:, -1:]
    place = torch.searchsorted(kept, point, right=True).clamp(max=kept.shape[-1] - 1)
    for at, token in zip(drawn, numbers(order.gather(-1, place)[:, 0]), strict=True):
        chosen[at] = int(token)
    return chosen


def _stops(tokenizer: Tokenizer, task: Task) -> bool:
    """Whether a stop string has appeared. Looks at the last tokens only: each holds at least one byte of text."""
    stop = [text for text in task.request.stop if text]
    if not stop:
        return False
    window = max(len(text.encode()) for text in stop) + 8
    tail = _decode(tokenizer, task.new[-window:])
    return any(text in tail for text in stop)


def _generation(tokenizer: Tokenizer, task: Task) -> Generation:
    ended = bool(task.new) and task.new[-1] in task.ends
    text = _decode(tokenizer, task.new[:-1] if ended else task.new)
    cuts = [at for stop in task.request.stop if stop and (at := text.find(stop)) >= 0]
    finish: Literal["stop", "length"] = "stop" if ended or cuts else "length"
    return Generation(text[: min(cuts)] if cuts else text, finish, len(task.new))


def _decode(tokenizer: Tokenizer, ids: Sequence[int]) -> str:
    return tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
