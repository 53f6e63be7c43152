"""The parts of transformers' and torch's objects that are used here, as types; both libraries are loosely typed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor


class Tokenizer(Protocol):
    """A transformers tokenizer."""

    bos_token_id: int | None
    eos_token_id: int | None
    unk_token_id: int | None
    chat_template: str | Mapping[str, str] | None
    model_max_length: int
    all_special_ids: Sequence[int]

    def __call__(
        self,
        text: str | list[str],
        *,
        add_special_tokens: bool,
        return_attention_mask: bool,
        return_token_type_ids: bool,
        verbose: bool,
    ) -> Mapping[str, list[list[int]]]: ...

    def decode(
        self, token_ids: Sequence[int], *, skip_special_tokens: bool, clean_up_tokenization_spaces: bool
    ) -> str: ...

    def convert_ids_to_tokens(self, ids: int) -> str: ...

    def get_vocab(self) -> Mapping[str, int]: ...

    def get_chat_template(self) -> str: ...

    def apply_chat_template(
        self,
        conversation: Sequence[Mapping[str, str]],
        *,
        chat_template: str,
        tokenize: bool,
        add_generation_prompt: bool,
    ) -> str: ...


class BodyOutput(Protocol):
    """What a transformer without its head returns."""

    last_hidden_state: Tensor


class HeadOutput(Protocol):
    """What a causal language model returns."""

    logits: Tensor


class Body(Protocol):
    """The transformer without its head: a module whose ``forward`` can be replaced on the instance."""

    forward: object

    def __call__(self, **inputs: object) -> BodyOutput: ...


class CausalModel(Protocol):
    """A causal language model of transformers; with adapters attached, their layers sit inside it."""

    config: Mapping[str, object]
    base_model: Body

    def __call__(self, **inputs: object) -> HeadOutput: ...

    def forward(self, **inputs: object) -> HeadOutput: ...

    def get_input_embeddings(self) -> Embeddings: ...

    def parameters(self) -> Iterable[Tensor]: ...

    def eval(self) -> CausalModel: ...

    def to(self, device: str) -> CausalModel: ...


class Embeddings(Protocol):
    """An embedding layer."""

    weight: Tensor


class Adapted(Protocol):
    """A PEFT model: adapters by name on one causal language model."""

    def load_adapter(self, model_id: str, adapter_name: str, **options: object) -> object: ...

    def set_adapter(self, adapter_name: str, inference_mode: bool = False) -> None: ...

    def disable_adapter(self) -> AbstractContextManager[None]: ...


class Cache(Protocol):
    """Keys and values of the tokens seen so far."""

    def batch_repeat_interleave(self, repeats: int) -> None: ...

    def reorder_cache(self, indices: Tensor) -> None: ...
