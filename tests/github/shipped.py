"""The actions and workflows that this repository ships, and what is in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML

ROOT: Final = Path(__file__).resolve().parents[2]
ACTIONS: Final = sorted((ROOT / ".github" / "actions").glob("*/action.yml"))
WORKFLOWS: Final = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
EXAMPLES: Final = sorted((ROOT / "examples" / "github").glob("*.yml"))
GITLAB: Final = ROOT / "examples" / "gitlab" / "gate.gitlab-ci.yml"
# what users put their copy and its commit in place of
OURS: Final = "OWNER/finetune-gate/.github/actions/"
PLACEHOLDER: Final = "0" * 40


@cache
def read(file: Path) -> Mapping[str, Any]:
    return YAML(typ="safe", pure=True).load(file.read_text(encoding="utf-8"))


def jobs(file: Path) -> Mapping[str, Mapping[str, Any]]:
    return read(file).get("jobs", {})


def steps(file: Path) -> Iterator[Mapping[str, Any]]:
    content = read(file)
    if "runs" in content:
        yield from content["runs"]["steps"]
    for job in jobs(file).values():
        yield from job["steps"]


def short(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()
