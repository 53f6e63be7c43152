"""The folder for temporary files, where there is one and where there is none."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from finetune_gate.gate.doctor.machine import GIB
from finetune_gate.gate.doctor.scratch import scratch_folder


@pytest.fixture(autouse=True)
def _nothing_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`tmp_path` itself makes `tempfile` remember a folder, so it comes first."""
    del tmp_path
    monkeypatch.setattr(tempfile, "tempdir", None)


def test_a_folder_with_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    found = scratch_folder(lambda _path: 3 * GIB)
    assert (found.name, found.state, found.found) == ("scratch", "ok", f"{tmp_path}: 3.0 GiB free")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert scratch_folder(lambda _path: 64 << 10).state == "warning"


def test_only_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Python makes of a read-only root in which the working folder alone can be written to."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/proc/none", os.getcwd()])
    found = scratch_folder()
    assert found.state == "warning"
    assert str(tmp_path) in found.found
    assert "--tmpfs /tmp" in found.way_out


def test_no_folder_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/proc/none"])
    assert scratch_folder().state == "fault"
