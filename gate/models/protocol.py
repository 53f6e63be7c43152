"""The seam between the gate and whatever answers: a digest, abilities, and batched answering."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from finetune_gate.evaluators.asking import Ability, Answer, GenerateRequest, Request, ScoreRequest

JsonScalar = str | int | float | bool | None

Deliver = Callable[[int, Answer], None]
"""``deliver(index, answer)``: called once for each request as its answer is ready, in any order."""


class Model(Protocol):
    """A model that can be asked things. Implementations load weights no sooner than the first question.

    ``digest`` identifies everything about the model that can change an answer. ``facts`` is shown in the record:
    dtype, device, context length, whether a chat template is used.
    """

    @property
    def digest(self) -> str: ...

    @property
    def abilities(self) -> frozenset[Ability]: ...

    def facts(self) -> Mapping[str, JsonScalar]: ...

    def addresses(self, requests: Sequence[Request]) -> list[str]:
        """The content address of each request's answer: model, tokenizer, rendered token ids, settings, dtype."""
        ...

    def score(self, requests: Sequence[ScoreRequest], deliver: Deliver) -> None: ...

    def generate(self, requests: Sequence[GenerateRequest], deliver: Deliver) -> None: ...

    def release(self) -> None:
        """Free what is held in memory, unless another model still uses it. A later question loads it again."""
        ...
