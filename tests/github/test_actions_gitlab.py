"""The template for GitLab CI: its scripts as GitLab's runner calls them, its rules, and what it keeps."""

from __future__ import annotations

import re
import subprocess
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from action_bench import FAILS, PASSES, Bench
from shipped import GITLAB, read
from warm_program import warm_program

pytestmark = pytest.mark.xdist_group("actions")


def _job(name: str) -> Mapping[str, Any]:
    """With what it extends; keys of a job itself overrule those it extends."""
    template = read(GITLAB)
    job = template[name]
    return {**(_job(job["extends"]) if "extends" in job else {}), **job}


def _run(bench: Bench, name: str, **variables: str) -> int:
    """The status of the job's script, by a shell with errexit and pipefail, as GitLab's runner has it."""
    given = {
        key: value["value"] if isinstance(value, dict) else value for key, value in read(GITLAB)["variables"].items()
    }
    return subprocess.run(
        ["bash", "--noprofile", "--norc"],
        input="set -eo pipefail\n" + "\n".join(_job(name)["script"]) + "\n",
        cwd=bench.registry,
        env={
            "PATH": f"{warm_program().path}:/usr/bin:/bin",
            "HOME": str(bench.folder),
            "OMP_NUM_THREADS": "1",
            "MLFLOW_TRACKING_URI": bench.uri,
            **given,
            "FINETUNE_GATE_HOME": str(bench.registry / ".finetune-gate-home"),
            **variables,
        },
        encoding="utf-8",
        check=False,
        timeout=240,
    ).returncode


def test_scripts(tmp_path: Path) -> None:
    bench = Bench(tmp_path, warm_program())
    bench.rules(PASSES)
    assert _run(bench, "gate-file") == 0, "that it cannot be simulated is no fault of it"
    bench.rules(FAILS)
    assert _run(bench, "evaluate", MODEL_VERSION="2") == 1
    failed = list(ElementTree.parse(bench.registry / "gate.xml").getroot().iter("failure"))
    assert any("0.999" in ElementTree.tostring(each, encoding="unicode") for each in failed)
    for path in (*_job("evaluate")["artifacts"]["paths"], *_job("evaluate")["cache"]["paths"]):
        assert (bench.registry / path).exists()
    assert _run(bench, "evaluate", MODEL_VERSION="$(touch pwned); touch pwned") == 2
    assert bench.traces() == []


@pytest.mark.parametrize(
    ("version", "taken"),
    [
        ("7", True),
        ("123456789", True),
        ("", False),
        ("latest", False),
        ("7 ", False),
        ("7\n8", False),
        ("$(id)", False),
    ],
    ids=["number", "long number", "none", "alias", "space", "lines", "command"],
)
def test_only_a_number_is_a_version(version: str, taken: bool) -> None:
    for name in ("evaluate", "promote"):
        (rule,) = _job(name)["rules"]
        pattern = re.fullmatch(r"\$MODEL_VERSION =~ /(.*)/", rule["if"])
        assert pattern is not None
        # RE2, which GitLab matches by, knows no line end before the end
        assert bool(re.fullmatch(pattern[1].removeprefix("^").removesuffix("$"), version)) is taken
        assert pattern[1].startswith("^")
        assert pattern[1].endswith("$")


def test_versions_wait_for_themselves_alone() -> None:
    for name in ("evaluate", "promote"):
        assert "$MODEL_VERSION" in _job(name)["resource_group"]
        assert _job(name)["interruptible"] is False


def test_nothing_is_let_through() -> None:
    for name in ("gate-file", "evaluate", "promote"):
        job = _job(name)
        assert "allow_failure" not in job
        assert "script_failure" not in job["retry"]["when"]
        assert "always" not in job["retry"]["when"]


def test_only_promotion_has_the_environment_that_may_write() -> None:
    assert _job("evaluate")["environment"] == {"name": "evaluation", "action": "access"}
    assert _job("promote")["environment"]["name"] == "production"
    assert "--dry-run" in _job("evaluate")["script"][0]
    assert "--dry-run" not in _job("promote")["script"][0]
    assert "script" not in _job(".a-version")
