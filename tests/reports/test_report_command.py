"""``finetune-gate report``: on the screen, into files, and in a browser."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sample_records import record_of

from finetune_gate.evaluators.errors import ConfigurationError, EvaluationError
from finetune_gate.flows.cli.formats import FORMATS, Target, TargetType, settled
from finetune_gate.flows.cli.report import report
from finetune_gate.gate.record import write_record
from finetune_gate.gate.reports import render_html, render_junit, render_markdown, render_model_card

NO_DISPLAY = {"BROWSER": None, "DISPLAY": None, "WAYLAND_DISPLAY": None}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which a run has left its record."""
    write_record(record_of("hold"), tmp_path / ".finetune-gate" / "hold" / "decision-record.json")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def command(*arguments: str, env: dict[str, str | None] | None = None) -> Result:
    return CliRunner().invoke(report, list(arguments), env=env)


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_is_shown_on_the_screen(folder: Path, form: str) -> None:
    done = command("--format", form)
    assert done.exit_code == 0, done.exception
    assert done.stdout.endswith("\n")
    assert not done.stdout.endswith("\n\n")


@pytest.mark.parametrize(
    ("asked", "begins"),
    [
        ("a.html", "<!DOCTYPE html>"),
        ("a.MD", "## ‖ Hold"),
        ("a.xml", '<?xml version="1.0"'),
        ("a.json", "{"),
        ("a.txt", "╭"),
        ("model-card=a.md", "---\nmodel-index:"),
        ("junit=a.md", "<?xml"),
        ("markdown=a", "## ‖ Hold"),
        ("./junit=a.txt", "╭"),
        ("other=a.txt", "╭"),
    ],
)
def test_the_format_is_the_one_that_is_named_else_that_of_the_suffix(folder: Path, asked: str, begins: str) -> None:
    done = command("-o", asked)
    assert done.exit_code == 0, done.exception
    name = asked if asked.startswith(("./", "other")) else asked.rpartition("=")[2]
    assert done.stdout == f"written: {Path(name)}\n"
    assert (folder / name).read_text(encoding="utf-8").startswith(begins)


def test_several_files_at_once(folder: Path) -> None:
    done = command("-o", "a.html", "-o", "b/gate.xml", "-o", "c.md", "-o", "model-card=d.md", "--json")
    assert json.loads(done.stdout) == {"written": ["a.html", "b/gate.xml", "c.md", "d.md"]}
    record = record_of("hold")
    for name, text in (
        ("a.html", render_html(record)),
        ("b/gate.xml", render_junit(record)),
        ("c.md", render_markdown(record)),
        ("d.md", render_model_card(record)),
    ):
        assert (folder / name).read_bytes().rstrip(b"\n") == text.encode().rstrip(b"\n")


def test_format_decides_for_files_that_name_none(folder: Path) -> None:
    assert command("--format", "junit", "-o", "a", "-o", "markdown=b").exit_code == 0
    assert (folder / "a").read_text().startswith("<?xml")
    assert (folder / "b").read_text().startswith("## ")


def test_all_files_are_looked_at_before_any_is_written(folder: Path) -> None:
    (folder / "a.html").mkdir()
    done = command("-o", "c.html", "-o", "b.docx", "-o", "a.html")
    assert isinstance(done.exception, ConfigurationError)
    assert [problem.found for problem in done.exception.problems] == [
        "b.docx: no such kind of report", "a.html is a folder"
    ]  # fmt: skip
    assert not (folder / "c.html").exists()


def test_a_file_that_cannot_be_written_is_one_clear_error(folder: Path) -> None:
    (folder / "a").write_text("a file")
    done = command("-o", "a/b.html")
    assert isinstance(done.exception, EvaluationError)
    assert "cannot be written" in str(done.exception)


def test_json_is_the_record(folder: Path) -> None:
    assert json.loads(command("--json").stdout) == record_of("hold").model_dump(mode="json")


def test_a_target_without_a_name_is_refused(folder: Path) -> None:
    assert "names no file" in command("-o", "junit=").output
    assert settled([Target(None, Path("gate.xml"))], "-o") == (("junit", Path("gate.xml")),)
    assert TargetType().convert(Target("html", Path("x")), None, None) == Target("html", Path("x"))


def test_without_a_display_the_page_is_written_and_its_path_said(folder: Path) -> None:
    done = command("--open", env=NO_DISPLAY)
    page = folder / ".finetune-gate/hold/report.html"
    if sys.platform.startswith("linux"):
        assert done.exit_code == 0
        assert done.stdout == "Page     .finetune-gate/hold/report.html\n"
        assert "no browser" in done.stderr
        assert page.read_text(encoding="utf-8").rstrip() == render_html(record_of("hold")).rstrip()
        said = json.loads(command("--open", "--json", env=NO_DISPLAY).stdout)
        assert said == {"written": [], "page": ".finetune-gate/hold/report.html", "opened": False}


def test_a_page_that_is_newer_than_its_record_is_opened_as_it_is(folder: Path) -> None:
    page = folder / ".finetune-gate/hold/report.html"
    page.write_text("the run's own")
    command("--open", env=NO_DISPLAY)
    assert page.read_text() == "the run's own"
    stamp = (page.parent / "decision-record.json").stat().st_mtime
    os.utime(page, (stamp - 10, stamp - 10))
    command("--open", env=NO_DISPLAY)
    assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_the_browser_gets_the_address_of_the_page(folder: Path) -> None:
    """A program in the place of the browser; webbrowser reads BROWSER once a process, so this is one of its own."""
    browser = folder / "browser"
    browser.write_text('#!/bin/sh\nprintf %s "$1" > opened\n')
    browser.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-m", "finetune_gate.flows.cli", "report", "--open", "--json"],
        cwd=folder,
        env={**os.environ, "BROWSER": f"{browser} %s"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert json.loads(done.stdout)["opened"] is True
    assert (folder / "opened").read_text() == (folder / ".finetune-gate/hold/report.html").as_uri()


def test_only_the_page_can_be_opened(folder: Path) -> None:
    done = command("--open", "--format", "junit")
    assert isinstance(done.exception, ConfigurationError)
    assert "--open" in str(done.exception)
