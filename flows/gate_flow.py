"""The Prefect flow ``evaluation_gate``: the seven steps of a run, each a task, named as they are.

    finetune-gate deployments gate.yaml          # serve it as a deployment, start it from the Prefect UI

Prefect shows and retries; it decides nothing. The verdict is in the decision record, whatever the run's state says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

from prefect import State, Task, flow, get_run_logger
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import TaskRun
from prefect.runtime import deployment, flow_run

from finetune_gate.evaluators.errors import ConfigurationError, RegistryError
from finetune_gate.flows.artifacts import artifact_key, leave_artifacts, name_by_decision
from finetune_gate.flows.clusters import on_cluster
from finetune_gate.flows.expected_model import refuse_other_models
from finetune_gate.flows.locking import one_at_a_time
from finetune_gate.flows.progress_artifact import Meter, shown_in_prefect
from finetune_gate.flows.reviewing import SoFar, continued, wait_for_review, waits_so_far
from finetune_gate.flows.stopping import why_flow_stopped
from finetune_gate.gate.gate_file import load_gate_file
from finetune_gate.gate.registry.mlflow_client import plain
from finetune_gate.gate.run import GateRequest, GateResult, StepName, walk_in_turn
from finetune_gate.gate.turns import Wish

T = TypeVar("T")

RETRIED: Mapping[str, int] = {"resolve": 2, "act": 3, "publish": 3}
"""Steps that talk to a registry are tried again. The others compute: what failed once fails again."""


def _run_name() -> str:
    """``support-bot 7``; the path of a gate file that cannot be read, which the run itself will explain."""
    parameters = flow_run.parameters
    return _named(Path(str(parameters["gate_file"])), str(parameters["version"]))


def _named(gate_file: Path, version: str) -> str:
    try:
        return f"{load_gate_file(gate_file).file.model} {version}"
    except ConfigurationError:
        return f"{gate_file} {version}"


@flow(
    name="evaluation_gate",
    description=(
        "Gate one model version: promote, block or hold it.\n\n"
        "Where the gate file's `review` says so, a run that comes to hold is suspended until a person approves it, "
        "blocks it or wants it looked at again."
    ),
    flow_run_name=_run_name,
    persist_result=False,
    result_serializer="json",
    validate_parameters=True,
)
def evaluation_gate(
    gate_file: str,
    version: str = "latest",
    model: str | None = None,
    base: str | None = None,
    dry_run: bool = False,
    wait_for_approval: bool = False,
    once: bool = False,
    trigger: str = "prefect",
    tracking_uri: str | None = None,
    out: str = ".finetune-gate",
) -> dict[str, str]:
    """Gate one model version. Prefect shows what is below as the form's help.

    Args:
        gate_file: Path of the gate file, on the machine where the run is to work
        version: Version under test: 7, @alias, latest, or models:/NAME/7
        model: Refuse to run if the gate file is about another registered model than this
        base: What the version was fine-tuned from, if not what the gate file says
        dry_run: Decide and report, and change nothing in the registry
        wait_for_approval: Hold what would be promoted until a person approves it, whatever the gate file says
        once: If this gate file has decided on the version already, return that decision
        trigger: What made this run, for the decision record
        tracking_uri: MLflow server or sqlite address; if none, MLFLOW_TRACKING_URI where the run works
        out: Folder for records and reports, one sub-folder per run
    """
    asked = GateRequest(
        gate_file=Path(gate_file),
        candidate=version,
        base=base,
        dry_run=dry_run,
        tracking_uri=tracking_uri,
        out=Path(out),
        trigger=trigger,
        actor=str(flow_run.id or "unknown"),
        approval=wait_for_approval,
    )
    if model is not None:
        refuse_other_models(asked.gate_file, model)
    so_far = waits_so_far()
    request = continued(asked, so_far)
    # a run that goes on after a wait has a decision already: the one that was waited with
    resumed = so_far.wait is not None
    result = _walk_as_tasks(request, "again" if resumed else "once" if once else "join")
    wait_for_review(result, request, so_far)
    return {
        "decision": result.record.decision,
        "sentence": result.record.sentence,
        "record": result.address,
        "record_digest": result.record.digest(),
        "elsewhere": result.elsewhere,
    }


def run_as_flow(request: GateRequest, wish: Wish = "join") -> GateResult:
    """Walk ``request`` in this process as a flow run: on the Prefect server that is configured, or without one."""
    results: list[GateResult] = []

    @flow(
        name="evaluation_gate",
        flow_run_name=_named(request.gate_file, request.candidate),
        persist_result=False,
        result_serializer="json",
    )
    def evaluation_gate_here() -> None:
        results.append(_walk_as_tasks(request, wish))
        wait_for_review(results[0], request, SoFar())  # it cannot, and says so where the gate file wants it

    evaluation_gate_here()
    return results[0]


def _walk_as_tasks(request: GateRequest, wish: Wish) -> GateResult:
    log, meter = get_run_logger(), Meter()

    def as_task(name: StepName, step: Callable[[], T], /) -> T:
        if name != "answer":
            return _as_task(name, step)
        key = f"{artifact_key(load_gate_file(request.gate_file).file.model)}-progress"

        def answer() -> T:
            with shown_in_prefect(meter, key):
                return step()

        return _as_task(name, answer)

    result = walk_in_turn(
        request,
        wish=wish,
        via=as_task,
        progress=meter,
        run_on=on_cluster,
        stopped=why_flow_stopped,
        within=_alone if deployment.id is not None else nullcontext,
    )
    record = result.record
    log.info(plain(record.sentence))
    if result.elsewhere:
        log.info(f"decided by {plain(result.elsewhere)}, not by this run")
    leave_artifacts(result)
    name_by_decision(record)
    return result


def _alone(model: str) -> AbstractContextManager[None]:
    log = get_run_logger()
    holder = f"flow run {flow_run.name} ({flow_run.id})"
    return one_at_a_time(model, holder=holder, say=log.info, warn=log.warning)


def _as_task(name: StepName, step: Callable[[], T], /) -> T:
    walked = Task(
        step,
        name=name,
        task_run_name=name,
        cache_policy=NO_CACHE,
        persist_result=False,
        retries=RETRIED.get(name, 0),
        retry_delay_seconds=[2.0, 10.0, 30.0][: RETRIED.get(name, 0)],
        retry_condition_fn=_registry_failed,
    )
    return walked()


def _registry_failed(failed: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    return isinstance(state.result(raise_on_failure=False), RegistryError)
