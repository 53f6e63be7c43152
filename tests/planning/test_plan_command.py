"""``finetune-gate plan`` on a real registry: what it says is what a run then does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from workshop import MODEL, OPEN, PASSES, Workshop

from finetune_gate.evaluators.errors import FinetuneGateError
from finetune_gate.flows.cli.plan import plan
from finetune_gate.gate.record import RunRecord
from finetune_gate.gate.run import GateRequest, walk

HEAVY = {"torch", "transformers", "mlflow", "prefect", "peft", "sklearn", "scipy", "pandas", "pyarrow", "openai"}
SAID = (
    "  - classification: {name: said, data: holdout, labels: [billing, parcel], method: generate, "
    "prompt: 'Say {text}:', max_new_tokens: 5}"
)


def command(workshop: Workshop, *arguments: str | Path) -> Result:
    """The command in this process: MLflow takes seconds to import, each time anew."""
    settings = {"MLFLOW_TRACKING_URI": workshop.uri, "FINETUNE_GATE_HOME": str(workshop.folder / "home")}
    return CliRunner().invoke(plan, [str(argument) for argument in arguments], env=settings)


def planned(workshop: Workshop, gate: Path, *arguments: str, version: str = "1") -> dict[str, Any]:
    done = command(workshop, gate, "--version", version, "--json", *arguments)
    assert done.exit_code == 0, done.exception
    return json.loads(done.stdout)


def run(workshop: Workshop, gate: Path, dry_run: bool = True) -> RunRecord:
    request = GateRequest(
        gate_file=gate,
        candidate="1",
        dry_run=dry_run,
        tracking_uri=workshop.uri,
        out=workshop.folder / "out",
        home=workshop.folder / "home",
    )
    return walk(request).record.run


def models_of(found: Mapping[str, Any]) -> dict[str, Any]:
    return {model["name"]: model for model in found["models"]}


def modules_after(workshop: Workshop, *arguments: str) -> tuple[set[str], str]:
    """The heavy modules that a command leaves imported, and its standard output before that."""
    script = (
        "import sys\n"
        "from finetune_gate.flows.cli import main\n"
        "try: main()\n"
        "except SystemExit as stop: assert not stop.code, stop.code\n"
        f"print(' '.join(['MODULES', *sorted({HEAVY!r} & set(sys.modules))]))"
    )
    settings = {"MLFLOW_TRACKING_URI": workshop.uri, "FINETUNE_GATE_HOME": str(workshop.folder / "home")}
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], cwd=workshop.folder, env={**os.environ, **settings},
        capture_output=True, text=True, timeout=180, check=True,
    )  # fmt: skip
    shown, _, modules = done.stdout.rpartition("MODULES")
    return set(modules.split()), shown


@pytest.fixture
def gate(workshop: Workshop) -> Path:
    """Log-likelihoods and texts; some requests are asked by two evaluators."""
    path = workshop.gate(
        PASSES, OPEN, "{metric: perplexity.bits_per_byte, min_change: 0.0, margin: 0.1, against: base}"
    )
    twice = "  - perplexity: {name: again, data: holdout}"
    path.write_text(path.read_text().replace("rules:", f"{twice}\n{SAID}\nrules:"))
    return path


def test_what_is_planned_is_what_a_run_does(workshop: Workshop, gate: Path) -> None:
    found = planned(workshop, gate, "--no-calibration")
    assert (found["wanted"], found["different"]) == (60 * 2 + 60 + 60 + 60, 60 * 2 + 60 + 60)
    models = models_of(found)
    assert set(models) == {"candidate", "base"}
    done = run(workshop, gate)
    for name, model in models.items():
        assert model["left"]["requests"] == done.asked[name] == 240
        assert model["left"]["read"] == done.usage[name].prompt_tokens
        assert model["left"]["exact"]
        assert 0 < done.usage[name].completion_tokens <= model["left"]["written"] == 60 * 5
        assert model["seconds"] == {"unknown": "not calibrated, as asked"}
        assert model["runs_on"] == "cpu, float32"
    unknown = [rule["detects"] for rule in found["rules"] if isinstance(rule["detects"], dict)]
    assert unknown == [{"unknown": "known once the base has answered"}] * 2
    assert any("no alias 'champion'" in warning for warning in found["warnings"])

    # the next version is compared with a champion that has answered, and so has the base
    workshop.client().set_registered_model_alias(MODEL, "champion", "1")
    after = planned(workshop, gate, "--no-calibration", version="2")
    assert {name: model["left"]["requests"] for name, model in models_of(after).items()} == {
        "candidate": 240, "base": 0, "champion": 0,
    }  # fmt: skip
    assert models_of(after)["champion"]["stored"] == 240
    assert all(isinstance(rule["detects"], float) for rule in after["rules"])
    assert "the base's own scores" in after["rules"][2]["assumption"]


def test_a_store_that_holds_a_part_leaves_the_rest(workshop: Workshop) -> None:
    first = workshop.gate(PASSES, name="first.yaml", classify=False)
    run(workshop, first)
    both = workshop.gate(PASSES)
    found = planned(workshop, both, "--no-calibration")
    done = run(workshop, both)
    for name, model in models_of(found).items():
        assert (model["stored"], model["left"]["requests"]) == (done.stored[name], done.asked[name]) == (60, 120)
        assert model["left"]["read"] == done.usage[name].prompt_tokens


def test_with_everything_in_the_store_nothing_is_loaded(workshop: Workshop) -> None:
    gate = workshop.gate(PASSES)
    run(workshop, gate)
    modules, shown = modules_after(workshop, "plan", str(gate), "--version", "1", "--quiet")
    assert "nothing to compute: the answer store holds every answer" in shown
    assert not modules & {"torch", "peft", "prefect", "openai"}


def test_the_same_again_is_answered_from_a_kept_plan_without_heavy_imports(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = workshop.gate(PASSES, OPEN)
    monkeypatch.chdir(workshop.folder)
    first = command(workshop, gate, "--version", "1", "--no-calibration")
    assert first.exit_code == 0, first.exception
    assert "--fresh plans again" not in first.stdout
    assert "resolve:" in first.stderr
    modules, shown = modules_after(workshop, "plan", str(gate), "--version", "1", "--no-calibration")
    assert modules == set()
    assert "s ago; --fresh plans again" in shown
    lines = shown.splitlines()
    assert [*lines[:1], *lines[2:]] == first.stdout.splitlines()
    fresh = planned(workshop, gate, "--no-calibration", "--fresh")
    assert fresh["age_seconds"] is None
    again = planned(workshop, gate, "--no-calibration")
    assert again["age_seconds"] >= 0
    assert {**again, "age_seconds": None} == fresh
    (workshop.folder / "holdout.jsonl").write_text(
        (workshop.folder / "holdout.jsonl").read_text().replace("ticket-", "other-")
    )
    assert planned(workshop, gate, "--no-calibration")["age_seconds"] is None


def test_local_models_are_timed(workshop: Workshop, gate: Path) -> None:
    found = planned(workshop, gate)
    for model in found["models"]:
        assert model["seconds"]["loading"] >= 0
        assert model["seconds"]["computing"] > 0
    assert found["seconds"]["computing"] == pytest.approx(sum(m["seconds"]["computing"] for m in found["models"]))
    assert any("full length" in note for note in found["notes"])
    assert set(run(workshop, gate).stored.values()) == {0}  # a sample's answers are not kept


def test_a_candidate_that_serves_already_is_asked_once_and_warned_about(workshop: Workshop) -> None:
    workshop.client().set_registered_model_alias(MODEL, "champion", "1")
    found = planned(workshop, workshop.gate(PASSES), "--no-calibration")
    champion = models_of(found)["champion"]
    assert (champion["same_as"], champion["left"]["requests"]) == ("candidate", 0)
    assert any("identical to the champion" in warning for warning in found["warnings"])


def test_few_examples_are_warned_about(workshop: Workshop) -> None:
    rows = (workshop.folder / "holdout.jsonl").read_text().splitlines()[:12]
    (workshop.folder / "holdout.jsonl").write_text("\n".join(rows) + "\n")
    found = planned(workshop, workshop.gate(PASSES, OPEN), "--no-calibration")
    assert sum("only 12 examples" in warning for warning in found["warnings"]) == 2


@pytest.mark.parametrize(
    ("old", "new", "arguments", "status", "message"),
    [
        ("min: 0.5", "min: .inf", ("--version", "1"), 2, "rules[0].min: inf"),
        ("holdout.jsonl", "gone.jsonl", ("--version", "1"), 2, "file does not exist"),
        ("", "", ("--version", "99"), 2, "99"),
        ("", "", ("--version", "1", "--base", "models:/tiny-router/1"), 4, "the registered files are"),
        ("", "", ("--version", "1", "--tracking-uri", "http://127.0.0.1:9"), 4, "127.0.0.1:9"),
        ("", "", ("--frobnicate",), 2, "No such option"),
    ],
)
def test_errors_are_those_of_a_run(
    workshop: Workshop, old: str, new: str, arguments: tuple[str, ...], status: int, message: str
) -> None:
    gate = workshop.gate(OPEN)
    gate.write_text(gate.read_text().replace(old, new, 1))
    done = command(workshop, gate, *arguments)
    if isinstance(done.exception, FinetuneGateError):
        assert done.exception.exit_status == status
        assert message in str(done.exception)
    else:
        assert (done.exit_code, message in done.stderr) == (status, True), done.exception
    assert not list((workshop.folder / "home").glob("plans/*"))
    assert not list((workshop.folder / "home").glob("models-*"))


def test_planning_changes_nothing_in_the_registry(workshop: Workshop) -> None:
    planned(workshop, workshop.gate(PASSES), "--no-calibration")
    assert workshop.champion() is None
    assert set(workshop.tags("1")) == {"base_model"}
    client = workshop.client()
    experiment = client.get_experiment_by_name(f"finetune-gate/{MODEL}")
    assert client.search_runs([experiment.experiment_id]) == []
