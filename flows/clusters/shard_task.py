"""What a worker does: the answers of one shard of requests, by a model it opens once and keeps for the next shard."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock, Timer, current_thread
from typing import TYPE_CHECKING, Final

from finetune_gate.evaluators.asking import Answer
from finetune_gate.evaluators.errors import (
    EvaluationError,
    FinetuneGateError,
    ModelFilesError,
    Problem,
    without_credentials,
)
from finetune_gate.gate.pins import ModelFiles, ModelPin, Pins
from finetune_gate.gate.run.shards import Shard, ask

if TYPE_CHECKING:
    from finetune_gate.gate.models import Model

MAX_REASON: Final = 500

IDLE_SECONDS: Final = 300.0
"""How long a worker without work keeps what it has loaded."""


@dataclass(frozen=True, slots=True)
class Opening:
    """How a worker opens the models of a run. ``dtype``, ``batch_tokens`` and ``threads`` are what the coordinator
    found: all that an answer's last digits depend on is decided in one place."""

    pins: Pins
    device: str
    dtype: str
    batch_tokens: int
    threads: int


@dataclass(frozen=True, slots=True)
class Work:
    """One shard to answer. ``digest`` and ``sizes`` (bytes by path) say which model the coordinator calls ``name``."""

    opening: Opening
    name: str
    digest: str
    sizes: tuple[tuple[str, int], ...]
    shard: Shard


class Sealed:
    """Work that Prefect does not look into: it searches the fields of dataclasses, request by request, for futures."""

    def __init__(self, work: Work) -> None:
        self.work = work


def answer_shard(sealed: Sealed) -> tuple[Answer, ...]:
    """An answer for each request of the shard, in order.

    Raises ModelFilesError where the model's files are not here as the coordinator sees them; whatever else goes wrong
    comes out as one of our own errors, which can be pickled and shown.
    """
    work = sealed.work
    try:
        with _KEPT.opened_for(work) as model:
            answers = ask(model, work.shard, lambda request, answer: None)
    except FinetuneGateError:
        raise
    except Exception as error:  # noqa: BLE001 - the border of the worker: not every exception survives pickling
        raise EvaluationError(Problem(f"{work.name} on worker {socket.gethostname()}", reason(error))) from None
    return tuple(answers[request] for request in work.shard)


def reason(error: BaseException) -> str:
    """What an exception says, on one line, without credentials and without codes that move a terminal."""
    text = "".join(letter for letter in " ".join(without_credentials(str(error)).split()) if letter.isprintable())
    return f"{type(error).__name__}: {text}"[:MAX_REASON] if text else type(error).__name__


def from_files(pins: Pins) -> Pins:
    """``pins`` without the models that no worker answers for: one behind an API would want its key there."""
    kept = {name: pin for name, pin in pins.by_name().items() if isinstance(pin.files, ModelFiles)}
    stand_in = next(iter(kept.values()))
    return Pins(
        candidate=kept.get("candidate", stand_in),
        base=kept.get("base", stand_in),
        champion=kept.get("champion"),
        judges={name: pin for name, pin in kept.items() if name in pins.judges},
    )


def sizes_of(pin: ModelPin, pins: Pins) -> tuple[tuple[str, int], ...]:
    """Size in bytes of every file that the model is loaded from, by path: its own and those of what it adapts."""
    sources = [pin.files, *([pin.adapts or pins.base.files] if pin.files.adapter else [])]
    folders = {
        folder
        for source in sources
        if isinstance(source, ModelFiles)
        for folder in (source.weights, source.tokenizer, source.adapter)
        if folder is not None
    }
    files = sorted({path for folder in folders for path in folder.iterdir() if path.is_file()})
    return tuple((str(path), path.stat().st_size) for path in files)


@dataclass(slots=True)
class _Kept:
    """The models of the run that this worker answered for last; weights of one of them at a time, for IDLE_SECONDS
    after the last shard: a cluster may outlive the run."""

    _lock: Lock = field(default_factory=Lock)
    _opened: ExitStack = field(default_factory=ExitStack)
    _opening: Opening | None = None
    _models: dict[str, Model] = field(default_factory=dict[str, "Model"])
    _asked: str | None = None
    _idle: Timer | None = None

    @contextmanager
    def opened_for(self, work: Work) -> Generator[Model]:
        """One shard at a time: a worker with several threads would else load and compute over its cores."""
        with self._lock:
            if self._idle is not None:
                self._idle.cancel()
            try:
                yield self._model(work)
            finally:
                self._idle = Timer(IDLE_SECONDS, self._forget)
                self._idle.daemon = True
                self._idle.start()

    def _model(self, work: Work) -> Model:
        if work.opening != self._opening:
            self._open(work.opening)
        if work.name != self._asked:
            _refuse_other_files(work)
            if self._asked is not None and self._models[self._asked] is not self._models[work.name]:
                self._models[self._asked].release()
            self._asked = work.name
        model = self._models[work.name]
        if model.digest != work.digest:
            raise EvaluationError(
                Problem(
                    f"{work.name} on worker {socket.gethostname()}",
                    f"is model {model.digest[:12]} there",
                    f"{work.digest[:12]}, as pinned",
                    "install the same version of finetune-gate on all machines of the cluster",
                )
            )
        return model

    def _forget(self) -> None:
        with self._lock:
            if current_thread() is self._idle:  # no shard came while this waited for the lock
                self._close()

    def _close(self) -> None:
        self._opened.close()
        self._opening, self._asked, self._models = None, None, {}

    def _open(self, opening: Opening) -> None:
        self._close()
        os.environ.setdefault("RAYON_NUM_THREADS", str(opening.threads))  # tokenizers would take every core
        import torch

        from finetune_gate.gate.models import open_models

        torch.set_num_threads(opening.threads)
        opened = open_models(
            opening.pins,
            device=device_of(opening.device, _worker_number(), torch.cuda.device_count()),
            dtype=opening.dtype,
            batch_tokens=opening.batch_tokens,
        )
        self._models = dict(self._opened.enter_context(opened))
        self._opening = opening


_KEPT = _Kept()


def device_of(wish: str, worker: int | None, gpus: int) -> str:
    """The GPUs of a machine in turn, for numbered workers. Ray, and dask-cuda, show each worker only its own."""
    if wish in ("auto", "cuda") and worker is not None and gpus > 1:
        return f"cuda:{worker % gpus}"
    return wish


def _worker_number() -> int | None:
    """The number of a Dask worker started by us; None on other workers."""
    if "distributed" not in sys.modules:
        return None
    from distributed import get_worker

    try:
        name: object = get_worker().name
    except ValueError:
        return None
    return name if isinstance(name, int) else None


def _refuse_other_files(work: Work) -> None:
    """Cheap on purpose (hashing weights on every worker is not): what is there under these names has these sizes."""
    problems: list[Problem] = []
    for name, size in work.sizes:
        path = Path(name)
        found = path.stat().st_size if path.is_file() else None
        if found != size:
            problems.append(
                Problem(
                    f"{work.name} on worker {socket.gethostname()}: {name}",
                    "is not there" if found is None else f"has {found:,} bytes",
                    f"the file that the run was started with, of {size:,} bytes",
                    "workers read models at the same paths: set FINETUNE_GATE_HOME to a folder on a shared file system",
                )
            )
    if problems:
        raise ModelFilesError(*problems[:3])
