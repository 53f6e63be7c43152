"""``finetune-gate run --report``, and what is then said in more words or in fewer: one real run, many looks at it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result
from workshop import FAILS, OPEN, PASSES, Workshop, copy_workshop

from finetune_gate.evaluators.errors import ConfigurationError
from finetune_gate.flows.cli.program import program
from finetune_gate.gate.record import read_record
from finetune_gate.gate.reports import render_junit, render_markdown, render_model_card


@dataclass(frozen=True)
class Gated:
    """A workshop in which a version was blocked, and what the command said of it."""

    workshop: Workshop
    gate: Path
    said: dict[str, object]

    @property
    def folder(self) -> Path:
        return (self.workshop.folder / str(self.said["record"])).parent

    def command(self, *arguments: str | Path) -> Result:
        """In this process: MLflow takes seconds to import, each time anew."""
        settings = {"MLFLOW_TRACKING_URI": self.workshop.uri, "FINETUNE_GATE_HOME": str(self.workshop.folder / "home")}
        return CliRunner().invoke(program, list(map(str, arguments)), env=settings)


@pytest.fixture(scope="module")
def gated(original: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Gated:
    workshop = copy_workshop(original, tmp_path_factory.mktemp("reports") / "workshop")
    gate = workshop.gate(PASSES, FAILS)
    targets = ("junit=out/gate.junit", "gate.xml", "gate.md", "page.html", "model-card=card.md")
    done = workshop.command(
        "run", gate, "--version", "1", "--json", *(word for one in targets for word in ("--report", one))
    )
    assert done.returncode == 1, done.stderr
    assert done.stderr == ""
    return Gated(workshop, gate, json.loads(done.stdout))


def test_every_report_is_that_of_the_record(gated: Gated) -> None:
    record = read_record(gated.folder / "decision-record.json")
    folder = gated.workshop.folder
    assert (folder / "gate.xml").read_text(encoding="utf-8") == render_junit(record)
    assert (folder / "out/gate.junit").read_bytes() == (folder / "gate.xml").read_bytes()
    assert (folder / "gate.md").read_text(encoding="utf-8") == render_markdown(record)
    assert (folder / "card.md").read_text(encoding="utf-8") == render_model_card(record)
    assert (folder / "page.html").read_bytes() == (gated.folder / "report.html").read_bytes()
    assert ElementTree.parse(folder / "gate.xml").getroot().get("failures") == "2"


def test_a_report_that_cannot_be_written_hides_no_decision(gated: Gated) -> None:
    folder = gated.workshop.folder
    (folder / "taken").write_text("a file")
    reports = ("--report", folder / "taken/x.xml", "--report", folder / "again.xml")
    done = gated.command("run", gated.gate, "--version", "1", "--once", "--json", "--out", folder / "o", *reports)
    assert done.exit_code == 4
    assert json.loads(done.stdout)["decision"] == "block"
    assert "taken/x.xml: cannot be written" in done.stderr
    assert "the decision stands" in done.stderr
    assert (folder / "again.xml").read_bytes() == (folder / "gate.xml").read_bytes()


def test_a_report_of_no_kind_is_refused_before_anything_is_asked(gated: Gated) -> None:
    done = gated.command("run", gated.gate, "--version", "1", "--report", "gate.docx")
    assert isinstance(done.exception, ConfigurationError)
    assert "gate.docx: no such kind of report" in str(done.exception)


def test_check_is_silent_where_all_is_in_order(gated: Gated) -> None:
    done = gated.command("check", gated.gate, "-q")
    assert (done.exit_code, done.output) == (0, "")


def test_verify_is_silent_where_it_is_verified_and_says_all_where_it_differs(gated: Gated) -> None:
    done = gated.command("verify", gated.folder, "-q")
    assert (done.exit_code, done.output) == (0, "")
    record = gated.folder / "decision-record.json"
    kept = record.read_bytes()
    try:
        record.write_bytes(kept.replace(b'"decision":"block"', b'"decision":"promote"'))
        differs = gated.command("verify", gated.folder, "-q")
        assert differs.exit_code == 1
        assert "differs" in differs.stdout
    finally:
        record.write_bytes(kept)


def test_replay_shows_the_new_decision_whole(gated: Gated) -> None:
    other = gated.workshop.gate(OPEN, PASSES, name="other.yaml")
    short = gated.command("replay", gated.folder, "--gate", other)
    whole = gated.command("replay", gated.folder, "--gate", other, "-v")
    assert short.exit_code == whole.exit_code
    assert whole.stdout.startswith(short.stdout)
    assert "Measurements" in whole.stdout.removeprefix(short.stdout)


def test_doctor_is_silent_of_what_is_in_order(gated: Gated) -> None:
    done = gated.command("doctor", gated.gate, "-q", "--json", "--seconds", "1")
    assert {one["state"] for one in json.loads(done.stdout)} <= {"warning", "fault"}
