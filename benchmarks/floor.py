"""The floor: as many tokens as a task needs, without any padding, in the best dense batches, through the same model.

Nothing is encoded, looked up or summed: the body runs over full rows of the task's own mean length, the head over as
many positions as the task scores. No way of asking can be much faster without other kernels.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetune_gate.evaluators.asking import Request, ScoreRequest
from finetune_gate.gate.models.batching import fit, plan_rows, rolling_windows
from finetune_gate.gate.models.declared import read_json
from finetune_gate.gate.models.loading import context_length, load_tokenizer
from finetune_gate.gate.models.tokenizing import Renderer, Scored

BATCH_TOKENS = (512, 1024, 2048)


@dataclass(frozen=True, slots=True)
class Need:
    """Tokens that must go through the body, positions whose logits are needed, and the mean length of a row."""

    tokens: int
    positions: int
    length: int


def need(folder: Path, requests: Sequence[Request]) -> Need:
    """Counted with prompts shared among their continuations, as no tool can do with less."""
    tokenizer = load_tokenizer(folder, folder)
    limit = context_length(read_json(folder / "config.json"), tokenizer)
    windows: list[Any] = []
    scores = [request for request in requests if isinstance(request, ScoreRequest)]
    for owner, scored in enumerate(Renderer(tokenizer).scored(scores)):
        if not isinstance(scored, Scored):
            raise RuntimeError(f"a request cannot be rendered: {scored}")
        if scored.document:
            windows += [(owner, 0, window) for window in rolling_windows(scored.targets, scored.context[0], limit)]
        elif fitted := fit(scored.context, scored.targets, limit):
            windows.append((owner, 0, fitted[0]))
    rows = plan_rows(windows, limit, branching=True)
    positions = 0
    for row in rows:
        positions += len({read.position + at for read in row.reads for at in range(len(read.targets))})
    tokens = sum(row.length for row in rows)
    return Need(tokens, positions, max(1, round(tokens / len(rows))))


class Floor:
    """``floor.run()`` computes what ``need`` says, with the batch size that was fastest in a trial."""

    def __init__(self, model: Any, need: Need) -> None:
        self._model, self._need = model, need
        self._rows = min(BATCH_TOKENS, key=self._trial) // need.length or 1

    def run(self) -> None:
        self._compute(self._need.tokens, self._rows)

    def _trial(self, batch_tokens: int) -> float:
        rows = batch_tokens // self._need.length or 1
        times: list[float] = []
        for _ in range(3):
            begun = time.perf_counter()
            self._compute(min(self._need.tokens, 4096), rows)
            times.append(time.perf_counter() - begun)
        return min(times)

    def _compute(self, tokens: int, rows: int) -> None:
        import torch

        length = self._need.length
        left = tokens
        share = self._need.positions / self._need.tokens
        with torch.inference_mode():
            while left > 0:
                here = min(rows, -(-left // length))
                ids = torch.randint(2, 1000, (here, length))
                hidden = self._model.base_model(ids, use_cache=False).last_hidden_state
                wanted = max(1, round(share * here * length))
                self._model.get_output_embeddings()(hidden.reshape(-1, hidden.shape[-1])[:wanted])
                left -= here * length
