"""Encoders that answer: a vector for a text, or whether one text entails another.

    with open_encoder(inspect_encoder(Path("encoders/all-MiniLM-L6-v2"))) as model:
        model.embed([EmbedRequest("The invoice is wrong.")], deliver)

Texts are batched by length; a text that is too long for a vector counts by its beginning, as in sentence-transformers,
and a pair that is too long fails: a premise cut short could have entailed what it no longer does.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from math import isfinite
from threading import RLock
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

from finetune_gate.evaluators.asking import (
    Ability,
    Answer,
    Embedding,
    EmbedRequest,
    Entailment,
    EntailRequest,
    Failed,
    GenerateRequest,
    Request,
    ScoreRequest,
)
from finetune_gate.evaluators.errors import ModelError, Problem

from ..pins import EncoderFiles
from .declared import read_json, whole_number
from .encoder_files import Pooling
from .encoder_loading import Encoder, load_encoder
from .foreign import Tokenizer
from .loading import context_length, load_tokenizer, pick_device, pick_dtype
from .memory import in_batches
from .network import DEFAULT_BATCH_TOKENS, numbers
from .precision import exact_float32
from .protocol import Deliver, JsonScalar, Tokens, Usage
from .threads import threads_for

if TYPE_CHECKING:
    from torch import Tensor

ANSWERS = "finetune-gate encoder answers 1"
"""The version of what an encoder's answer is, a part of its address."""

