"""Shards on the workers of a cluster, through Prefect's task runners; the coordinator alone writes what comes back.

    with on_cluster(pins, execution) as runner:
        for shard, answers in runner.answer("candidate", model, shards, advance):
            ...

A lost worker costs its shard, which another one computes again; a shard that takes LOST_WORKERS with it ends the run.
An error of the model ends the run at once: it would come again.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack, closing, contextmanager
from contextvars import Context
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from itertools import islice
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final

from finetune_gate.evaluators.asking import Answer, Generation
from finetune_gate.evaluators.errors import ConfigurationError, EvaluationError, FinetuneGateError, Problem
from finetune_gate.gate.gate_file.settings import Execution
from finetune_gate.gate.models import Model
from finetune_gate.gate.models.protocol import Usage
from finetune_gate.gate.pins import ModelFiles, Pins
from finetune_gate.gate.run.shards import Advance, Answers, InProcess, Runner, Shard

from .cluster import Cluster
from .prefect_side import refuse_hidden_api, shard_context, shard_task
from .shard_task import Opening, Sealed, Work, from_files, reason, sizes_of

if TYPE_CHECKING:
    from prefect.futures import PrefectFuture

FETCH_SECONDS: Final = 600.0
"""For the answers of a finished shard to arrive; where its worker died meanwhile, also to be computed again."""

BEAT_SECONDS: Final = 15.0
ADDRESSES: Final = {"dask": ("tcp://", "tls://"), "ray": ("ray://", "auto")}


@contextmanager
def on_cluster(pins: Pins, execution: Execution) -> Generator[Runner]:
    """A ``RunOn``: the runner for the gate file's ``execution``. The cluster is reached, or started on this machine, at
    the first shard, so a run whose answers are all stored never starts one; it is gone when the context is left.

    Raises ConfigurationError for a missing extra and for an address that cannot be one; at the first shard also where
    this is no Prefect flow run.
    """
    if execution.runner == "local":
        yield InProcess()
        return
    refuse_unusable(execution)
    with ExitStack() as opened:
        yield _OnWorkers(pins, execution, opened)


def refuse_unusable(execution: Execution) -> None:
    """Raise ConfigurationError for what can be known to fail without starting anything."""
    runner, address = execution.runner, execution.cluster
    if runner == "local":
        return
    if find_spec(f"prefect_{runner}") is None:
        raise ConfigurationError(
            Problem(
                f"execution.runner: {runner}",
                "the packages for it are not installed",
                way_out=f"pip install 'finetune-gate[{runner}]', here and on the workers",
            )
        )
    if address is not None and not address.startswith(ADDRESSES[runner]):
        shapes = {"dask": "tcp://HOST:8786 or tls://HOST:8786", "ray": "ray://HOST:10001, or auto for the one here"}
        raise ConfigurationError(
            Problem(f"execution.cluster: {address}", f"is no address of a {runner} cluster", shapes[runner])
        )


@dataclass(slots=True)
class _OnWorkers:
    """A ``Runner``. Models that do not come from files are asked from here: an API's rate limit is one budget, and
    trusted code runs in one process of its own."""

    pins: Pins
    execution: Execution
    opened: ExitStack
    reached: tuple[Context, Cluster] | None = None
    used: dict[str, Usage] = field(default_factory=dict[str, Usage])

    def usage(self, name: str) -> Usage:
        return self.used.get(name, Usage())

    def answer(
        self, name: str, model: Model, shards: Sequence[Shard], advance: Advance
    ) -> Generator[tuple[Shard, Answers]]:
        pin = self.pins.by_name()[name]
        if not (shards and model.batched and isinstance(pin.files, ModelFiles)):
            yield from InProcess().answer(name, model, shards, advance)
            return
        facts = model.facts()
        batch_tokens = facts["batch_tokens"]
        assert isinstance(batch_tokens, int), "models from files say how they batch"
        context, cluster = self.reached = self.reached or (shard_context(), self._reach(str(facts["device"])))
        opening = Opening(
            pins=from_files(self.pins),
            device=self.execution.device,
            dtype=str(facts["dtype"]),
            batch_tokens=batch_tokens,
            threads=cluster.threads,
        )
        sizes = sizes_of(pin, self.pins)
        work = [Work(opening, name, model.digest, sizes, shard) for shard in shards]
        with closing(_mapped(cluster, context, work)) as finished:
            for shard, answers in finished:
                advance(len(shard))
                written = sum(one.tokens for one in answers.values() if isinstance(one, Generation))
                read = model.tokens(shard).read
                self.used[name] = self.usage(name) + Usage(prompt_tokens=read, completion_tokens=written)
                yield shard, answers

    def _reach(self, device: str) -> Cluster:
        if self.execution.cluster is not None:
            refuse_hidden_api(self.execution.cluster)
        if self.execution.runner == "dask":
            from .dask_cluster import dask_cluster as cluster
        else:
            from .ray_cluster import ray_cluster as cluster
        return self.opened.enter_context(cluster(self.execution, device))


def _mapped(cluster: Cluster, context: Context, work: Sequence[Work]) -> Generator[tuple[Shard, Answers]]:
    """Every shard with its answers as they come; two for each worker are under way, so that none waits for the next."""
    task = shard_task(work[0].name)
    ended: SimpleQueue[int] = SimpleQueue()
    running: dict[int, PrefectFuture[Any]] = {}
    left = iter(range(len(work)))
    try:
        while True:
            for index in islice(left, 2 * cluster.workers - len(running)):
                running[index] = context.run(cluster.submit, task, {"sealed": Sealed(work[index])})
                running[index].add_done_callback(partial(_put, ended, index))
            if not running:
                return
            index = _next(ended, cluster)
            shard = work[index].shard
            answers = _outcome(cluster, work[index], running.pop(index))
            yield shard, dict(zip(shard, answers, strict=True))
    finally:
        for future in running.values():
            cluster.forget(future)


def _put(ended: SimpleQueue[int], index: int, future: PrefectFuture[Any]) -> None:
    ended.put(index)


def _next(ended: SimpleQueue[int], cluster: Cluster) -> int:
    """The next shard that has ended, in whatever way. While a worker lives it is waited for: a shard may take long."""
    lived = time.monotonic()
    while True:
        try:
            return ended.get(timeout=BEAT_SECONDS)
        except Empty:
            now = time.monotonic()
            if cluster.alive():
                lived = now
            elif now - lived > cluster.patience:
                raise EvaluationError(
                    Problem(
                        "execution.runner",
                        f"no worker of the cluster has been alive for {now - lived:.0f} seconds",
                        way_out="see to the cluster and run it again: finished shards are kept",
                    )
                ) from None


def _outcome(cluster: Cluster, work: Work, future: PrefectFuture[Any]) -> Sequence[Answer]:
    where = f"{work.name}: a shard of {len(work.shard):,} requests"
    try:
        return future.result(timeout=FETCH_SECONDS)
    except FinetuneGateError:
        raise
    except Exception as error:  # noqa: BLE001 - the border to the cluster: Dask, Ray and Prefect have trees of their own
        if cluster.lost(error):
            found = f"every worker that it was given to was lost, the last with {reason(error)}"
            way_out = "the usual cause is memory: fewer workers, or a smaller execution.batch_tokens"
            raise EvaluationError(Problem(where, found, way_out=way_out)) from None
        cause = getattr(error, "cause", None)  # Ray's own errors hold the one that says something
        found = f"the cluster gave no answer: {reason(cause if isinstance(cause, Exception) else error)}"
        raise EvaluationError(Problem(where, found, way_out="run it again: finished shards are kept")) from None
