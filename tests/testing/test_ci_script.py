"""The script for any CI: it keeps the exit status, and leaves a JUnit file that is never greener than that."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

CI = Path(__file__).parent.parent.parent / "examples" / "ci"

STAND_IN = """\
#!/bin/sh
printf '%s\\n' "$@" > arguments
if [ -n "$WRITES" ]; then printf '<testsuites/>' > gate-results/gate.xml; fi
exit "$STATUS"
"""


def run_script(folder: Path, *, status: int = 0, writes: bool = True, **environment: str) -> int:
    """With a program named finetune-gate that ends as it is told to: what is tested is the script."""
    program = folder / "bin" / "finetune-gate"
    program.parent.mkdir(exist_ok=True)
    program.write_text(STAND_IN)
    program.chmod(0o755)
    done = subprocess.run(
        ["sh", CI / "gate.sh"],
        cwd=folder,
        env={
            "PATH": f"{program.parent}:{os.environ['PATH']}",
            "STATUS": str(status),
            "WRITES": "yes" * writes,
            **environment,
        },
        capture_output=True,
        timeout=60,
        check=False,
    )
    return done.returncode


def errors_in(folder: Path) -> list[str]:
    return [str(one.get("message")) for one in ET.parse(folder / "gate-results" / "gate.xml").iter("error")]


@pytest.mark.parametrize("status", [0, 1, 3])
def test_a_decision_keeps_its_status_and_its_file(tmp_path: Path, status: int) -> None:
    assert run_script(tmp_path, status=status, MODEL_VERSION="7", GATE_FILE="gates/it is.yaml") == status
    arguments = (tmp_path / "arguments").read_text().splitlines()
    assert arguments[:5] == ["run", "gates/it is.yaml", "--version", "7", "--once"]
    assert errors_in(tmp_path) == []


@pytest.mark.parametrize("status", [2, 4, 130])
def test_what_was_not_decided_is_an_error_and_no_older_result(tmp_path: Path, status: int) -> None:
    assert run_script(tmp_path, MODEL_VERSION="6") == 0
    assert run_script(tmp_path, status=status, writes=False, MODEL_VERSION="7") == status
    assert errors_in(tmp_path) == [f"no decision: exit status {status}"]


def test_a_promotion_that_left_no_file_is_none(tmp_path: Path) -> None:
    assert run_script(tmp_path, writes=False, MODEL_VERSION="7") == 4
    assert errors_in(tmp_path) == ["no decision: exit status 4"]


@pytest.mark.parametrize("version", ["", "latest", "7; touch pwned", "$(touch pwned)", "--help", "7\n--exit-zero"])
def test_a_version_that_is_no_number_reaches_nothing(tmp_path: Path, version: str) -> None:
    assert run_script(tmp_path, MODEL_VERSION=version) == 2
    assert not (tmp_path / "arguments").exists()
    assert not (tmp_path / "pwned").exists()
    assert errors_in(tmp_path) == ["no decision: exit status 2"]


def test_its_options_are_the_programs() -> None:
    import re

    from click import Context

    from finetune_gate.flows.cli.program import program

    run = program.get_command(Context(program), "run")
    assert run is not None
    known = {option for one in run.params for option in one.opts}
    assert set(re.findall(r"--[a-z-]+", (CI / "gate.sh").read_text().split("set -u")[1])) <= known


def test_the_files_for_other_ci_systems_keep_to_their_schemas() -> None:
    from check_jsonschema import main
    from click.testing import CliRunner

    for schema, file in (("vendor.buildkite", "buildkite.yaml"), ("vendor.circle-ci", "circleci.yaml")):
        checked = CliRunner().invoke(main, ["--builtin-schema", schema, str(CI / file)])
        assert checked.exit_code == 0, checked.output
    assert "sh examples/ci/gate.sh" in (CI / "Jenkinsfile").read_text()


def test_the_script_is_plain_shell() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("shellcheck"), CI / "gate.sh"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout
