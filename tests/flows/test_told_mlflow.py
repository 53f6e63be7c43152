"""What MLflow's own pages show of a gate run, for a version that was registered from a logged model."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from workshop import BASE, MODEL, PASSES, Workshop

from finetune_gate.evaluators.errors import EvaluationError, Problem, RegistryError
from finetune_gate.gate.registry.tracking import Tracking
from finetune_gate.gate.run import GateRequest, GateResult, StepName, walk

T = TypeVar("T")
OWN = "Trained on Friday."


@pytest.fixture
def logged(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> str:
    """The logged model that version 3 is registered from."""
    # MLflow looks a logged model up at the process's own address, whatever the client was given
    monkeypatch.setenv("MLFLOW_TRACKING_URI", workshop.uri)
    client = workshop.client()
    training = client.get_experiment_by_name("training").experiment_id
    model = client.create_logged_model(training, name=MODEL)
    client.log_model_artifacts(model.model_id, str(workshop.folder / "made" / "2"))
    client.finalize_logged_model(model.model_id, "READY")
    tags = {"base_model": f"models:/{BASE}/1"}
    client.create_model_version(MODEL, f"models:/{model.model_id}", tags=tags, description=OWN)
    return str(model.model_id)


def gated(
    workshop: Workshop, gate: Path, *, dry_run: bool = False, at_act: Callable[[], object] = lambda: None
) -> GateResult:
    def via(name: StepName, step: Callable[[], T], /) -> T:
        if name == "act":
            at_act()
        return step()

    folder = workshop.folder
    request = GateRequest(
        gate, "3", dry_run=dry_run, tracking_uri=workshop.uri, out=folder / "out", home=folder / "home"
    )
    return walk(request, via=via)


def run_of(workshop: Workshop, result: GateResult) -> Any:
    return workshop.client().get_run(result.address.split("/")[1])


def rows_of(workshop: Workshop, query: str) -> list[Any]:
    connection = sqlite3.connect(workshop.folder / "mlflow.db")
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def description(workshop: Workshop) -> str:
    return str(workshop.client().get_model_version(MODEL, "3").description)


def test_figures_inputs_table_and_description(
    workshop: Workshop, logged: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = workshop.gate(PASSES)

    def unfinished(*_: object) -> None:
        raise RegistryError(Problem("MLflow", "made to fail"))

    with monkeypatch.context() as patch:  # all is told, and then told again by the run that takes this one up
        patch.setattr(Tracking, "finish_run", unfinished)
        with pytest.raises(EvaluationError, match="promote was decided and acted on"):
            gated(workshop, gate)
    result = gated(workshop, gate)
    run = run_of(workshop, result)
    digest = result.record.datasets[0].digest[:12]

    shown = rows_of(
        workshop, "select metric_name, dataset_name, dataset_digest, model_id, run_id from logged_model_metrics"
    )
    assert len(shown) == len(set(shown))
    assert {row[1:] for row in shown} == {("holdout", digest, logged, run.info.run_id)}
    names = {row[0] for row in shown}
    assert {"classification.accuracy", "vs_base/perplexity.bits_per_byte"} <= names
    assert not any(name.startswith("base/") for name in names)
    assert {"base/classification.accuracy", *names} <= set(run.data.metrics)

    (dataset,) = run.inputs.dataset_inputs
    assert (dataset.dataset.name, dataset.dataset.digest) == ("holdout", digest)
    assert json.loads(dataset.dataset.source) == {"uri": "holdout.jsonl"}
    assert json.loads(dataset.dataset.profile) == {"num_rows": 60, "sha256": result.record.datasets[0].digest}
    assert {one["name"] for one in json.loads(dataset.dataset.schema)["mlflow_colspec"]} >= {"text", "label"}
    assert [(tag.key, tag.value) for tag in dataset.tags] == [("mlflow.data.context", "evaluation")]
    assert [model.model_id for model in run.inputs.model_inputs] == [logged]

    client = workshop.client()
    (told,) = json.loads(run.data.tags["mlflow.loggedArtifacts"])
    assert told == {"path": "eval_results_table.json", "type": "table"}
    table = client.load_table(run.info.experiment_id, told["path"], [run.info.run_id])
    assert run.data.tags["finetune_gate.table_rows"] == f"{len(table)} of 120"
    assert list(table.columns)[:2] == ["asked", "candidate answered"]

    text = description(workshop)
    assert text.startswith(f"{OWN}\n\n<!-- finetune-gate -->\n\n**✓ Promote**")
    assert text.count("<!--") == 2


def test_a_dry_run_tells_of_itself_alone(workshop: Workshop, logged: str) -> None:
    run = run_of(workshop, gated(workshop, workshop.gate(PASSES, classify=False), dry_run=True))
    assert [model.model_id for model in run.inputs.model_inputs] == [logged]
    assert run.data.metrics
    assert rows_of(workshop, "select * from logged_model_metrics") == []
    assert description(workshop) == OWN


def test_the_description_can_be_left_alone(workshop: Workshop, logged: str) -> None:
    gated(workshop, workshop.gate(PASSES, classify=False, extra="report: {describe_version: false}"))
    assert description(workshop) == OWN


def test_a_logged_model_that_is_gone_costs_its_page_alone(workshop: Workshop, logged: str) -> None:
    gate = workshop.gate(PASSES, classify=False)
    client = workshop.client()
    result = gated(workshop, gate, at_act=lambda: client.delete_logged_model(logged))
    assert result.record.decision == "promote"
    assert run_of(workshop, result).inputs.model_inputs == []


def test_a_decision_that_changed_while_acting_names_the_run(workshop: Workshop, logged: str) -> None:
    client = workshop.client()
    result = gated(
        workshop,
        workshop.gate(PASSES, classify=False),
        at_act=lambda: client.set_registered_model_alias(MODEL, "champion", "1"),
    )
    assert run_of(workshop, result).info.run_name == f"{MODEL} v3: hold"
    assert "**‖ Hold**" in description(workshop)
