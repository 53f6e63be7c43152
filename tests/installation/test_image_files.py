"""What docker/Dockerfile and docker/Dockerfile.gpu promise, read out of them."""

from __future__ import annotations

import difflib
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from image_aid import DOCKER, ROOT, dockerfile

FILES = pytest.mark.parametrize("name", ["Dockerfile", "Dockerfile.gpu"])


def stages(name: str) -> tuple[dict[str, str], list[dockerfile.Stage]]:
    return dockerfile.read((DOCKER / name).read_text())


def last(name: str) -> dockerfile.Stage:
    return stages(name)[1][-1]


@FILES
def test_hadolint_finds_nothing(name: str) -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, "--no-color", DOCKER / name], capture_output=True, text=True)
    assert done.stdout + done.stderr == ""
    assert done.returncode == 0


@FILES
def test_every_base_is_pinned_by_digest(name: str) -> None:
    arguments, found = stages(name)
    assert [one.name for one in found] == ["builder", ""]
    for stage in found:
        base = dockerfile.expand(stage.base, arguments)
        assert re.fullmatch(r"python:3\.11-slim-bookworm@sha256:[0-9a-f]{64}", base)


@FILES
def test_runs_as_a_user_without_rights(name: str) -> None:
    user = last(name).last("USER").text
    uid, _, gid = user.partition(":")
    assert int(uid) >= 10000
    assert int(gid) >= 10000
    assert last(name).instructions.index(last(name).last("USER")) > max(
        index for index, one in enumerate(last(name).instructions) if one.word in ("RUN", "COPY")
    )


@FILES
def test_nothing_is_fetched_past_the_package_managers(name: str) -> None:
    """`dockerfile.read` refuses ADD."""
    for stage in stages(name)[1]:
        for run in stage.all("RUN"):
            assert not re.search(r"\b(curl|wget|git clone)\b", run.text)
            if "apt-get update" in run.text:
                assert "rm -rf /var/lib/apt/lists/*" in run.text
                assert "--no-install-recommends" in run.text
            if "pip install" in run.text:
                assert stage.name == "builder"


@FILES
def test_no_secret_is_baked_in(name: str) -> None:
    arguments, found = stages(name)
    names = set(arguments)
    for stage in found:
        for one in (*stage.all("ENV"), *stage.all("ARG")):
            names |= {word.partition("=")[0] for word in one.text.split() if "=" in word} | {one.text.partition("=")[0]}
    assert not [one for one in names if re.search(r"SECRET|TOKEN|PASSWORD|PASSWD|KEY|CREDENTIAL|AUTH", one.upper())]
    assert not re.search(r"://[^/\s]*@", (DOCKER / name).read_text())


@FILES
def test_what_the_image_says_of_itself(name: str) -> None:
    stage = last(name)
    environment = stage.last("ENV").pairs({"PATH": "/bin"})
    state = stage.last("VOLUME").text
    assert environment["PATH"] == "/opt/finetune-gate/bin:/bin"
    assert {environment[one].startswith(f"{state}/") for one in ("HOME", "FINETUNE_GATE_HOME", "PREFECT_HOME")} == {
        True
    }
    assert environment["HF_HUB_OFFLINE"] == environment["PYTHONDONTWRITEBYTECODE"] == environment["DO_NOT_TRACK"] == "1"
    assert stage.last("WORKDIR").text == state
    assert stage.last("ENTRYPOINT").listed() == ["/usr/bin/tini", "--", "start"]
    assert stage.last("CMD").listed() == ["doctor"]
    assert stage.last("HEALTHCHECK").text == 'CMD ["healthy"]'
    assert stage.last("HEALTHCHECK").flags.keys() == {"interval", "timeout", "start-period", "retries"}
    labels = stage.last("LABEL").pairs({"VERSION": "1.2.3", "REVISION": "abc", "BASE_IMAGE": "python"})
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert labels["org.opencontainers.image.version"] == "1.2.3"
    assert labels["org.opencontainers.image.revision"] == "abc"


def test_the_two_differ_in_torch_and_the_graphics_card_alone() -> None:
    ours, theirs = ((DOCKER / name).read_text().splitlines() for name in ("Dockerfile", "Dockerfile.gpu"))
    start = ours.index(next(line for line in ours if line.startswith("# the multi-platform index")))
    differing = [
        line
        for line in difflib.ndiff(ours[start:], theirs[theirs.index(ours[start]) :])
        if line[0] in "+-" and line[2:].strip()
    ]
    assert all(re.search(r"torch|TORCH|pip install --no-deps|NVIDIA|title=", line) for line in differing), differing
    assert len(differing) == 8


def test_everything_copied_is_in_the_context_and_nothing_private_is() -> None:
    files = list(dockerfile.context_files(ROOT, (ROOT / ".dockerignore").read_text()))
    for stage in stages("Dockerfile")[1]:
        for one in stage.all("COPY"):
            if "from" not in one.flags:
                *sources, _ = one.text.split()
                for source in sources:
                    assert [file for file in files if str(file) == source or str(file).startswith(f"{source}/")], source
    assert {file.parts[0] for file in files} == {
        *("LICENSE", "README.md", "constraints.txt", "docker", "evaluators", "flows", "gate", "pyproject.toml")
    }
    assert not [
        file for file in files if "__pycache__" in file.parts or any(part.startswith(".") for part in file.parts)
    ]


def test_every_package_reaches_the_build() -> None:
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    copied = {one.text.split()[0] for one in stages("Dockerfile")[1][0].all("COPY")}
    assert {folder.partition("/")[0] for folder in setuptools["package-dir"].values()} <= copied


def test_what_is_installed_is_pinned_and_contradicts_nothing() -> None:
    pins = [line for line in (DOCKER / "requirements.txt").read_text().splitlines() if line and line[0] != "#"]
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9.]+", line) for line in pins)
    lines = (line.partition("==") for line in (ROOT / "constraints.txt").read_text().splitlines())
    constrained = {name: version for name, _, version in lines}
    assert all(constrained.get(name, version) == version for name, _, version in (pin.partition("==") for pin in pins))
    assert {"torch", "prefect", "mlflow", "asyncpg"} <= set(constrained)


@pytest.mark.parametrize("name", ["start.sh", "healthy.py"])
def test_programs_of_the_image_may_be_run(name: str) -> None:
    """COPY keeps modes, and COPY --chmod needs BuildKit."""
    assert os.stat(DOCKER / name).st_mode & 0o777 == 0o755


def test_start_is_plain_shell() -> None:
    shellcheck = Path(sys.executable).with_name("shellcheck")
    assert subprocess.run([shellcheck, "--shell=sh", DOCKER / "start.sh"], capture_output=True).stdout == b""
