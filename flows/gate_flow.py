"""The Prefect flow ``evaluation_gate``: the seven steps of a run, each a task, named as they are.

    python -m finetune_gate.flows.gate_flow          # serve it as a deployment, start it from the Prefect UI

Prefect shows and retries; it decides nothing. The verdict is in the decision record, whatever the run's state says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from prefect import State, Task, flow, get_run_logger
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import TaskRun
from prefect.runtime import flow_run

from finetune_gate.evaluators.errors import ConfigurationError, RegistryError
from finetune_gate.flows.artifacts import artifact_key
from finetune_gate.flows.clusters import on_cluster
from finetune_gate.flows.reviewing import SoFar, continued, wait_for_review, waits_so_far
from finetune_gate.gate.gate_file import load_gate_file
from finetune_gate.gate.progress import Lines
from finetune_gate.gate.reports import render_markdown, rule_rows
from finetune_gate.gate.run import GateRequest, GateResult, StepName, walk

T = TypeVar("T")

RETRIED: Mapping[str, int] = {"resolve": 2, "act": 3, "publish": 3}
"""Steps that talk to a registry are tried again. The others compute: what failed once fails again."""


def _run_name() -> str:
    """``support-bot 7``; the path of a gate file that cannot be read, which the run itself will explain."""
    parameters = flow_run.parameters
    return _named(Path(str(parameters["gate_file"])), str(parameters["candidate"]))


def _named(gate_file: Path, candidate: str) -> str:
    try:
        return f"{load_gate_file(gate_file).file.model} {candidate}"
    except ConfigurationError:
        return f"{gate_file} {candidate}"


@flow(name="evaluation_gate", flow_run_name=_run_name, persist_result=False, validate_parameters=True)
def evaluation_gate(
    gate_file: str,
    candidate: str = "latest",
    base: str | None = None,
    dry_run: bool = False,
    tracking_uri: str | None = None,
    out: str = ".finetune-gate",
) -> dict[str, str]:
    """Gate one model version: promote, block or hold it.

    Where the gate file's `review` says so, a run that comes to hold is suspended until a person approves it, blocks it
    or wants it looked at again.

    Args:
        gate_file: path of the gate file, on the machine that runs the flow
        candidate: version under test: 7, @alias, latest, or models:/NAME/7
        base: what it was fine-tuned from, instead of the gate file's
        dry_run: decide and report, and change nothing in the registry
        tracking_uri: MLflow server or sqlite:/// address; MLFLOW_TRACKING_URI where not given
        out: folder for records and reports
    """
    asked = GateRequest(
        gate_file=Path(gate_file),
        candidate=candidate,
        base=base,
        dry_run=dry_run,
        tracking_uri=tracking_uri,
        out=Path(out),
        trigger="prefect",
        actor=str(flow_run.id or "unknown"),
    )
    so_far = waits_so_far()
    request = continued(asked, so_far)
    result = _walk_as_tasks(request)
    wait_for_review(result, request, so_far)
    return {
        "decision": result.record.decision,
        "sentence": result.record.sentence,
        "record": result.address,
        "record_digest": result.record.digest(),
    }


def run_as_flow(request: GateRequest) -> GateResult:
    """Walk ``request`` in this process as a flow run: on the Prefect server that is configured, or without one."""
    results: list[GateResult] = []

    @flow(name="evaluation_gate", flow_run_name=_named(request.gate_file, request.candidate), persist_result=False)
    def evaluation_gate_here() -> None:
        results.append(_walk_as_tasks(request))
        wait_for_review(results[0], request, SoFar())  # it cannot, and says so where the gate file wants it

    evaluation_gate_here()
    return results[0]


class _Logged(Lines):
    """Progress as log lines of the flow run, at most one every half minute within a stretch of work."""

    def __init__(self) -> None:
        super().__init__(every=30.0)

    def say(self, line: str) -> None:
        get_run_logger().info(line.strip())


def _walk_as_tasks(request: GateRequest) -> GateResult:
    result = walk(request, via=_as_task, progress=_Logged(), run_on=on_cluster)
    record = result.record
    key = artifact_key(record.model)
    create_markdown_artifact(
        markdown=render_markdown(record, report_address=result.address), key=key, description=record.sentence
    )
    rows: list[Any] = list(rule_rows(record))
    create_table_artifact(table=rows, key=f"{key}-rules", description=f"Rules of {record.model}: {record.decision}")
    return result


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


if __name__ == "__main__":
    evaluation_gate.serve(name="gate")
