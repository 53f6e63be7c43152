"""The Prefect flow ``registry_watch``: one look at the registry, for versions that ask to be gated.

    finetune-gate deployments gate.yaml --every 300          # serve it on a schedule, beside the gate

It remembers nothing and settles nothing: what it starts is settled by the turns in the registry. So sweeps may be
missed, repeated, or overlap with any other watcher's. Gates do not run in it: it asks for them.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final, Literal, cast

from prefect import flow, get_run_logger
from prefect.artifacts import create_table_artifact
from prefect.runtime import flow_run

from finetune_gate.evaluators.errors import EvaluationError
from finetune_gate.flows.relays import WatchSettings, open_watch
from finetune_gate.gate.reports.inert import inert_text
from finetune_gate.gate.watching import NEWS, Report

DEADLINE_S: Final = 900.0
"""A look takes seconds; a registry that is away is given up after minutes. The next sweep comes anyway."""

ARTIFACT: Final = "registry-watch"


def _run_name() -> str:
    return f"{flow_run.scheduled_start_time:%F %H:%M}"


@flow(
    name="registry_watch",
    description="Look once at the registry, and start a gate for every version that asks for one and has had none.",
    flow_run_name=_run_name,
    persist_result=False,
    result_serializer="json",
    validate_parameters=True,
    timeout_seconds=DEADLINE_S,
)
def registry_watch(
    gate_files: list[str], relay: Literal["prefect", "github"] = "prefect", tracking_uri: str | None = None
) -> dict[str, int]:
    """One sweep. Prefect shows what is below as the form's help.

    Args:
        gate_files: Paths of gate files, on the machine where the sweep and its gates are to work
        relay: Who runs the gates: a deployment of evaluation_gate here in Prefect, or a GitHub workflow
        tracking_uri: MLflow server or sqlite address; if none, MLFLOW_TRACKING_URI where the sweep works
    """
    settings = WatchSettings(
        tuple(Path(one) for one in gate_files),
        relay=relay,
        tracking_uri=tracking_uri,
        actor=str(flow_run.id or "unknown"),
        trigger="watch",
    )
    with closing(open_watch(settings)) as watch:
        report = watch.look()
    log = get_run_logger()
    for one in report.looked:
        version = f" {one.version}" if one.version else ""
        log.info(inert_text(f"{one.model}{version}: {one.did}: {one.sentence}"))
    _show(report)
    if report.problems:
        raise EvaluationError(*report.problems)
    news = sum(one.did in NEWS for one in report.looked)
    return {"models": len(report.models), "looked": len(report.looked), "news": news}


def _show(report: Report) -> None:
    """An artifact, where something happened: most sweeps see nothing new."""
    rows = [
        {
            "model": inert_text(one.model),
            "version": one.version,
            "why it asks": inert_text(one.why),
            "what was done": one.did,
            "in words": inert_text(one.sentence),
        }
        for one in report.looked
        if one.did in NEWS
    ]
    if rows:
        show = cast("Callable[..., Any]", create_table_artifact)
        show(table=rows, key=ARTIFACT, description=f"What the look at {report.at} came upon")
