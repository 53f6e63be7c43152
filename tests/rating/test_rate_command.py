"""``finetune-gate rate`` as people use it: two tiny models, one rater at the page, another with a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner, Result
from workshop import MODEL, Workshop

from finetune_gate.evaluators.errors import ConfigurationError
from finetune_gate.flows.cli.rate import rate
from finetune_gate.gate.record import EstimateRecord
from finetune_gate.gate.run import GateRequest, walk

pytestmark = pytest.mark.slow
EVALUATOR = """\
  - human: {data: holdout, prompt: "{text}", ratings: ratings, items: 6, max_new_tokens: 8, criteria: [accuracy]}"""


def gate_in(workshop: Workshop, *evaluators: str, ratings: str = "{path: ratings.jsonl, optional: true}") -> Path:
    lines = [
        f"model: {MODEL}",
        f"data: {{holdout: holdout.jsonl, ratings: {ratings}}}",
        "evaluators:",
        *(evaluators or (EVALUATOR,)),
        "  - perplexity: {data: holdout}",
        "rules: [{metric: perplexity.bits_per_byte, max: 40}]",
    ]
    path = workshop.folder / "gate.yaml"
    path.write_text("\n".join(lines) + "\n")
    return path


@contextmanager
def rating(workshop: Workshop, *options: str) -> Generator[tuple[subprocess.Popen[str], str, str]]:
    """The command while it serves, its page's origin and key."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "finetune_gate.flows.cli",
            "rate",
            "gate.yaml",
            "--version",
            "1",
            "--rater",
            "ana",
            "-q",
            *options,
        ],
        cwd=workshop.folder,
        env=os.environ | {"MLFLOW_TRACKING_URI": workshop.uri, "FINETUNE_GATE_HOME": str(workshop.folder / "home")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        said: list[str] = []
        for line in process.stdout:
            said.append(line)
            if line.startswith("Ctrl-C"):
                break
        address = next((line.split()[1] for line in said if line.startswith("Page")), "")
        assert address, said
        origin, _, key = address.partition("/#")
        yield process, origin, key
    finally:
        process.kill()
        process.wait(20)


def invoke(*arguments: str) -> Result:
    """In this process, which has everything imported."""
    return CliRunner().invoke(rate, ["gate.yaml", "--version", "1", "-q", *arguments])


def test_from_the_models_to_the_ratings_and_on(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workshop.folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", workshop.uri)
    monkeypatch.setenv("FINETUNE_GATE_HOME", str(workshop.folder / "home"))
    gate_in(workshop)
    with rating(workshop) as (process, origin, key):
        headers = {"X-Rating-Key": key, "Content-Type": "application/json"}
        sheet = httpx.get(f"{origin}/sheet", headers=headers, timeout=30).json()
        assert sheet["rater"] == "ana"
        assert len(sheet["items"]) >= 2
        assert MODEL not in json.dumps(sheet)
        one, two = (item["id"] for item in sheet["items"][:2])
        whole = {"id": one, "choice": "left", "left_scores": {"accuracy": 4}, "right_scores": {"accuracy": 1}}
        assert httpx.post(f"{origin}/ratings", headers=headers, json=whole, timeout=30).status_code == 200
        assert (
            httpx.post(f"{origin}/ratings", headers=headers, json={"id": two, "choice": "tie"}, timeout=30).status_code
            == 200
        )
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=30)
        assert process.returncode == 0, output
        assert f"ana: 1 of {len(sheet['items'])} rated, 1 in part." in output
    (again,) = [json.loads(line) for line in (workshop.folder / "ratings.jsonl").read_text().splitlines()][:1]
    assert (again["rater"], again["choice"], again["left_scores"]) == ("ana", "left", {"accuracy": 4})

    total = len(sheet["items"])
    written = invoke("--rater", "ana", "--sheet", "sheet.csv", "--json")
    assert written.exit_code == 0, written.output
    assert json.loads(written.stdout) == {
        "sheet": "sheet.csv", "rater": "ana", "pairs": total - 1, "rated": 1, "partly": 1, "total": total,
    }  # fmt: skip
    refused = invoke("--rater", "ana", "--sheet", "sheet.csv")
    assert isinstance(refused.exception, ConfigurationError)
    assert "--force" in str(refused.exception)

    rows = list(csv.DictReader(io.StringIO((workshop.folder / "sheet.csv").read_text("utf-8-sig"), newline="")))
    for row in rows:
        row |= {"choice": "right", "left accuracy": "2", "right accuracy": "5.0"}
    rows[0]["left accuracy"] = "9"
    rows.append(rows[0] | {"id": "nobody"})
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, list(rows[0]), delimiter=";")
    writer.writeheader()
    writer.writerows(rows)
    (workshop.folder / "filled.csv").write_text(file.getvalue(), encoding="utf-8-sig")
    read = invoke("--read", "filled.csv", "--json")
    assert read.exit_code == 2
    found = json.loads(read.stdout)
    assert found["raters"] == [
        {"rater": "ana", "kept": total - 1, "empty": 0, "rated": total - 1, "partly": 1, "total": total}
    ]
    assert [error["found"] for error in found["errors"]] == ["'9'", "no such row in the sheet of 'ana'"]

    page = invoke("--rater", "bo", "--sheet", "sheet.html")
    assert page.exit_code == 0, page.output
    text = (workshop.folder / "sheet.html").read_text(encoding="utf-8")
    assert not [word for word in (MODEL, "models:/", str(workshop.folder), "sqlite") if word in text]

    (workshop.folder / "gate.yaml").write_text(gate_in(workshop).read_text().replace("items: 6", "items: 6, raters: 1"))
    crowded = invoke("--rater", "bo")
    assert "`raters: 2`" in str(crowded.exception)

    result = walk(GateRequest(gate_in(workshop), "1", dry_run=True, tracking_uri=workshop.uri))
    measured = {one.metric: one.candidate for one in result.record.measurements}
    assert isinstance(measured["human.accuracy"], EstimateRecord)
    kept = [json.loads(line) for line in (result.folder / "ratings-ratings.jsonl").read_text().splitlines()]
    assert kept == [json.loads(line) for line in (workshop.folder / "ratings.jsonl").read_text().splitlines()]
    client = workshop.client()
    experiment = client.get_experiment_by_name(f"finetune-gate/{MODEL}")
    (run,) = client.search_runs([experiment.experiment_id])
    files = [one.path for one in client.list_artifacts(run.info.run_id, "finetune_gate")]
    assert "finetune_gate/ratings-ratings.jsonl" in files


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ((), "nobody is named who rates"),
        (("--rater", "a\x1bb"), "a rater's name is"),
        (("--rater", "ana", "--sheet", "x.docx"), "one of .html, .csv, .json"),
        (("--rater", "ana", "--sheet", "x.csv", "--read", "y.csv"), "one or the other"),
        (("--read", "y.xlsx"), "one of .csv, .tsv, .json"),
        (("--read", "y.csv"), "No such file"),
        (("--rater", "ana", "--evaluator", "people"), "--evaluator human"),
        (("--rater", "ana", "--hours", "0"), "--hours"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_loaded(
    workshop: Workshop, arguments: tuple[str, ...], problem: str
) -> None:
    gate_in(workshop)
    done = workshop.command("rate", "gate.yaml", "--version", "1", *arguments, timeout=60)
    assert (done.returncode, problem in done.stderr) == (2, True), done.stderr
    assert "\x1b" not in done.stderr


def test_the_gate_file_has_to_have_something_to_rate(workshop: Workshop) -> None:
    gate_in(workshop, "  - classification: {data: holdout, labels: [billing, parcel]}")
    done = workshop.command("rate", "gate.yaml", "--version", "1", "--rater", "ana")
    assert (done.returncode, "nothing for people to rate" in done.stderr) == (2, True)
    gate_in(workshop, EVALUATOR, EVALUATOR.replace("human: {", "human: {name: again, "))
    done = workshop.command("rate", "gate.yaml", "--version", "1", "--rater", "ana")
    assert (done.returncode, "one of human, again" in done.stderr) == (2, True)
    gate_in(workshop, ratings="ratings.jsonl")
    done = workshop.command("rate", "gate.yaml", "--version", "1", "--rater", "ana")
    assert (done.returncode, "optional: true" in done.stderr) == (2, True)
