"""The numbers of the demo's trainings."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what comes out, besides the seed. `tokens` counts per row, `rows` per step.

    Raise `version` when the training code changes what it makes of the same numbers.
    """

    version: int = 1
    train: int = 600
    few: int = 18
    holdout: int = 240
    prose: int = 60
    corpus: int = 1200
    vocabulary: int = 768
    hidden: int = 96
    feed_forward: int = 256
    layers: int = 3
    heads: int = 4
    context: int = 256
    # the usual 0.02 is meant for wide layers; here it makes for a slow start
    initial_spread: float = 0.05
    prose_tokens: int = 64
    base_steps: int = 150
    base_rows: int = 24
    base_learning_rate: float = 6e-3
    lora_rank: int = 16
    lora_alpha: int = 64
    lora_steps: int = 180
    lora_learning_rate: float = 8e-3
    ticket_rows: int = 18
    replay_rows: int = 6
    replay_share: float = 0.4
    overfit_steps: int = 80
    overfit_learning_rate: float = 2.5e-3
