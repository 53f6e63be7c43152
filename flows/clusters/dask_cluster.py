"""A Dask cluster behind Prefect's DaskTaskRunner: one that runs, or one started here for as long as the run takes."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Generator, Iterable, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from finetune_gate.evaluators.errors import EvaluationError, Problem
from finetune_gate.gate.gate_file.settings import Execution

from .cluster import LOST_WORKERS, PATIENCE_ELSEWHERE, PATIENCE_HERE, START_SECONDS, Cluster
from .machine import share_machine
from .shard_task import reason

if TYPE_CHECKING:
    from prefect import Task
    from prefect.futures import PrefectFuture
    from prefect_dask.task_runners import DaskTaskRunner


@dataclass(frozen=True, slots=True)
class _Dask:
    tasks: DaskTaskRunner
    workers: int
    threads: int
    patience: float

    def submit(self, task: Task[..., Any], parameters: dict[str, Any]) -> PrefectFuture[Any]:
        return cast("PrefectFuture[Any]", self.tasks.submit(task, parameters))

    def alive(self) -> int:
        return len(_threads_by_worker(self.tasks))

    def forget(self, future: PrefectFuture[Any]) -> None:
        cast("Any", future).wrapped_future.cancel()

    def lost(self, error: Exception) -> bool:
        from distributed import KilledWorker

        return isinstance(error, KilledWorker)


@contextmanager
def dask_cluster(execution: Execution, device: str) -> Generator[Cluster]:
    """On a running cluster, ``--nthreads`` of its workers is the number of torch threads in each.

    One started here talks on 127.0.0.1 only, under TLS with keys of its own, so that nobody else on this machine can
    give it work; it has no dashboard. Raises EvaluationError where it cannot be reached or started.
    """
    with ExitStack() as opened:
        from dask import config
        from prefect_dask.task_runners import DaskTaskRunner

        _silence()
        share = share_machine(execution, device)
        if execution.cluster is not None:
            tasks = DaskTaskRunner(address=execution.cluster, client_kwargs={"timeout": START_SECONDS})
        else:
            opened.enter_context(config.set(_SETTINGS))
            opened.enter_context(_variables_kept(cast("Any", config).get("distributed.nanny.pre-spawn-environ")))
            here: dict[str, object] = {
                "n_workers": share.workers,
                "threads_per_worker": 1,
                "host": "127.0.0.1",
                "security": True,
                "dashboard_address": "127.0.0.1:0",
                "memory_limit": 0,  # Dask would pause, then kill workers by its own guess of what a model may take
                "local_directory": opened.enter_context(tempfile.TemporaryDirectory(prefix="finetune-gate-dask-")),
                "silence_logs": logging.CRITICAL,
            }
            tasks = DaskTaskRunner(cluster_kwargs=here)
        tasks.logger.setLevel(logging.CRITICAL)
        try:
            opened.enter_context(tasks)
            tasks.client.wait_for_workers(1, timeout=START_SECONDS)
        except Exception as error:  # noqa: BLE001 - the border to Dask: what stops it is told, whatever it is
            raise _unreachable(execution, error) from None
        threads = _threads_by_worker(tasks)
        if execution.cluster is None:
            yield _Dask(tasks, share.workers, share.threads, PATIENCE_HERE)
        else:
            yield _Dask(tasks, max(1, len(threads)), max(1, min(threads.values(), default=1)), PATIENCE_ELSEWHERE)


_SETTINGS: Mapping[str, object] = {
    "distributed.scheduler.allowed-failures": LOST_WORKERS - 1,
    # workers write to the same terminal; both libraries read this when they are imported
    "distributed.nanny.pre-spawn-environ.PREFECT_LOGGING_LEVEL": "CRITICAL",
    "distributed.nanny.pre-spawn-environ.DASK_LOGGING__DISTRIBUTED": "critical",
    # pages about tasks and workers, for whoever asks
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
}


@contextmanager
def _variables_kept(names: Iterable[str]) -> Generator[None]:
    """Dask sets what its workers are to find in this process, and leaves it there for whatever is started later."""
    before = {name: os.environ.get(name) for name in names}
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _threads_by_worker(tasks: DaskTaskRunner) -> Mapping[str, int]:
    """Empty where the scheduler does not answer."""
    try:
        return dict(cast("Any", tasks.client).nthreads())
    except Exception:  # noqa: BLE001 - the border to Dask: one that cannot be asked has no workers for us
        return {}


def _silence() -> None:
    """Dask's diary of starts and stops, which Prefect's logging would print."""
    import_module("distributed")  # sets its own levels when it is imported
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] in ("distributed", "tornado"):
            logging.getLogger(name).setLevel(logging.CRITICAL)


def _unreachable(execution: Execution, error: Exception) -> EvaluationError:
    if execution.cluster is None:
        return EvaluationError(Problem("execution.runner: dask", f"no cluster could be started here: {reason(error)}"))
    return EvaluationError(
        Problem(
            f"execution.cluster: {execution.cluster}",
            f"no scheduler with a worker answers there within {START_SECONDS} seconds: {reason(error)}",
            "a running scheduler and at least one worker",
            "dask scheduler, dask worker ADDRESS; or leave `cluster` out: one is started on this machine",
        )
    )
