"""``finetune-gate run`` through the real command, on a real registry: what each exit status means."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from workshop import FAILS, MODEL, OPEN, PASSES, Workshop

from finetune_gate.gate.record import read_record


@pytest.mark.parametrize(
    ("rules", "status", "decision"),
    [((PASSES,), 0, "promote"), ((PASSES, FAILS), 1, "block"), ((PASSES, OPEN), 3, "hold")],
)
def test_the_decision_is_the_exit_status_and_moves_or_keeps_the_alias(
    workshop: Workshop, rules: tuple[str, ...], status: int, decision: str
) -> None:
    done = workshop.command("run", workshop.gate(*rules), "--version", "1", "--json")
    assert done.returncode == status, done.stderr
    result = json.loads(done.stdout)
    assert (result["decision"], result["exit_status"]) == (decision, status)
    assert workshop.champion() == ("1" if decision == "promote" else None)
    tags = workshop.tags("1")
    assert tags["finetune_gate.decision"] == decision
    assert tags["finetune_gate.reason"] == result["sentence"]
    assert tags["finetune_gate.record"] == result["mlflow"]
    assert tags["finetune_gate.record_digest"] == result["record_digest"]
    assert ("finetune_gate.promotion" in tags) == (decision == "promote")
    record = read_record(workshop.folder / result["record"])
    assert record.digest() == result["record_digest"]


@pytest.mark.parametrize(
    ("old", "new", "arguments", "status", "message"),
    [
        ("min: 0.5", "min: .inf", (), 2, "rules[0].min: inf"),
        ("holdout.jsonl", "gone.jsonl", (), 2, "file does not exist"),
        ("model: tiny-router", "model: tiny-ruoter", (), 2, "tiny-router"),
        ("", "", ("--version", "99"), 2, "99"),
        ("", "", ("--candidate", "@nobody"), 2, "nobody"),
        ("", "", ("--base", "models:/tiny-base/7"), 2, "tiny-base"),
        ("", "", ("--base", "models:/tiny-router/1"), 4, "the registered files are"),
        ("", "", ("--tracking-uri", "http://127.0.0.1:9"), 4, "127.0.0.1:9"),
        ("", "", ("--frobnicate",), 2, "No such option"),
    ],
)
def test_bad_input_is_one_clear_error_and_moves_nothing(
    workshop: Workshop, old: str, new: str, arguments: tuple[str, ...], status: int, message: str
) -> None:
    gate = workshop.gate(OPEN)
    assert old in gate.read_text()
    gate.write_text(gate.read_text().replace(old, new, 1))
    version = () if {"--version", "--candidate"} & set(arguments) else ("--version", "1")
    done = workshop.command("run", gate, *version, *arguments)
    assert done.returncode == status, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert workshop.champion() is None
    assert set(workshop.tags("1")) == {"base_model"}


def test_a_pickle_only_model_is_refused_by_name(workshop: Workshop) -> None:
    folder = next((workshop.folder / "artifacts").glob("*/artifacts/model/model.safetensors")).parent
    for weights in (workshop.folder / "artifacts").glob("*/artifacts/model/model.safetensors"):
        shutil.move(weights, weights.with_name("pytorch_model.bin"))
    assert (folder / "pytorch_model.bin").exists()
    done = workshop.command("run", workshop.gate(PASSES), "--version", "1")
    assert done.returncode == 4
    assert "pytorch_model.bin" in done.stderr
    assert "safetensors" in done.stderr
    assert "Traceback" not in done.stderr
    assert workshop.champion() is None


def test_errors_are_json_for_machines(workshop: Workshop) -> None:
    done = workshop.command("run", workshop.gate(OPEN), "--version", "99", "--json")
    assert done.returncode == 2
    (error,) = json.loads(done.stdout)["errors"]
    assert set(error) == {"where", "found", "expected", "way_out"}


def test_a_dry_run_decides_and_changes_nothing(workshop: Workshop) -> None:
    done = workshop.command("run", workshop.gate(PASSES), "--version", "1", "--dry-run", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["action"]["outcome"] == "dry_run"
    assert workshop.champion() is None
    assert set(workshop.tags("1")) == {"base_model"}


def test_the_second_version_is_judged_against_the_champion_too_and_asks_only_the_candidate(workshop: Workshop) -> None:
    gate = workshop.gate(PASSES, "{metric: perplexity.bits_per_byte, min_change: -20}")
    first = json.loads(workshop.command("run", gate, "--version", "1", "--json").stdout)
    assert first["champion"] is None
    second = json.loads(workshop.command("run", gate, "--version", "2", "--json").stdout)
    assert (second["champion"], second["decision"]) == ("1", "promote")
    record = read_record(workshop.folder / second["record"])
    assert record.run.asked == {"candidate": record.run.asked["candidate"], "base": 0, "champion": 0}
    assert record.run.asked["candidate"] > 0
    assert workshop.champion() == "2"


def test_the_same_run_again_decides_the_same_and_moves_nothing(workshop: Workshop) -> None:
    gate = workshop.gate(PASSES)
    first = json.loads(workshop.command("run", gate, "--version", "1", "--json").stdout)
    again = workshop.command("run", gate, "--candidate", "@champion", "--json")
    result = json.loads(again.stdout)
    assert again.returncode == 0
    assert (first["action"]["outcome"], result["action"]["outcome"]) == ("moved", "already_there")
    assert result["sentence"] == first["sentence"]


def test_a_champion_that_no_gate_put_there_is_held(workshop: Workshop) -> None:
    workshop.client().set_registered_model_alias(MODEL, "champion", "1")
    done = workshop.command("run", workshop.gate(PASSES), "--version", "1", "--json")
    assert done.returncode == 3
    assert "identical to the champion" in json.loads(done.stdout)["sentence"]


def test_results_lie_in_an_mlflow_run_that_compares_versions(workshop: Workshop) -> None:
    result = json.loads(workshop.command("run", workshop.gate(PASSES), "--version", "1", "--json").stdout)
    client = workshop.client()
    experiment = client.get_experiment_by_name(f"finetune-gate/{MODEL}")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.run_id in result["mlflow"]
    assert run.info.status == "FINISHED"
    assert {"classification.accuracy", "base/perplexity.perplexity", "vs_base/perplexity.perplexity"} <= set(
        run.data.metrics
    )
    names = {item.path for item in client.list_artifacts(run.info.run_id, "finetune_gate")}
    assert {Path(name).name for name in names} == {
        "decision-record.json", "decision-record.statements.jsonl", "scores.parquet", "examples.parquet",
        "report.html", "report.md",
    }  # fmt: skip


def test_a_report_is_shown_again_from_the_record_alone(workshop: Workshop) -> None:
    result = json.loads(workshop.command("run", workshop.gate(PASSES), "--version", "1", "--json").stdout)
    shown = workshop.command("report", result["record"])
    assert shown.returncode == 0
    assert "PROMOTE" in shown.stdout.upper()
    newest = workshop.command("report")
    assert newest.stdout == shown.stdout
    html = workshop.command("report", result["record"], "--format", "html", "-o", "again.html")
    assert html.returncode == 0
    assert (workshop.folder / "again.html").read_bytes().strip() == (
        workshop.folder / result["report"]
    ).read_bytes().strip()
    broken = workshop.command("report", "holdout.jsonl")
    assert broken.returncode == 4
    assert "Traceback" not in broken.stderr
