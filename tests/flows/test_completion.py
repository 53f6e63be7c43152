"""Shell completion, in a real bash with a real terminal: the keys are typed, and what stands on the line is read."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path

import pytest
from click.testing import CliRunner

from finetune_gate.flows.cli.program import program

BASH = shutil.which("bash")
PATIENCE_S = 60
needs_bash = pytest.mark.skipif(BASH is None or sys.platform == "win32", reason="there is no bash")


def script(shell: str) -> str:
    return CliRunner().invoke(program, ["completion", shell]).stdout


class Typing:
    """``typing.keys("check ga\\t")``: what the line shows once nothing more comes."""

    def __init__(self, folder: Path) -> None:
        (folder / "bin").mkdir()
        (folder / "completion.sh").write_text(script("bash"))
        own = folder / "bin" / "finetune-gate"
        own.write_text(f'#!/bin/sh\nexec {sys.executable} -m finetune_gate.flows.cli "$@"\n')
        own.chmod(0o755)
        self._master, terminal = pty.openpty()
        self._shell = subprocess.Popen(
            [str(BASH), "--norc", "--noprofile", "-i"],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            cwd=folder,
            env={
                **os.environ,
                "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
                "PS1": "$ ",
                "TERM": "dumb",
                "HOME": "/",
            },
            start_new_session=True,
        )
        os.close(terminal)
        self.until("source completion.sh; bind 'set bell-style none'; echo rea''dy\n", "ready\r\n")

    def until(self, keys: str, pattern: str) -> str:
        """What is shown after ``keys`` were typed, up to where ``pattern`` is found in it."""
        os.write(self._master, keys.encode())
        shown, end = "", time.monotonic() + PATIENCE_S
        while not re.search(pattern, shown):
            left = end - time.monotonic()
            if left <= 0 or not select.select([self._master], [], [], left)[0]:
                raise AssertionError(f"{pattern!r} is not in {shown!r}")
            shown += os.read(self._master, 4096).decode(errors="replace")
        os.write(self._master, b"\x15")  # the line is taken back
        return shown

    def close(self) -> None:
        self._shell.kill()
        self._shell.wait()
        os.close(self._master)


@pytest.fixture(scope="module")
def typing(tmp_path_factory: pytest.TempPathFactory) -> Generator[Typing]:
    folder = tmp_path_factory.mktemp("completion")
    (folder / "gate-of-mine.yaml").write_text("")
    (folder / "records").mkdir()
    opened = Typing(folder)
    yield opened
    opened.close()


@needs_bash
@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ("finetune-gate sim\t", r"finetune-gate simulate "),
        ("finetune-gate webhooks ins\t", r"finetune-gate webhooks install "),
        ("finetune-gate run --dry\t", r"finetune-gate run --dry-run "),
        ("finetune-gate report --format jun\t", r"finetune-gate report --format junit "),
        ("finetune-gate check gate-o\t", r"finetune-gate check gate-of-mine\.yaml "),
        ("finetune-gate run --report gate-o\t", r"finetune-gate run --report gate-of-mine\.yaml "),
        ("finetune-gate verify rec\t", r"finetune-gate verify records/"),
        ("finetune-gate replay x --gate gate-o\t", r"--gate gate-of-mine\.yaml "),
    ],
    ids=["command", "subcommand", "option", "choice", "gate file", "file to write", "record", "file of an option"],
)
def test_a_tab_completes(typing: Typing, keys: str, line: str) -> None:
    typing.until(keys, line)


@needs_bash
def test_two_tabs_list_the_commands(typing: Typing) -> None:
    typing.until("finetune-gate re\t\t", r"replay\s+report\s+reconcile")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_has_a_script_for_the_program(shell: str) -> None:
    text = script(shell)
    assert f"_FINETUNE_GATE_COMPLETE={shell}_complete" in text
    assert "finetune-gate" in text


def test_another_shell_is_refused() -> None:
    assert "'bash', 'zsh', 'fish'" in CliRunner().invoke(program, ["completion", "ksh"]).output


@pytest.mark.parametrize("words", ["finetune-gate ", "finetune-gate run --", "finetune-gate report --format "])
def test_completing_loads_nothing_heavy(words: str) -> None:
    script = (
        "import sys\n"
        "from finetune_gate.flows.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'transformers', 'mlflow', 'prefect', 'peft', 'sklearn', 'scipy', 'pyarrow', 'numpy'}\n"
        "print('HEAVY', sorted(heavy & set(sys.modules)))"
    )
    asked = {"_FINETUNE_GATE_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **asked},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert lines[-1] == "HEAVY []"
    assert len(lines) > 5
