"""docs/cli.md is what the program says of itself."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from finetune_gate.flows.cli.program import program
from finetune_gate.flows.cli.reference import command_line_reference

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"


def test_the_page_is_what_the_program_says() -> None:
    same = PAGE.read_text(encoding="utf-8") == command_line_reference()
    assert same, "docs/cli.md is not what --help says: `make cli-reference` writes it anew"


def test_nothing_in_it_is_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    here = command_line_reference()
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.chdir(tmp_path)
    assert command_line_reference() == here
    assert "\x1b" not in here
    assert max(len(line) for line in here.splitlines()) <= 120
    assert str(Path.home()) not in here


def test_help_says_what_the_page_says() -> None:
    """Line by line, at a terminal as wide as the page."""
    page = PAGE.read_text(encoding="utf-8")
    sections = re.findall(r"^#+ finetune-gate([^\n]*)\n\n```text\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert len(sections) > 20
    for command, text in sections:
        asked = CliRunner().invoke(program, [*command.split(), "--help"], prog_name="finetune-gate", terminal_width=100)
        assert asked.exit_code == 0
        assert [line.rstrip() for line in asked.output.splitlines()] == text.splitlines(), command
