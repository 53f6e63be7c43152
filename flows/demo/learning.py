"""How the demo's models learn: tokenizer, batches, and one training loop for all three.

A batch is token ids and, for each token, the weight of its loss: prose weighs every token, a ticket only its
label and the end mark. So pre-training, LoRA with replay and over-fitting differ in their batches alone.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from .tickets import Ticket

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerFast
    from transformers.models.llama import LlamaForCausalLM

BOS: Final = "<s>"
EOS: Final = "</s>"
PAD: Final = "<pad>"


@dataclass(frozen=True)
class Batch:
    """`ids` [rows, tokens], padded on the right; `weights` [rows, tokens], 0 where a token is not learned.

    The weights of a batch sum to 1. With causal attention padding on the right changes nothing before it, so
    no mask is needed.
    """

    ids: Tensor
    weights: Tensor


@dataclass(frozen=True)
class Example:
    """One row before padding: token ids that start with BOS, and which of them are learned."""

    ids: list[int]
    learned: list[bool]


def train_tokenizer(texts: Sequence[str], vocabulary: int, context: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer: any text round-trips, and BOS is put in front of every text."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[PAD, BOS, EOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A $B", special_tokens=[(BOS, tokenizer.token_to_id(BOS))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        model_max_length=context,
        padding_side="right",
        clean_up_tokenization_spaces=False,
    )


def ticket_examples(tickets: Sequence[Ticket], tokenizer: PreTrainedTokenizerFast) -> list[Example]:
    """Prompt, label and EOS; only label and EOS are learned."""
    prompts = _encode([ticket.prompt for ticket in tickets], tokenizer)
    labels = _encode([f" {ticket.label}" for ticket in tickets], tokenizer)
    eos = cast(int, tokenizer.eos_token_id)
    examples: list[Example] = []
    for prompt, label in zip(prompts, labels, strict=True):
        answer = [*label[1:], eos]  # the label's own BOS goes
        examples.append(Example([*prompt, *answer], [False] * len(prompt) + [True] * len(answer)))
    return examples


def prose_examples(
    texts: Sequence[str], tokenizer: PreTrainedTokenizerFast, tokens: int, rng: random.Random
) -> Iterator[Example]:
    """Rows of `tokens` tokens without end: a document from its start, filled up with those that follow it.

    Texts come in a new order on every pass.
    """
    documents = [[*ids, cast(int, tokenizer.eos_token_id)] for ids in _encode(texts, tokenizer)]
    row: list[int] = []
    while True:
        for document in rng.sample(documents, len(documents)):
            row += document
            while len(row) >= tokens:
                yield Example(row[:tokens], [False] + [True] * (tokens - 1))
                # a long document goes on in the next row, behind a BOS of its own
                row = [cast(int, tokenizer.bos_token_id), *row[tokens:]] if len(row) > tokens else []


def shuffled(examples: Sequence[Example], rng: random.Random) -> Iterator[Example]:
    """The examples without end, in a new order on every pass."""
    while True:
        yield from rng.sample(examples, len(examples))


def make_batch(parts: Sequence[tuple[float, Sequence[Example]]], pad: int) -> Batch:
    """Rows of several sources as one batch; each source has its share of the loss, spread over its tokens."""
    import torch

    width = max(len(row.ids) for _, rows in parts for row in rows)
    ids: list[list[int]] = []
    weights: list[list[float]] = []
    for share, rows in parts:
        each = share / sum(sum(row.learned) for row in rows)
        for row in rows:
            padding = width - len(row.ids)
            ids.append(row.ids + [pad] * padding)
            weights.append([each if learned else 0.0 for learned in row.learned] + [0.0] * padding)
    return Batch(torch.tensor(ids), torch.tensor(weights))


def fit(
    model: LlamaForCausalLM,
    next_batch: Callable[[], Batch],
    *,
    steps: int,
    learning_rate: float,
    report: Callable[[int, float], None],
) -> None:
    """Train the parameters that ask for gradients: AdamW, a tenth of the steps warm-up, then a cosine to zero.

    `report(step, loss)` is called after each step, counted from 1.

    Raises:
        FloatingPointError: the loss is not finite.
    """
    import torch

    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=learning_rate, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda done: _learning_rate_factor(done, steps))
    model.train()
    for step in range(1, steps + 1):
        loss = _loss(model, next_batch())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # pyright: ignore[reportUnknownMemberType]  -- half annotated
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()  # pyright: ignore[reportUnknownMemberType]  -- half annotated
        schedule.step()
        value = loss.item()
        if not math.isfinite(value):
            raise FloatingPointError(f"training step {step} of {steps}: the loss is {value}, not a finite number")
        report(step, value)
    model.eval()


def _loss(model: LlamaForCausalLM, batch: Batch) -> Tensor:
    """Weighted negative log-likelihood; the head runs only where something is learned."""
    import torch

    hidden = cast("Tensor", model.model(input_ids=batch.ids, use_cache=False).last_hidden_state)
    weights = batch.weights[:, 1:]
    rows, columns = torch.nonzero(weights, as_tuple=True)
    logits = model.lm_head(hidden[rows, columns])
    losses = torch.nn.functional.cross_entropy(logits, batch.ids[rows, columns + 1], reduction="none")
    return (losses * weights[rows, columns]).sum()


def _learning_rate_factor(done: int, steps: int) -> float:
    warm_up = max(1, steps // 10)
    if done < warm_up:
        return (done + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (done - warm_up) / max(1, steps - warm_up)))


def _encode(texts: Sequence[str], tokenizer: PreTrainedTokenizerFast) -> list[list[int]]:
    encoded = cast("dict[str, Any]", tokenizer(list(texts)))
    return cast("list[list[int]]", encoded["input_ids"])
