"""A causal language model from local files, alone or as adapters on one base, answering in batches.

``Weights`` is what lies in memory, shared by every model that is made of it; ``LocalModel`` is one model: the weights
with or without an adapter, a tokenizer, and a digest. Addresses need the tokenizer only: neither weights nor torch.
"""

from __future__ import annotations

import gc
import hashlib
import json
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from threading import RLock
from typing import Literal, cast
from weakref import ref

from finetune_gate.evaluators.asking import Ability, Answer, Failed, GenerateRequest, Generation, Request, ScoreRequest

from ..pins import ModelFiles
from .declared import Json, text_config, whole_number
from .foreign import Adapted, CausalModel, Tokenizer
from .generating import Task, generate, refusal
from .identity import effective_digest
from .loading import Dtype, attach_adapter, check_vocabulary, context_length, load_causal_model, load_tokenizer
from .network import DEFAULT_BATCH_TOKENS, Network
from .precision import exact_float32
from .protocol import Deliver, JsonScalar, Tokens, Usage
from .scoring import score
from .threads import threads_for
from .tokenizing import Prompted, Remembering, Renderer, Scored

ANSWERS = "finetune-gate answers 2"
"""The version of what an answer is. Changes with every change of rendering, scoring or generating that moves one."""

ROWS_GENERATED = 4
"""Generation keeps so many times as many tokens in a batch as scoring: most of its passes compute one for each row."""

CACHED_BYTES = 1 << 30
"""On CPUs it keeps up to four times more, while their cache takes no more than this: each pass reads all weights."""


@dataclass(slots=True)
class Weights:
    """One set of weights: loaded at the first question, adapters put on as they are asked for, freed at last."""

    folder: Path
    config: Json
    dtype: Dtype
    device: str
    lock: RLock = field(default_factory=RLock)
    closed: bool = False
    users: set[int] = field(default_factory=set[int])
    _model: CausalModel | None = None
    _network: Network | None = None
    _adapted: Adapted | None = None
    _adapters: set[str] = field(default_factory=set[str])

    @property
    def loaded(self) -> bool:
        return self._model is not None

    @contextmanager
    def ready(self, user: int, top_id: int, adapter: Path | None, name: str) -> Generator[Network]:
        """The network with ``adapter`` switched on, and every other one off, for as long as the context lasts."""
        with self.lock:
            if self.closed:
                raise RuntimeError("a model was asked after open_models had been left")
            self.users.add(user)
            if self._model is None or self._network is None:
                self._model = load_causal_model(self.folder, self.dtype, self.device)
                self._network = Network(self._model, self.device, self.config)
            if adapter is not None and name not in self._adapters:
                first = self._adapted is None
                self._adapted = attach_adapter(self._adapted or self._model, adapter, name, self.device, first)
                self._adapters.add(name)
            check_vocabulary(top_id, int(self._model.get_input_embeddings().weight.shape[0]), self.folder)
            on = name if adapter is not None else None
            with exact_float32(), threads_for(self._network.parameters, self.device), _switched(self._adapted, on):
                yield self._network

    def release(self, user: int) -> None:
        """Free the memory if no other user is left. A later question loads the weights again."""
        with self.lock:
            self.users.discard(user)
            if not self.users:
                self._free()

    def close(self) -> None:
        with self.lock:
            self.closed = True
            self._free()

    def _free(self) -> None:
        if self._model is None:
            return
        left = ref(self._model)
        self._model = self._network = self._adapted = None
        self._adapters.clear()
        if left() is not None:  # in a cycle of references; a full collection takes most of a second
            gc.collect()
        if self.device.startswith("cuda") and "torch" in sys.modules:
            import torch

            torch.cuda.empty_cache()


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
        return frozenset(("generates", "scores_tokens"))

    @property
    def batched(self) -> bool:
        return True

    def usage(self) -> Usage:
        return self._usage

    def tokens(self, requests: Sequence[Request]) -> Tokens:
        """Counted with the model's own tokenizer; a prompt that several continuations share is read once."""
        rendered = self._remembering().look(requests)
        written = sum(
            request.max_new_tokens
            for request, one in zip(requests, rendered, strict=True)
            if isinstance(request, GenerateRequest) and isinstance(one, Prompted)
        )
        return Tokens(_read(rendered), written)

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
        rendered = self._remembering().look(requests)
        return [self._address(request, one) for request, one in zip(requests, rendered, strict=True)]

    def score(self, requests: Sequence[ScoreRequest], deliver: Deliver) -> None:
        questions = self._remembering().take_scored(requests)
        self._count(questions)
        with self._ready() as network:
            score(network, questions, self._limit(), self._batch_tokens, deliver)

    def generate(self, requests: Sequence[GenerateRequest], deliver: Deliver) -> None:
        tokenizer, renderer = self._rendering()
        prompts = self._remembering().take_prompts(requests)
        self._count(prompts)
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

    def _tokens_generating(self, network: Network) -> int:
        least = ROWS_GENERATED * self._batch_tokens
        if self._weights.device != "cpu" or not network.caches:
            return least
        return max(least, min(4 * least, CACHED_BYTES // max(1, network.cache_bytes)))

    def _count(self, rendered: Sequence[Scored | Prompted | Failed]) -> None:
        self._usage = replace(self._usage, prompt_tokens=self._usage.prompt_tokens + _read(rendered))

    def release(self) -> None:
        """Free the weights unless another model of the run still uses them."""
        if self._remembered is not None:
            self._remembered.forget()
        self._weights.release(id(self))

    def _ready(self) -> AbstractContextManager[Network]:
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

    def _address(self, request: Request, rendered: Scored | Prompted | Failed) -> str:
        match rendered:
            case Failed():
                about: list[object] = ["cannot", rendered.reason, asdict(request)]
            case Scored():
                about = ["score", rendered.context, rendered.targets, rendered.document]
            case Prompted():
                about = ["generate", rendered.ids, rendered.rendered, *_settings(cast("GenerateRequest", request))]
        text = json.dumps([ANSWERS, self._digest, self._weights.dtype, *about], separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def _read(rendered: Sequence[Scored | Prompted | Failed]) -> int:
    """Tokens that the model must read: a context that several questions share counts once."""
    contexts = {one.context for one in rendered if isinstance(one, Scored)}
    targets = sum(len(one.targets) for one in rendered if isinstance(one, Scored))
    return targets + sum(map(len, contexts)) + sum(len(one.ids) for one in rendered if isinstance(one, Prompted))


def _settings(request: GenerateRequest) -> list[object]:
    """What of a request changes its answer: without sampling, no seed does."""
    settings: list[object] = [request.max_new_tokens, sorted(set(request.stop))]
    if request.temperature > 0:
        settings += [request.temperature, request.top_p, request.sample, request.seed]
    return settings


@contextmanager
def _switched(adapted: Adapted | None, name: str | None) -> Generator[None]:
    if adapted is None:
        yield
    elif name is not None:
        adapted.set_adapter(name, inference_mode=True)
        yield
    else:
        with adapted.disable_adapter():
            yield
