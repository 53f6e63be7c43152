"""docs/cli.md is what the program says of itself: in a process of its own, since click's commands remember the help
option that they were first asked for, and other tests ask for parts of the program alone."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"
REFERENCE = ("-m", "finetune_gate.flows.cli.reference")
HELPS = """
import json, sys
from click.testing import CliRunner
from finetune_gate.flows.cli.program import program

def asked(command):
    return CliRunner().invoke(program, [*command.split(), "--help"], prog_name="finetune-gate", terminal_width=100)

print(json.dumps({command: asked(command).output for command in json.load(sys.stdin)}))
"""


def python(*arguments: str, given: str = "", **settings: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        input=given,
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | settings,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_page_is_what_the_program_says(tmp_path: Path) -> None:
    python(*REFERENCE, str(tmp_path / "cli.md"))
    same = PAGE.read_bytes() == (tmp_path / "cli.md").read_bytes()
    assert same, "docs/cli.md is not what --help says: `make cli-reference` writes it anew"


def test_nothing_in_it_is_of_this_machine(tmp_path: Path) -> None:
    python(*REFERENCE, str(tmp_path / "cli.md"), COLUMNS="40", HOME=str(tmp_path), FORCE_COLOR="1")
    page = (tmp_path / "cli.md").read_text(encoding="utf-8")
    assert page == PAGE.read_text(encoding="utf-8")
    assert "\x1b" not in page
    assert max(len(line) for line in page.splitlines()) <= 120
    assert str(Path.home()) not in page


def test_help_says_what_the_page_says() -> None:
    """Line by line, at a terminal as wide as the page."""
    page = PAGE.read_text(encoding="utf-8")
    sections = re.findall(r"^#+ finetune-gate([^\n]*)\n\n```text\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert len(sections) > 20
    said = json.loads(python("-c", HELPS, given=json.dumps([command for command, _ in sections])))
    for command, text in sections:
        assert [line.rstrip() for line in said[command].splitlines()] == text.splitlines(), command
