"""A causal language model from local files, alone or as adapters on one base, answering in batches.

``LocalModel`` is one model: weights with or without an adapter, a tokenizer, and a digest. Addresses need the tokenizer
only: neither weights nor torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from threading import RLock
from typing import Literal, cast

from finetune_gate.evaluators.asking import (
    Ability,
    Answer,
    AttributeRequest,
    ChooseRequest,
    EmbedRequest,
    EntailRequest,
    ExecuteRequest,
    Failed,
    GenerateRequest,
    Generation,
    Request,
    ScoreRequest,
)

from ..pins import ModelFiles
from .attributing import ATTRIBUTIONS, attribute, passes
from .choosing import choose, scores_of
from .declared import text_config, whole_number
from .differentiating import Differentiable
from .embedding import EMBEDDINGS, embed
from .foreign import Tokenizer
from .generating import Task, generate, refusal
from .identity import effective_digest
from .loading import check_vocabulary, context_length, load_tokenizer
from .network import DEFAULT_BATCH_TOKENS, Network
from .protocol import Deliver, JsonScalar, Tokens, Usage
from .scoring import score
from .tokenizing import Prompted, Remembering, Renderer, Scored
from .weights import Weights

ANSWERS = "finetune-gate answers 2"
"""The version of what an answer is. Changes with every change of rendering, scoring or generating that moves one."""

ROWS_GENERATED = 4
"""Generation keeps so many times as many tokens in a batch as scoring: most of its passes compute one for each row."""

CACHED_BYTES = 1 << 30
"""On CPUs it keeps up to four times more, while their cache takes no more than this: each pass reads all weights."""

_Alone = ScoreRequest | GenerateRequest | AttributeRequest | EmbedRequest | EntailRequest | ExecuteRequest
"""Requests that read one text."""


class LocalModel:
    """One model of a run, answering from local files. Made by ``open_models``.

    ``base`` is the model that an adapter sits on. Raises ModelError at the first use where a tokenizer or weights do
    not load, and where memory does not hold a single sequence.
    """

    def __init__(
        self, files: ModelFiles, base: ModelFiles | None, weights: Weights, batch_tokens: int | Literal["auto"] = "auto"
    ) -> None:
        self._files = files
        self._base = base
        self._weights = weights
        weights.users.add(id(self))
        self._digest = effective_digest(files, base)
        self._tokenizer: Tokenizer | None = None
        self._renderer: Renderer | None = None
        self._remembered: Remembering | None = None
        self._top_id = -1
        self._lock = RLock()
        default = DEFAULT_BATCH_TOKENS.get(weights.device.partition(":")[0], 4096)
        self._batch_tokens = default if batch_tokens == "auto" else max(1, batch_tokens)
        self._usage = Usage()

    @property
    def digest(self) -> str:
        return self._digest

    @property
    def abilities(self) -> frozenset[Ability]:
        return frozenset(("generates", "scores_tokens", "chooses", "attributes", "embeds"))

    @property
    def batched(self) -> bool:
        return True

    def usage(self) -> Usage:
        return self._usage

    def tokens(self, requests: Sequence[Request]) -> Tokens:
        """Counted with the model's own tokenizer; a prompt that several continuations share is read once."""
        asked = [one for request in requests for one in _asked_as(request)]
        rendered = self._look(asked)
        written = sum(
            request.max_new_tokens
            for request, one in zip(asked, rendered, strict=True)
            if isinstance(request, GenerateRequest) and isinstance(one, Prompted)
        )
        return Tokens(_read(asked, rendered), written)

    def facts(self) -> Mapping[str, JsonScalar]:
        renderer = self._rendering()[1]
        own = self._files.tokenizer_digest
        return {
            "kind": "adapter on shared base" if self._files.adapter else "causal language model",
            "layout": self._files.layout,
            "digest": self._digest,
            "tokenizer": own or (self._base.tokenizer_digest if self._base else None),
            "dtype": self._weights.dtype,
            "device": self._weights.device,
            "context_tokens": self._limit(),
            "batch_tokens": self._batch_tokens,
            "chat_template": renderer.has_template,
            "adds_bos": renderer.adds_bos,
        }

    def addresses(self, requests: Sequence[Request]) -> list[str]:
        asked = [_asked_as(request) for request in requests]
        every = [one for some in asked for one in some]
        found = iter(map(self._address, every, self._look(every)))
        parts = [[next(found) for _ in some] for some in asked]
        return [
            self._hashed(["choose", *part]) if isinstance(request, ChooseRequest) else part[0]
            for request, part in zip(requests, parts, strict=True)
        ]

    def score(self, requests: Sequence[ScoreRequest], deliver: Deliver) -> None:
        questions = self._remembering().take_scored(requests)
        self._count(requests, questions)
        with self._ready() as network:
            score(network, questions, self._limit(), self._batch_tokens, deliver)

    def generate(self, requests: Sequence[GenerateRequest], deliver: Deliver) -> None:
        tokenizer, renderer = self._rendering()
        prompts = self._remembering().take_prompts(requests)
        self._count(requests, prompts)
        limit, ends, turn_end = self._limit(), self._ends(tokenizer), renderer.turn_end()
        special = {tokenizer.convert_ids_to_tokens(token): token for token in tokenizer.all_special_ids}
        tasks: list[Task] = []
        twins: dict[str, list[int]] = {}
        for owner, (request, prompt) in enumerate(zip(requests, prompts, strict=True)):
            failed = prompt if isinstance(prompt, Failed) else refusal(request, len(prompt.ids), limit)
            if isinstance(prompt, Failed) or failed is not None:
                deliver(owner, failed or Failed("the prompt cannot be rendered"))
                continue
            same = twins.setdefault(self._address(request, prompt), [])
            same.append(owner)
            if len(same) == 1:
                # decoded text never shows a special token, so one that is a stop string ends the answer as an id
                here = ends | {special[text] for text in request.stop if text in special}
                if prompt.rendered and turn_end is not None:
                    here.add(turn_end)
                tasks.append(Task(owner, prompt.ids, request, frozenset(here)))
        if not tasks:
            return
        owners = {same[0]: same for same in twins.values()}

        def to_all(first: int, answer: Answer) -> None:
            if isinstance(answer, Generation):
                written = self._usage.completion_tokens + answer.tokens
                self._usage = replace(self._usage, completion_tokens=written)
            for owner in owners[first]:
                deliver(owner, answer)

        with self._ready() as network:
            generate(network, tokenizer, tasks, self._tokens_generating(network), to_all)

    def choose(self, requests: Sequence[ChooseRequest], deliver: Deliver) -> None:
        choose(self.score, requests, deliver)

    def attribute(self, requests: Sequence[AttributeRequest], deliver: Deliver) -> None:
        tokenizer = self._rendering()[0]
        questions = self._remembering().take_scored([_same_tokens(request) for request in requests])
        self._count(requests, questions)
        asked = list(zip(requests, questions, strict=True))
        with self._ready() as network:
            attribute(network, tokenizer, asked, self._limit(), self._batch_tokens, deliver)

    def embed(self, requests: Sequence[EmbedRequest], deliver: Deliver) -> None:
        special = frozenset(self._rendering()[0].all_special_ids)
        prompts = self._remembering().take_prompts([GenerateRequest(request.text) for request in requests])
        self._count(requests, prompts)
        with self._ready() as network:
            embed(network, special, prompts, self._limit(), self._batch_tokens, deliver)

    def _tokens_generating(self, network: Network) -> int:
        least = ROWS_GENERATED * self._batch_tokens
        if self._weights.device != "cpu" or not network.caches:
            return least
        return max(least, min(4 * least, CACHED_BYTES // max(1, network.cache_bytes)))

    def _count(self, requests: Sequence[Request], rendered: Sequence[Scored | Prompted | Failed]) -> None:
        self._usage = replace(self._usage, prompt_tokens=self._usage.prompt_tokens + _read(requests, rendered))

    def _look(self, requests: Sequence[_Alone]) -> list[Scored | Prompted | Failed]:
        """Tokens of each request. An attribution reads those of a score, an embedding those of a prompt."""
        read: list[Request] = []
        for request in requests:
            match request:
                case AttributeRequest():
                    read.append(_same_tokens(request))
                case EmbedRequest():
                    read.append(GenerateRequest(request.text))
                case EntailRequest() | ExecuteRequest():
                    pass
                case ScoreRequest() | GenerateRequest():
                    read.append(request)
        found = iter(self._remembering().look(read))
        return [
            Failed(f"a causal language model does not have the ability {request.needs!r}")
            if isinstance(request, EntailRequest | ExecuteRequest)
            else next(found)
            for request in requests
        ]

    def release(self) -> None:
        """Free the weights unless another model of the run still uses them."""
        if self._remembered is not None:
            self._remembered.forget()
        self._weights.release(id(self))

    def _ready(self) -> AbstractContextManager[Differentiable]:
        return self._weights.ready(id(self), self._top_id, self._files.adapter, "adapter_" + self._files.digest[:16])

    def _rendering(self) -> tuple[Tokenizer, Renderer]:
        with self._lock:
            if self._tokenizer is None or self._renderer is None:
                folder = self._files.tokenizer or (self._base.tokenizer if self._base else None)
                tokenizer = load_tokenizer(folder or self._weights.folder, self._weights.folder)
                self._top_id = max(tokenizer.get_vocab().values(), default=-1)
                check_vocabulary(self._top_id, whole_number(self._weights.config, "vocab_size"), self._files.root)
                self._tokenizer, self._renderer = tokenizer, Renderer(tokenizer)
            return self._tokenizer, self._renderer

    def _remembering(self) -> Remembering:
        with self._lock:
            if self._remembered is None:
                self._remembered = Remembering(self._rendering()[1])
            return self._remembered

    def _limit(self) -> int:
        return context_length(self._weights.config, self._rendering()[0])

    def _ends(self, tokenizer: Tokenizer) -> set[int]:
        """EOS by configuration and tokenizer; the model's generation_config is not consulted."""
        config = self._weights.config
        found: set[int] = set() if tokenizer.eos_token_id is None else {tokenizer.eos_token_id}
        for settings in (config, text_config(config)):
            named = settings.get("eos_token_id")
            for value in cast("list[object]", named) if isinstance(named, list) else [named]:
                if isinstance(value, int):
                    found.add(value)
        return found

    def _address(self, request: _Alone, rendered: Scored | Prompted | Failed) -> str:
        match rendered:
            case Failed():
                about: list[object] = ["cannot", rendered.reason, asdict(request)]
            case Scored() if isinstance(request, AttributeRequest):
                about = ["attribute", ATTRIBUTIONS, rendered.context, rendered.targets, rendered.document]
                about += [request.method, request.steps if request.method == "integrated_gradients" else 1]
            case Scored():
                about = ["score", rendered.context, rendered.targets, rendered.document]
            case Prompted() if isinstance(request, EmbedRequest):
                about = ["embed", EMBEDDINGS, rendered.ids]
            case Prompted():
                about = ["generate", rendered.ids, rendered.rendered, *_settings(cast("GenerateRequest", request))]
        return self._hashed(about)

    def _hashed(self, about: Sequence[object]) -> str:
        text = json.dumps([ANSWERS, self._digest, self._weights.dtype, *about], separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def _asked_as(request: Request) -> Sequence[_Alone]:
    """What the model reads for ``request``: one thing, but for a choice as many as it has options."""
    return scores_of(request) if isinstance(request, ChooseRequest) else (request,)


def _same_tokens(request: AttributeRequest) -> ScoreRequest:
    return ScoreRequest(request.prompt, request.continuation, request.delimiter)


def _read(requests: Sequence[Request], rendered: Sequence[Scored | Prompted | Failed]) -> int:
    """Tokens that the model must read: a context that several questions share counts once, but attributing reads its
    prompt many times."""
    contexts: set[tuple[int, ...]] = set()
    read = 0
    for request, one in zip(requests, rendered, strict=True):
        match one:
            case Scored() if isinstance(request, AttributeRequest):
                read += passes(request) * (len(one.context) + len(one.targets))
            case Scored():
                contexts.add(one.context)
                read += len(one.targets)
            case Prompted():
                read += len(one.ids)
            case Failed():
                pass
    return read + sum(map(len, contexts))


def _settings(request: GenerateRequest) -> list[object]:
    """What of a request changes its answer: without sampling, no seed does."""
    settings: list[object] = [request.max_new_tokens, sorted(set(request.stop))]
    if request.temperature > 0:
        settings += [request.temperature, request.top_p, request.sample, request.seed]
    return settings
