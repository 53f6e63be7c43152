"""One set of weights in memory, shared by every model that is made of it: the base, and adapters on it."""

from __future__ import annotations

import gc
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import RLock
from weakref import ref

from .declared import Json
from .differentiating import Differentiable
from .foreign import Adapted, CausalModel
from .loading import Dtype, attach_adapter, check_vocabulary, load_causal_model
from .precision import exact_float32
from .threads import threads_for


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
    _network: Differentiable | None = None
    _adapted: Adapted | None = None
    _adapters: set[str] = field(default_factory=set[str])

    @property
    def loaded(self) -> bool:
        return self._model is not None

    @contextmanager
    def ready(self, user: int, top_id: int, adapter: Path | None, name: str) -> Generator[Differentiable]:
        """The network with ``adapter`` switched on, and every other one off, for as long as the context lasts."""
        with self.lock:
            if self.closed:
                raise RuntimeError("a model was asked after open_models had been left")
            self.users.add(user)
            if self._model is None or self._network is None:
                self._model = load_causal_model(self.folder, self.dtype, self.device)
                self._network = Differentiable(self._model, self.device, self.config)
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
