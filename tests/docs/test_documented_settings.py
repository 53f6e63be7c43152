"""Every piece of a gate file in the docs is accepted; other yaml, json, toml and unit files are read."""

from __future__ import annotations

import configparser
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from fenced_blocks import ROOT, Block, blocks_on, pages_with
from yaml_fragments import read_all, sections_of, whole_gate, written

from finetune_gate.gate.gate_file import load_gate_file


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "examples" / "own_evaluator")


@pytest.mark.parametrize("page", pages_with("yaml"))
def test_yaml_is_what_reads_it_expects(page: str, tmp_path: Path) -> None:
    before: dict[str, Any] = {}
    for block in blocks_on(page, "yaml"):
        piece = read_all(block.text)
        sections = sections_of(piece)
        if sections is None:
            assert_workflow(block, piece)
        else:
            assert_accepted(block, whole_gate(sections, before), tmp_path)
            before |= sections


def assert_accepted(block: Block, gate: dict[str, Any], folder: Path) -> None:
    path = folder / "gate.yaml"
    path.write_text(f"# {block.where}\n{written(gate)}", encoding="utf-8")
    load_gate_file(path)


def assert_workflow(block: Block, piece: object) -> None:
    """A workflow of GitHub, or jobs or steps of one."""
    assert isinstance(piece, dict), block.where
    keys = set(piece)
    assert keys & {"jobs", "steps"}, f"{block.where}: neither a piece of a gate file nor a workflow: {sorted(keys)}"
    jobs: dict[str, Any] = piece.get("jobs", {"one": piece})
    for name, job in jobs.items():
        assert all({"uses", "run"} & set(step) for step in job["steps"]), f"{block.where}: job {name}"


@pytest.mark.parametrize("page", pages_with("json", "toml", "ini"))
def test_other_settings_can_be_read(page: str) -> None:
    for block in blocks_on(page, "json"):
        json.loads(block.text)
    for block in blocks_on(page, "toml"):
        tomllib.loads(block.text)
    for block in blocks_on(page, "ini"):
        configparser.ConfigParser(interpolation=None).read_string(block.text)
