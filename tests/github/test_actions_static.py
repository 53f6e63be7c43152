"""What can be seen of the shipped actions and workflows without running them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from shipped import ACTIONS, EXAMPLES, GITLAB, OURS, PLACEHOLDER, ROOT, WORKFLOWS, jobs, read, short, steps

from finetune_gate.flows.relays.github import EVENT

BIN = Path(sys.executable).parent
ALL = ACTIONS + WORKFLOWS + EXAMPLES
GATING = [file for file in EXAMPLES if file.name != "pull-request.yml"]
GIVEN_BY_RUNNER = [
    "GITHUB_ACTION_PATH",
    "GITHUB_JOB",
    "GITHUB_OUTPUT",
    "GITHUB_RUN_ATTEMPT",
    "RUNNER_TEMP",
]
each = pytest.mark.parametrize("file", ALL, ids=short)
workflow = pytest.mark.parametrize("file", WORKFLOWS + EXAMPLES, ids=short)


def _passes(*command: str | Path) -> None:
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("github-actions", ACTIONS),
        ("github-workflows", WORKFLOWS + EXAMPLES),
        ("dependabot", [ROOT / ".github" / "dependabot.yml"]),
        ("gitlab-ci", [GITLAB]),
    ],
    ids=["actions", "workflows", "dependabot", "gitlab"],
)
def test_schemas(schema: str, files: list[Path]) -> None:
    _passes(BIN / "check-jsonschema", "--builtin-schema", f"vendor.{schema}", *files)


def test_zizmor_finds_nothing() -> None:
    _passes(
        BIN / "zizmor",
        "--offline",
        "--no-ignores",
        "--strict-collection",
        "--persona",
        "pedantic",
        ".github",
        *EXAMPLES,
    )


def test_shellcheck_finds_nothing(tmp_path: Path) -> None:
    """Of every script, with the variables that its step really has: one that is used and never set is a finding."""
    scripts = list((ROOT / ".github").rglob("*.sh"))
    for file in ALL:
        for number, step in enumerate(steps(file)):
            if "run" in step:
                known = [*GIVEN_BY_RUNNER, *step.get("env", {})]
                script = tmp_path / f"{file.parent.name}-{file.stem}-{number}.sh"
                declared = "".join(f"export {name}\n" for name in known)
                script.write_text(f"#!/usr/bin/env bash\n{declared}{step['run']}\n", encoding="utf-8")
                scripts.append(script)
    assert len(scripts) > 20
    _passes(BIN / "shellcheck", "--enable=quote-safe-variables,check-unassigned-uppercase,deprecate-which", *scripts)


@each
def test_other_actions_are_pinned_by_commit(file: Path) -> None:
    for line in file.read_text(encoding="utf-8").splitlines():
        if not (match := re.match(r"\s*(?:- )?uses: (\S+)(.*)", line)):
            continue
        used, comment = match.groups()
        if used.startswith("$/"):
            assert (ROOT / used[2:] / "action.yml").is_file()
        elif used.startswith(OURS):
            assert used.endswith(f"@{PLACEHOLDER}")
            assert (ROOT / used.removeprefix("OWNER/finetune-gate/").partition("@")[0] / "action.yml").is_file()
        else:
            assert re.search(r"@[0-9a-f]{40}$", used), used
            assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment), line


def test_one_action_has_one_commit() -> None:
    uses = {step["uses"] for file in ALL for step in steps(file) if "uses" in step}
    names = [re.sub(r"/(restore|save)(?=@)", "", used) for used in uses]
    assert len({used.partition("@")[0] for used in names}) == len(set(names))


@each
def test_nothing_is_put_into_scripts(file: Path) -> None:
    for step in steps(file):
        assert "${{" not in step.get("run", ""), step
        assert step.get("shell") == ("bash" if "run" in step and file in ACTIONS else None)


@each
def test_scripts_of_several_lines_stop_at_the_first_failure(file: Path) -> None:
    for step in steps(file):
        if "\n" in step.get("run", "").strip():
            assert step["run"].startswith("set -euo pipefail\n"), step


@workflow
def test_rights_are_given_job_by_job(file: Path) -> None:
    assert read(file)["permissions"] == {}
    for name, job in jobs(file).items():
        assert isinstance(job["permissions"], dict), name
        assert isinstance(job["timeout-minutes"], int), name
        writes = {right for right, level in job["permissions"].items() if level == "write"}
        assert writes <= {"id-token", "attestations", "pull-requests"}, name


@workflow
def test_bash_is_the_shell_of_every_script(file: Path) -> None:
    """Without it named, GitHub's runner calls bash without pipefail."""
    whole = read(file)
    for job in jobs(file).values():
        shells = {**whole.get("defaults", {}).get("run", {}), **job.get("defaults", {}).get("run", {})}
        assert shells.get("shell") == "bash" or not any("run" in step for step in job["steps"])


@workflow
def test_checkouts_leave_no_token_behind(file: Path) -> None:
    for step in steps(file):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


@pytest.mark.parametrize("file", GATING, ids=short)
def test_each_version_has_a_place_of_its_own_in_the_queue(file: Path) -> None:
    """One group for all versions: GitHub would keep the newest waiting run, and never gate those between."""
    whole = read(file)
    assert whole["concurrency"]["cancel-in-progress"] is False
    groups = [whole["concurrency"]["group"]]
    groups += [job["concurrency"]["group"] for job in jobs(file).values() if "concurrency" in job]
    assert any("version" in group for group in groups)


@pytest.mark.parametrize("file", GATING, ids=short)
def test_the_last_job_is_always_there(file: Path) -> None:
    *before, last = jobs(file)
    job = jobs(file)[last]
    assert job["if"].startswith("always()")
    assert set(job["needs"]) == set(before)
    assert job["permissions"] == {}


@pytest.mark.parametrize("name", ["gate-on-new-version.yml", "promote.yml"])
def test_the_event_is_the_one_that_the_relay_sends(name: str) -> None:
    file = ROOT / "examples" / "github" / name
    triggers = read(file)["on"]
    assert triggers["repository_dispatch"]["types"] == [EVENT]
    relay = (ROOT / "flows" / "relays" / "github.py").read_text(encoding="utf-8")
    for key in re.findall(r"client_payload\.(\w+)", file.read_text(encoding="utf-8")):
        assert f'"{key}":' in relay


@pytest.mark.parametrize("file", EXAMPLES, ids=short)
def test_inputs_and_outputs_exist(file: Path) -> None:
    """GitHub only warns of an input that there is not, and a misspelt output is the empty text."""
    for name, job in jobs(file).items():
        outputs: dict[str, set[str]] = {}
        for step in job["steps"]:
            if step.get("uses", "").startswith(OURS):
                action = read(
                    ROOT / ".github" / "actions" / step["uses"].removeprefix(OURS).partition("@")[0] / "action.yml"
                )
                assert step.get("with", {}).keys() <= action["inputs"].keys(), name
                outputs[step.get("id", "")] = set(action.get("outputs", {}))
        for step_id, output in re.findall(r"steps\.([\w-]+)\.outputs\.([\w-]+)", str(job)):
            assert output in outputs[step_id], name
    for job, output in re.findall(r"needs\.([\w-]+)\.outputs\.([\w-]+)", file.read_text(encoding="utf-8")):
        assert output in jobs(file)[job]["outputs"]


def test_secrets_are_given_to_gates_alone() -> None:
    for file in EXAMPLES:
        for name, job in jobs(file).items():
            if "secrets." in str(job):
                assert "environment" in job, name
            for step in job["steps"]:
                if "secrets." in str(step):
                    assert step["uses"].startswith(OURS), name
