"""The seam between the gate and whatever answers: a digest, abilities, and batched answering."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from finetune_gate.evaluators.asking import (
    Ability,
    Answer,
    AttributeRequest,
    ChooseRequest,
    EmbedRequest,
    EntailRequest,
    ExecuteRequest,
    GenerateRequest,
    Request,
    ScoreRequest,
)

JsonScalar = str | int | float | bool | None

Deliver = Callable[[int, Answer], None]
"""``deliver(index, answer)``: called once for each request as its answer is ready, in any order."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """What requests come to: tokens the model must read, and at most how many it may write. ``exact`` False: estimated
    from the length of the text, where the tokenizer is not here. Text that several requests share is counted once."""

    read: int
    written: int
    exact: bool = True


@dataclass(frozen=True, slots=True)
class Usage:
    """What a model was really asked for since it was opened. ``calls`` of an API, retries included; in-process models
    have none."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    retries: int = 0
    rate_limited: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.calls + other.calls,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.retries + other.retries,
            self.rate_limited + other.rate_limited,
        )


class Model(Protocol):
    """A model that can be asked things. Implementations load weights no sooner than the first question.

    ``digest`` identifies everything about the model that can change an answer. ``facts`` is shown in the record:
    dtype, device, context length, whether a chat template is used.
    """

    @property
    def digest(self) -> str: ...

    @property
    def abilities(self) -> frozenset[Ability]: ...

    @property
    def batched(self) -> bool:
        """Whether an answer's last digits may depend on what it was computed with. Then shards are asked one by one
        and kept whole or not at all; else all is asked at once, and each answer is kept as it comes."""
        ...

    def facts(self) -> Mapping[str, JsonScalar]: ...

    def usage(self) -> Usage: ...

    def tokens(self, requests: Sequence[Request]) -> Tokens:
        """What ``requests`` come to, without asking anything."""
        ...

    def addresses(self, requests: Sequence[Request]) -> list[str]:
        """The content address of each request's answer: model, tokenizer, rendered token ids, settings, dtype."""
        ...

    def score(self, requests: Sequence[ScoreRequest], deliver: Deliver) -> None: ...

    def generate(self, requests: Sequence[GenerateRequest], deliver: Deliver) -> None: ...

    def release(self) -> None:
        """Free what is held in memory, unless another model still uses it. A later question loads it again."""
        ...


@runtime_checkable
class Chooses(Protocol):
    """A model with the ability ``chooses``."""

    def choose(self, requests: Sequence[ChooseRequest], deliver: Deliver) -> None: ...


@runtime_checkable
class Attributes(Protocol):
    """A model with the ability ``attributes``."""

    def attribute(self, requests: Sequence[AttributeRequest], deliver: Deliver) -> None: ...


@runtime_checkable
class Embeds(Protocol):
    """A model with the ability ``embeds``."""

    def embed(self, requests: Sequence[EmbedRequest], deliver: Deliver) -> None: ...


@runtime_checkable
class Entails(Protocol):
    """A model with the ability ``entails``."""

    def entail(self, requests: Sequence[EntailRequest], deliver: Deliver) -> None: ...


@runtime_checkable
class Executes(Protocol):
    """A sandbox: the ability ``executes``."""

    def execute(self, requests: Sequence[ExecuteRequest], deliver: Deliver) -> None: ...
