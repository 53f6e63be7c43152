"""What a gate leaves in Prefect for people: artifacts under names that stay, and a flow run that says its decision.

    leave_artifacts(result)       # evaluation-gate-support-bot, ...-rules, ...-report
    name_by_decision(record)      # the flow run is "support-bot 7: promote" from now on

Prefect's UI keeps a history of every key, and reads descriptions and texts of links as markdown. Nothing here may cost
a run its decision: what the server does not take is logged, and left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from uuid import UUID

from finetune_gate.gate.record import DecisionRecord
from finetune_gate.gate.registry.mlflow_client import plain
from finetune_gate.gate.registry.tracking import page_of_file
from finetune_gate.gate.reports import render_markdown, rule_rows
from finetune_gate.gate.reports.markdown import prose
from finetune_gate.gate.run import GateResult
from finetune_gate.gate.run.states import REPORT_FILE


def artifact_key(model: str) -> str:
    """``evaluation-gate-support-bot``; Prefect allows lower-case letters, digits and dashes."""
    return "evaluation-gate-" + re.sub(r"[^a-z0-9]+", "-", model.lower()).strip("-")[:200]


def leave_artifacts(result: GateResult) -> None:
    """The decision as markdown, its rules as a table, and a link to the report where MLflow is a server."""
    from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact

    record, key = result.record, artifact_key(result.record.model)
    _left_out_if_refused(
        "the decision",
        lambda: create_markdown_artifact(
            markdown=render_markdown(record, report_address=result.address),
            key=key,
            description=prose(record.sentence, limit=1000),
        ),
    )
    rows: list[Any] = list(rule_rows(record))
    _left_out_if_refused(
        "the rules",
        lambda: create_table_artifact(
            table=rows, key=f"{key}-rules", description=prose(f"Rules of {decided_name(record)}")
        ),
    )
    page = result.run_url
    if page is not None:
        _left_out_if_refused(
            "the link to the report",
            lambda: create_link_artifact(
                link=page_of_file(page, REPORT_FILE),
                link_text=prose(f"Report in MLflow: {decided_name(record)}"),
                key=f"{key}-report",
                description=prose(f"Report of {decided_name(record)}"),
            ),
        )


def name_by_decision(record: DecisionRecord) -> None:
    """Rename the flow run of this process."""
    from prefect import get_client
    from prefect.runtime import flow_run

    name, run_id = decided_name(record), flow_run.id

    def rename() -> None:
        with get_client(sync_client=True) as client:
            client.set_flow_run_name(flow_run_id=UUID(run_id), name=name)

    if run_id is not None:
        _left_out_if_refused("the decision in the run's name", rename)


def decided_name(record: DecisionRecord) -> str:
    """``support-bot 7: promote``."""
    candidate = record.role("candidate")
    version = f" {candidate.version}" if candidate and candidate.version else ""
    return f"{plain(record.model, 256)}{version}: {record.decision}{' (dry run)' if record.run.dry_run else ''}"


def _left_out_if_refused(what: str, write: Callable[[], object]) -> None:
    from prefect import get_run_logger

    try:
        write()
    except Exception as error:  # noqa: BLE001 - the border to what is only shown
        get_run_logger().warning(f"Prefect does not show {what}: {plain(str(error)) or type(error).__name__}")
