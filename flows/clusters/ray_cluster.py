"""A Ray cluster behind Prefect's RayTaskRunner: one that runs, or one started here for as long as the run takes."""

from __future__ import annotations

import logging
import os
import secrets
import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, cast

from finetune_gate.evaluators.errors import EvaluationError, Problem
from finetune_gate.gate.gate_file.settings import Execution

from .cluster import LOST_WORKERS, PATIENCE_ELSEWHERE, PATIENCE_HERE, Cluster
from .machine import Share, share_cores, share_machine
from .shard_task import reason

if TYPE_CHECKING:
    from prefect import Task
    from prefect.futures import PrefectFuture
    from prefect.task_runners import TaskRunner

STORE_BYTES: Final = 80 << 20
"""Ray's smallest store of objects is 75 MiB; a shard and its answers are some hundred kilobytes."""


@dataclass(frozen=True, slots=True)
class _Ray:
    tasks: TaskRunner[Any]
    workers: int
    threads: int
    patience: float
    resources: Mapping[str, float]

    def submit(self, task: Task[..., Any], parameters: dict[str, Any]) -> PrefectFuture[Any]:
        context: Any = import_module("prefect_ray.context")
        with context.remote_options(**self.resources, max_retries=LOST_WORKERS - 1, retry_exceptions=False):
            return cast("PrefectFuture[Any]", self.tasks.submit(task, parameters))

    def alive(self) -> int:
        return len(_machines())

    def forget(self, future: PrefectFuture[Any]) -> None:
        _ray().cancel(cast("Any", future).wrapped_future, force=True)

    def lost(self, error: Exception) -> bool:
        errors = _ray().exceptions
        return isinstance(error, (errors.WorkerCrashedError, errors.NodeDiedError, errors.OutOfMemoryError))


@contextmanager
def ray_cluster(execution: Execution, device: str) -> Generator[Cluster]:
    """A shard takes as many of the cluster's CPUs as it has threads; where there are GPUs and the gate file does not
    say cpu, one of them.

    A cluster started here listens on 127.0.0.1 only and asks everybody for a token of its own, so that nobody else on
    this machine can give it work; it has no dashboard. Raises EvaluationError where it cannot be reached or started.
    """
    with ExitStack() as opened:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        share: Share | None = None
        if execution.cluster is None:
            folder = opened.enter_context(tempfile.TemporaryDirectory(prefix="fg-ray-", ignore_cleanup_errors=True))
            share = share_machine(execution, device)
            start = _start_here(share, folder)
        else:
            start = {"address": execution.cluster}
        _silence()  # imports Ray, before Prefect does so halfway
        task_runners: Any = import_module("prefect_ray.task_runners")
        tasks: TaskRunner[Any] = task_runners.RayTaskRunner(
            init_kwargs={"log_to_driver": False, "logging_level": "ERROR", **start}
        )
        tasks.logger.setLevel(logging.CRITICAL)
        try:
            if not _ray().is_initialized():
                opened.callback(_leave)
            opened.enter_context(tasks)
            machines = _machines()
        except Exception as error:  # noqa: BLE001 - the border to Ray: what stops it is told, whatever it is
            raise _unreachable(execution, reason(error)) from None
        if not machines:
            raise _unreachable(execution, "it has no machines")
        yield _shared_out(tasks, execution, machines, share)


def _start_here(share: Share, folder: str) -> dict[str, object]:
    """Settings of a cluster of our own. Must come before Ray is imported, which reads the environment once."""
    if "RAY_AUTH_MODE" not in os.environ:
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # its one switch for 127.0.0.1 instead of 0.0.0.0
    return {
        "address": "local",
        "num_cpus": share.workers * share.threads,
        "object_store_memory": STORE_BYTES,
        "include_dashboard": False,
        "_temp_dir": folder,
    }


def _shared_out(
    tasks: TaskRunner[Any], execution: Execution, machines: Sequence[Mapping[str, float]], share: Share | None
) -> Cluster:
    """What one shard takes, so that as many are under way as there are to be workers."""
    cpus = [int(machine.get("CPU", 0)) for machine in machines]
    gpus = 0 if execution.device in ("cpu", "mps") else sum(int(machine.get("GPU", 0)) for machine in machines)
    patience = PATIENCE_HERE
    if share is None:
        patience = PATIENCE_ELSEWHERE
        share = share_cores(max(1, sum(cpus)), execution.workers or gpus)
        share = Share(share.workers, max(1, min(share.threads, max(cpus))))  # or no machine could take one
    takes = {"num_cpus": float(share.threads), "num_gpus": min(1.0, gpus / share.workers)}
    return _Ray(tasks, share.workers, share.threads, patience, takes)


def _machines() -> list[Mapping[str, float]]:
    """What each living machine has; empty where the cluster does not answer."""
    try:
        nodes: list[dict[str, Any]] = _ray().nodes()
    except Exception:  # noqa: BLE001 - the border to Ray: one that cannot be asked has no machines for us
        return []
    return [node["Resources"] for node in nodes if node["Alive"]]


def _leave() -> None:
    """RayTaskRunner leaves a connection to a remote cluster open."""
    ray = _ray()
    if ray.is_initialized():
        ray.shutdown()


def _silence() -> None:
    """Ray tells of every lost worker on standard output, which is the result's; no setting of its own stops that."""
    worker: Any = import_module("ray._private.worker")
    worker._worker_logs_enabled = False


def _ray() -> Any:
    return import_module("ray")


def _unreachable(execution: Execution, why: str) -> EvaluationError:
    if execution.cluster is None:
        return EvaluationError(Problem("execution.runner: ray", f"no cluster could be started here: {why}"))
    return EvaluationError(
        Problem(
            f"execution.cluster: {execution.cluster}",
            f"no Ray cluster answers there: {why}",
            "a running cluster, with the same versions of Ray and Python as here",
            "ray start --head; or leave `cluster` out: one is started on this machine",
        )
    )