_COUNTS_FROM_PADDING = frozenset(("roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "mpnet", "data2vec-text"))
"""Architectures whose first position is the one after the padding's id, so that so many of their positions are lost."""


class _Tokenizer(Protocol):
    """A transformers tokenizer, as encoders use it."""

    pad_token_id: int | None
    model_max_length: int
    all_special_ids: Sequence[int]

    def __call__(
        self, text: str, text_pair: str | None = None, *, truncation: bool, max_length: int | None, verbose: bool
    ) -> Mapping[str, list[int]]: ...


_Tokens = Mapping[str, list[int]]
"""Token ids, and whatever else the tokenizer gives for each token."""

_Item = tuple[int, _Tokens]
"""A request's number among those that are asked, and its tokens."""


class EncoderModel:
    """One encoder of a run. Its ability is what its files say. Raises ModelError at the first use where tokenizer or
    weights do not load, and where memory does not hold a single text."""

    def __init__(
        self,
        files: EncoderFiles,
        *,
        device: str = "auto",
        dtype: str = "auto",
        batch_tokens: int | Literal["auto"] = "auto",
    ) -> None:
        self._files = files
        self._config = read_json(files.weights / "config.json")
        self._device = pick_device(device)
        self._dtype = pick_dtype(dtype, self._device, self._config)
        default = DEFAULT_BATCH_TOKENS.get(self._device.partition(":")[0], 4096)
        self._batch_tokens = default if batch_tokens == "auto" else max(1, batch_tokens)
        self._tokenizer: _Tokenizer | None = None
        self._encoder: Encoder | None = None
        self._parameters = 0
        self._lock = RLock()
        self._usage = Usage()

    @property
    def digest(self) -> str:
        return self._files.digest

    @property
    def abilities(self) -> frozenset[Ability]:
        ability: Ability = self._files.task
        return frozenset((ability,))

    @property
    def batched(self) -> bool:
        return True

    def usage(self) -> Usage:
        return self._usage

    def facts(self) -> Mapping[str, JsonScalar]:
        return {
            "kind": "sentence encoder" if self._files.task == "embeds" else "entailment classifier",
            "layout": self._files.layout,
            "digest": self.digest,
            "dtype": self._dtype,
            "device": self._device,
            "context_tokens": self._limit(),
            "batch_tokens": self._batch_tokens,
            "pooling": self._files.pooling if self._files.task == "embeds" else None,
        }

    def tokens(self, requests: Sequence[Request]) -> Tokens:
        own = [request for request in requests if isinstance(request, (EmbedRequest, EntailRequest))]
        return Tokens(sum(len(self._tokens(request)["input_ids"]) for request in own), 0)

    def addresses(self, requests: Sequence[Request]) -> list[str]:
        found: list[str] = []
        for request in requests:
            match request:
                case EmbedRequest():
                    about = ["embed", request.text]
                case EntailRequest():
                    about = ["entail", request.premise, request.hypothesis]
                case _:
                    about = ["cannot", repr(request)]
            text = json.dumps([ANSWERS, self.digest, self._dtype, *about])
            found.append(hashlib.sha256(text.encode()).hexdigest())
        return found

    def score(self, requests: Sequence[ScoreRequest], deliver: Deliver) -> None:
        _refuse(requests, deliver)

    def generate(self, requests: Sequence[GenerateRequest], deliver: Deliver) -> None:
        _refuse(requests, deliver)

    def embed(self, requests: Sequence[EmbedRequest], deliver: Deliver) -> None:
        if self._files.task != "embeds":
            return _refuse(requests, deliver)
        special = frozenset(self._reading().all_special_ids)
        items: list[_Item] = []
        for owner, one in enumerate(self._take(requests)):
            if special.issuperset(one["input_ids"]):
                deliver(owner, Failed("the text has no tokens of its own"))
            else:
                items.append((owner, one))

        def answers(output: Any, mask: Tensor) -> list[Answer]:
            return _embeddings(output.last_hidden_state, mask, self._files.pooling)

        self._run(items, answers, deliver)

    def entail(self, requests: Sequence[EntailRequest], deliver: Deliver) -> None:
        if self._files.task != "entails":
            return _refuse(requests, deliver)
        limit = self._limit()
        items: list[_Item] = []
        for owner, one in enumerate(self._take(requests)):
            if (count := len(one["input_ids"])) > limit:
                deliver(owner, Failed(f"premise and hypothesis have {count} tokens, and the model reads {limit}"))
            else:
                items.append((owner, one))

        def answers(output: Any, mask: Tensor) -> list[Answer]:
            return _entailments(output.logits, self._files.relations)

        self._run(items, answers, deliver)

    def release(self) -> None:
        """Free the weights. A later question loads them again."""
        with self._lock:
            self._encoder = None
            if self._device.startswith("cuda") and "torch" in sys.modules:
                import torch

                torch.cuda.empty_cache()

    def _run(self, items: Sequence[_Item], answers: Callable[[Any, Tensor], list[Answer]], deliver: Deliver) -> None:
        if not items:
            return
        with self._ready() as encoder:

            def work(some: Sequence[_Item]) -> None:
                inputs = self._padded([one for _, one in some])
                found = answers(encoder(**inputs), inputs["attention_mask"])
                for (owner, _), answer in zip(some, found, strict=True):
                    deliver(owner, answer)

            in_batches(items, lambda item: len(item[1]["input_ids"]), self._batch_tokens, work)

    @contextmanager
    def _ready(self) -> Generator[Encoder]:
        import torch

        with self._lock:
            encoder = self._encoder
            if encoder is None:
                padding = self._reading().pad_token_id
                encoder, self._parameters = load_encoder(self._files, self._dtype, self._device, padding)
                self._encoder = encoder
            with torch.inference_mode(), exact_float32(), threads_for(self._parameters, self._device):
                yield encoder

    def _padded(self, rows: Sequence[_Tokens]) -> dict[str, Tensor]:
        """Rows as tensors of one length, with a mask of what is text."""
        import torch

        width = max(len(row["input_ids"]) for row in rows)
        fill = {"input_ids": self._reading().pad_token_id}
        padded = {
            name: [[*row[name], *[fill.get(name) or 0] * (width - len(row[name]))] for row in rows] for name in rows[0]
        }
        padded["attention_mask"] = [[1] * len(row["input_ids"]) + [0] * (width - len(row["input_ids"])) for row in rows]
        return {name: torch.tensor(values, device=self._device) for name, values in padded.items()}

    def _take(self, requests: Sequence[EmbedRequest] | Sequence[EntailRequest]) -> list[_Tokens]:
        """The tokens of requests that are asked now."""
        taken = [self._tokens(request) for request in requests]
        read = sum(len(one["input_ids"]) for one in taken)
        self._usage = replace(self._usage, prompt_tokens=self._usage.prompt_tokens + read)
        return taken

    def _tokens(self, request: EmbedRequest | EntailRequest) -> _Tokens:
        tokenizer = self._reading()
        if isinstance(request, EmbedRequest):
            return tokenizer(self._spelled(request.text), truncation=True, max_length=self._limit(), verbose=False)
        premise, hypothesis = self._spelled(request.premise), self._spelled(request.hypothesis)
        return tokenizer(premise, hypothesis, truncation=False, max_length=None, verbose=False)

    def _spelled(self, text: str) -> str:
        return text.lower() if self._files.lowercase else text

    def _limit(self) -> int:
        """Tokens that one text may have, special tokens included."""
        tokenizer = self._reading()
        longest = context_length(self._config, cast("Tokenizer", tokenizer))
        positions = whole_number(self._config, "max_position_embeddings")
        if positions is not None and self._config.get("model_type") in _COUNTS_FROM_PADDING:
            longest = min(longest, positions - 1 - (tokenizer.pad_token_id or 0))
        return min(longest, self._files.longest or longest)

    def _reading(self) -> _Tokenizer:
        with self._lock:
            if self._tokenizer is None:
                loaded = load_tokenizer(self._files.tokenizer, self._files.weights)
                tokenizer = cast("_Tokenizer", loaded)
                if tokenizer.pad_token_id is None:
                    raise ModelError(
                        Problem(
                            str(self._files.tokenizer),
                            "its tokenizer has no padding token",
                            "one that the model was trained with",
                            "set tokenizer.pad_token, and save the tokenizer again",
                        )
                    )
                self._tokenizer = tokenizer
            return self._tokenizer


@contextmanager
def open_encoder(
    files: EncoderFiles,
    *,
    device: str = "auto",
    dtype: str = "auto",
    batch_tokens: int | Literal["auto"] = "auto",
) -> Generator[EncoderModel]:
    """One encoder, freed at the end. Settings as in ``open_models``. Weights are loaded at the first question."""
    model = EncoderModel(files, device=device, dtype=dtype, batch_tokens=batch_tokens)
    try:
        yield model
    finally:
        model.release()


def _refuse(requests: Sequence[Request], deliver: Deliver) -> None:
    for index, request in enumerate(requests):
        deliver(index, Failed(f"this encoder does not have the ability {request.needs!r}"))


def _embeddings(states: Tensor, mask: Tensor, pooling: Pooling) -> list[Answer]:
    """Vectors of unit length from last hidden states (rows, tokens, width)."""
    import torch

    kept = mask[..., None].to(torch.float32)
    pooled = states[:, 0].float() if pooling == "cls" else (states.float() * kept).sum(1) / kept.sum(1)
    vectors = [tuple(numbers(row)) for row in torch.nn.functional.normalize(pooled, dim=-1)]
    return [
        Embedding(vector) if any(vector) and all(map(isfinite, vector)) else Failed("the model gave no finite vector")
        for vector in vectors
    ]


def _entailments(logits: Tensor, relations: tuple[int, int, int]) -> list[Answer]:
    found: list[Answer] = []
    for row in logits.float().cpu().double().softmax(-1):
        shares = [numbers(row)[place] for place in relations]
        whole = all(map(isfinite, shares))
        found.append(Entailment(*shares) if whole else Failed("the model gave probabilities that are not finite"))
    return found
