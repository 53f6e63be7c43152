"""Log-probabilities of given tokens: plans rows, runs them in batches, hands each answer over when it is complete."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite, nan

from finetune_gate.evaluators.asking import Answer, Failed, TokenLogprobs

from .batching import Row, Window, fit, plan_rows, rolling_windows
from .memory import in_batches
from .network import Network, numbers
from .protocol import Deliver
from .tokenizing import Scored

MAX_BRANCHED = 8192
"""Rows with branches grow no longer: their mask has the square of their length in numbers (256 MiB in float32)."""


@dataclass(slots=True)
class _Pending:
    """An answer under way: one number for each target, in order."""

    logprobs: list[float]
    dropped: int = 0
    missing: int = field(init=False)

    def __post_init__(self) -> None:
        self.missing = len(self.logprobs)

    def answer(self) -> Answer:
        if not all(map(isfinite, self.logprobs)):
            return Failed("the model gave a log-probability that is not a finite number")
        return TokenLogprobs(tuple(self.logprobs), self.dropped)


def score(
    network: Network, questions: Sequence[Scored | Failed], limit: int, batch_tokens: int, deliver: Deliver
) -> None:
    """Deliver one answer for each question. ``limit`` is the model's context in tokens.

    A document longer than that goes through rolling windows; a prompt is cut from the left, and the answer says by how
    much. The projection onto the vocabulary is computed only where a token is scored, and logarithms are taken in
    float32.
    """
    pending: dict[int, _Pending] = {}
    windows: list[tuple[int, int, Window]] = []
    for owner, question in enumerate(questions):
        if isinstance(question, Failed):
            deliver(owner, question)
        elif not question.targets:
            deliver(owner, TokenLogprobs(()))
        elif question.document:
            pending[owner] = _Pending([nan] * len(question.targets))
            slot = 0
            for window in rolling_windows(question.targets, question.context[0], limit):
                windows.append((owner, slot, window))
                slot += len(window.targets)
        elif (fitted := fit(question.context, question.targets, limit)) is None:
            deliver(owner, Failed(f"the continuation has {len(question.targets)} tokens, and the context is {limit}"))
        else:
            pending[owner] = _Pending([nan] * len(question.targets), dropped=fitted[1])
            windows.append((owner, 0, fitted[0]))
    if not windows:
        return

    def work(rows: Sequence[Row]) -> None:
        reads, logprobs = [read for row in rows for read in row.reads], _logprobs(network, rows)
        at = 0
        for read in reads:
            answer, count = pending[read.owner], len(read.targets)
            answer.logprobs[read.slot : read.slot + count] = logprobs[at : at + count]
            answer.missing -= count
            at += count
            if not answer.missing:
                deliver(read.owner, pending.pop(read.owner).answer())

    rows = plan_rows(windows, min(limit, MAX_BRANCHED, network.window), network.branches)
    for some in ([row for row in rows if not row.branches], [row for row in rows if row.branches]):
        in_batches(some, lambda row: row.length, batch_tokens, work)


def _logprobs(network: Network, rows: Sequence[Row]) -> list[float]:
    """What the rows' reads ask for, in their order. Complete before anything is returned, so that a batch can be
    repeated."""
    import torch

    positions: list[list[int]] = []
    places: list[int] = []  # where each target's logits are, among those of all positions
    before = 0
    for row in rows:
        spans = [range(read.position, read.position + len(read.targets)) for read in row.reads]
        of_row = [*spans[0]] if len(spans) == 1 else sorted({position for span in spans for position in span})
        order = {position: before + at for at, position in enumerate(of_row)}
        places.extend(order[position] for span in spans for position in span)
        positions.append(of_row)
        before += len(of_row)
    targets = [target for row in rows for read in row.reads for target in read.targets]
    where, target = network.tensor([places, targets])
    found = torch.empty(len(targets), dtype=torch.float32, device=where.device)
    start = 0
    for logits in network.chunks(rows, positions):
        here = (where >= start) & (where < start + len(logits))
        # on CPUs four times as fast as logsumexp, which reads every row several times
        found[here] = logits.float().log_softmax(-1)[where[here] - start, target[here]]
        start += len(logits)
    return numbers(found)
