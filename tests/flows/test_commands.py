"""Commands that need no model: help, check, init."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROWS = [{"id": str(i), "text": f"ticket {i}", "label": "bug" if i % 2 else "billing"} for i in range(20)]


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "finetune_gate.flows.cli", *arguments],
        cwd=folder, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "holdout.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return tmp_path


def test_init_writes_what_check_accepts(folder: Path) -> None:
    assert command(folder, "init", "--data", "holdout.jsonl", "--model", "support-bot").returncode == 0
    checked = command(folder, "check", "--json")
    assert checked.returncode == 0, checked.stderr
    found = json.loads(checked.stdout)
    assert found["datasets"]["holdout"]["rows"] == 20
    assert found["evaluators"] == {"classification": "classification", "perplexity": "perplexity"}
    assert command(folder, "check").stdout.startswith("gate.yaml: in order, for model 'support-bot'")


def test_init_never_overwrites_unasked(folder: Path) -> None:
    (folder / "gate.yaml").write_text("mine")
    refused = command(folder, "init", "--data", "holdout.jsonl")
    assert (refused.returncode, (folder / "gate.yaml").read_text()) == (2, "mine")
    assert "--force" in refused.stderr
    assert command(folder, "init", "--data", "holdout.jsonl", "--force").returncode == 0


def test_init_without_labels_asks_for_perplexity_alone(folder: Path) -> None:
    (folder / "prose.csv").write_text("id,body\n1,some prose\n2,more of it\n")
    assert command(folder, "init", "--data", "prose.csv").returncode == 0
    assert command(folder, "check").returncode == 0
    assert "classification" not in (folder / "gate.yaml").read_text()


def test_check_reports_every_fault_and_nothing_else(folder: Path) -> None:
    (folder / "gate.yaml").write_text("model: m\ndata: {h: holdout.jsonl}\nevaluators: [{perplexty: {}}]\nrules: []\n")
    done = command(folder, "check")
    assert done.returncode == 2
    assert done.stdout == ""
    assert "did you mean 'perplexity'?" in done.stderr
    assert "gate.yaml:4 rules" in done.stderr
    assert "2 problems found." in done.stderr


def test_hostile_names_do_not_reach_the_terminal_raw(folder: Path) -> None:
    (folder / "gate.yaml").write_text('"\\e[31mmodel": m\n')
    done = command(folder, "check")
    assert done.returncode == 2
    assert "\x1b" not in done.stderr


@pytest.mark.parametrize("arguments", [("--help",), ("run", "--help"), ("check",)])
def test_help_and_check_load_nothing_heavy(folder: Path, arguments: tuple[str, ...]) -> None:
    """Which modules, not how many seconds: that is the same on every machine."""
    command(folder, "init", "--data", "holdout.jsonl")
    script = (
        "import sys; sys.argv[1:] = sys.argv[1:]\n"
        "from finetune_gate.flows.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'transformers', 'mlflow', 'prefect', 'peft', 'sklearn', 'scipy', 'pandas', 'pyarrow'}\n"
        "print('HEAVY', sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines()[-1] == "HEAVY []"


def test_the_program_says_its_version_and_its_commands(folder: Path) -> None:
    assert command(folder, "--version").stdout.startswith("finetune-gate 0.")
    shown = command(folder, "--help").stdout
    assert all(name in shown for name in ("demo", "init", "check", "run", "report"))


@pytest.mark.parametrize(
    "arguments", [("check", "日本.yaml"), ("check", "日本.yaml", "--json"), ("check", "a\udcff.yaml")]
)
@pytest.mark.parametrize("encoding", ["cp1252", "utf-8:strict", "ascii"])
def test_a_message_never_fails_for_its_letters(folder: Path, arguments: tuple[str, ...], encoding: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "finetune_gate.flows.cli", *arguments],
        cwd=folder, env={**os.environ, "PYTHONIOENCODING": encoding}, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr


def test_a_reader_that_goes_away_does_not_turn_an_error_into_a_block(folder: Path) -> None:
    (folder / "gate.yaml").write_text("\n".join(f"wrong{i}: 1" for i in range(3000)))
    script = f"{sys.executable} -m finetune_gate.flows.cli check 2>&1 >/dev/null | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], cwd=folder, capture_output=True, timeout=60, check=False)
    assert done.returncode == 2
