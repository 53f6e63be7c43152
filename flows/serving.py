"""Serving the flows to Prefect from one process: it polls the server, and runs each flow run in a process of its own.
Or leaving them to workers.

serve(Serving((Path("gate.yaml"),), every_s=300))          # until interrupted
leave_to_workers(Serving((Path("gate.yaml"),)), "finetune-gate")
"""

from __future__ import annotations

import asyncio
import os
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from prefect.deployments.runner import RunnerDeployment

TAG: Final = "finetune-gate"


@dataclass(frozen=True, slots=True)
class Serving:
    """``gates`` are watched, every ``every_s`` seconds; without any, there is the gate alone. ``at_once``: most gates
    that run at the same time here. ``tracking_uri`` goes into the environment of the runs and not into their
    parameters, which everybody sees in Prefect: it may hold a password."""

    gates: tuple[Path, ...] = ()
    every_s: int = 300
    at_once: int = 1
    tracking_uri: str | None = None


def serve(serving: Serving) -> None:
    """Register the deployments and run what is scheduled for them, until SIGINT or SIGTERM. Runs that are under way
    then are ended, and taken up again by the watcher. Schedules are paused until somebody serves again."""
    from prefect.exceptions import TerminationSignal
    from prefect.runner import Runner

    if serving.tracking_uri:
        os.environ["MLFLOW_TRACKING_URI"] = serving.tracking_uri
    # Prefect's own, on SIGTERM: "coroutine 'Runner.astop' was never awaited"
    warnings.filterwarnings("ignore", message="coroutine 'Runner.astop'", category=RuntimeWarning)
    runners = [Runner(name="gates", limit=serving.at_once, pause_on_shutdown=True)]
    runners[0].add_deployment(gate_deployment(serving))
    if serving.gates:
        # of its own, so that sweeps do not wait for a place among the gates
        runners.append(Runner(name="watch", limit=1, pause_on_shutdown=True))
        runners[1].add_deployment(watch_deployment(serving))

    async def run() -> None:
        await asyncio.gather(*(runner.start() for runner in runners))

    try:
        asyncio.run(run())
    except (KeyboardInterrupt, TerminationSignal):
        return


def leave_to_workers(serving: Serving, pool: str) -> tuple[str, ...]:
    """Register the deployments for the workers of ``pool``, which is made as one of processes where there is none, and
    return their names. Again, it changes those that are there. Runs of processes work in this process's folder; where
    the registry is, and keys, are the worker's business, and ``at_once`` its ``--limit``."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists
    from prefect.workers.process import ProcessWorker

    template = ProcessWorker.get_default_base_job_template()
    with get_client(sync_client=True) as client:
        with suppress(ObjectAlreadyExists):
            client.create_work_pool(WorkPoolCreate(name=pool, type="process", base_job_template=template))
        processes = client.read_work_pool(pool).type == "process"
    deployments = [gate_deployment(serving), *([watch_deployment(serving)] if serving.gates else [])]
    for deployment in deployments:
        if processes:
            deployment.job_variables = {"working_dir": str(Path.cwd())}
        cast("Callable[..., object]", deployment.apply)(work_pool_name=pool)
    return tuple(deployment.full_name for deployment in deployments)


def gate_deployment(serving: Serving) -> RunnerDeployment:
    from prefect.types.entrypoint import EntrypointType

    from .gate_flow import evaluation_gate

    return _deployed(
        evaluation_gate.to_deployment,
        "gate",
        parameters={"gate_file": str(serving.gates[0])} if len(serving.gates) == 1 else {},
        entrypoint_type=EntrypointType.MODULE_PATH,
    )


def watch_deployment(serving: Serving) -> RunnerDeployment:
    from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
    from prefect.types.entrypoint import EntrypointType

    from .watch_flow import registry_watch

    return _deployed(
        registry_watch.to_deployment,
        "watch",
        parameters={"gate_files": [str(gate) for gate in serving.gates]},
        interval=serving.every_s,
        concurrency_limit=ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW),
        entrypoint_type=EntrypointType.MODULE_PATH,
    )


def _deployed(make: Callable[..., Any], name: str, **settings: Any) -> RunnerDeployment:
    """In Prefect's types it may be a coroutine, which it is only where an event loop runs."""
    return cast("RunnerDeployment", make(name, tags=[TAG], version=version("finetune-gate"), **settings))
