"""One stored record in every format: golden, and the same bytes from any process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from golden import FOLDER, assert_golden
from sample_records import record_of

from finetune_gate.flows.cli.formats import FORMATS, rendered
from finetune_gate.gate.record import DecisionRecord, read_record, write_record
from finetune_gate.gate.reports import (
    render_html,
    render_junit,
    render_markdown,
    render_model_card,
    render_terminal,
)

STORED = FOLDER / "hold.json"
ADDRESS = "https://ci.example/7/report.html"
FILES = ("report.txt", "report.json", "report.md", "report.html", "report.xml", "model-card=card.md")


def test_the_stored_record_is_the_one_that_the_command_prints(tmp_path: Path) -> None:
    assert_golden("hold.json", rendered("json", record_of("hold"), tmp_path))
    assert read_record(STORED) == record_of("hold")


@pytest.mark.parametrize(
    ("golden", "render"),
    [
        ("hold.80.txt", lambda record: render_terminal(record, width=80) + "\n"),
        ("hold.120.txt", lambda record: render_terminal(record, width=120) + "\n"),
        ("hold.md", lambda record: render_markdown(record, report_address=ADDRESS)),
        ("hold.xml", render_junit),
        ("hold.card.md", render_model_card),
    ],
)
def test_every_format_of_the_stored_record_is_golden(golden: str, render: Callable[[DecisionRecord], str]) -> None:
    assert render(read_record(STORED)) == (FOLDER / golden).read_text(encoding="utf-8")


def test_the_page_of_the_stored_record_is_that_of_the_record() -> None:
    assert render_html(read_record(STORED)) == render_html(record_of("hold"))


def test_the_same_record_gives_the_same_bytes_everywhere(tmp_path: Path) -> None:
    """Whatever the order of sets, the time zone, the language, the width and the colours of the terminal are."""
    write_record(record_of("hold"), tmp_path / "decision-record.json")
    surroundings = (
        {"PYTHONHASHSEED": "1", "TZ": "Pacific/Kiritimati", "LC_ALL": "C", "COLUMNS": "50", "NO_COLOR": "1"},
        {"PYTHONHASHSEED": "2", "TZ": "America/Adak", "LC_ALL": "C.UTF-8", "COLUMNS": "200", "FORCE_COLOR": "1"},
    )
    written: list[dict[str, bytes]] = []
    for index, settings in enumerate(surroundings):
        folder = tmp_path / str(index)
        folder.mkdir()
        done = subprocess.run(
            [sys.executable, "-m", "finetune_gate.flows.cli", "report", "..", *(f"-o{name}" for name in FILES)],
            cwd=folder, env={**os.environ, **settings}, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        written.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert len(written[0]) == len(FILES) == len(FORMATS)
    assert written[0] == written[1]
    assert written[0]["report.json"] == STORED.read_bytes()
    assert written[0]["report.xml"] == (FOLDER / "hold.xml").read_bytes()
    assert written[0]["card.md"] == (FOLDER / "hold.card.md").read_bytes()
    assert written[0]["report.txt"] == (FOLDER / "hold.80.txt").read_bytes()
