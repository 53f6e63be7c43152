"""Versions, folders and disks, with the figures given."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from finetune_gate.gate.doctor import Finding, device, home_folder, python_and_packages, records_folder
from finetune_gate.gate.doctor.machine import GIB, package_versions, python_version

WANTED = ("click>=8.1", "fastapi<0.151,>=0.139", "openai[aiohttp]<4,>=3.50", 'prefect-dask>=0.3.6; extra == "dask"')


def looked(**versions: str) -> dict[str, Finding]:
    return {one.name: one for one in package_versions(WANTED, lambda name: versions.get(name))}


def test_versions_that_fit() -> None:
    found = looked(click="8.5.1", fastapi="0.150.0", openai="3.52.0")
    assert {name: one.state for name, one in found.items()} == {"package fastapi": "ok", "packages": "ok"}


@pytest.mark.parametrize("version", ["0.151.0", "0.155.0", "0.138.9"])
def test_a_fastapi_that_prefect_does_not_start_with(version: str) -> None:
    found = looked(click="8.5.1", fastapi=version, openai="3.52.0")["package fastapi"]
    assert found.state == "fault"
    assert version in found.found
    assert "Prefect" in found.found
    assert found.way_out.startswith("pip install 'fastapi<0.151,>=0.139'")


def test_packages_that_are_missing_or_wrong_are_named() -> None:
    found = looked(fastapi="0.150.0", openai="2.0")
    assert found["package click"].found == "is not installed, and >=8.1 is needed"
    assert found["package openai"].state == "fault"
    assert "package prefect-dask" not in found  # an extra, which not everybody needs


def test_python() -> None:
    assert python_version("<3.14,>=3.11", "3.11.7").state == "ok"
    assert python_version("<3.14,>=3.11", "3.14.0").state == "fault"


def test_this_very_environment() -> None:
    assert {one.state for one in python_and_packages()} == {"ok"}


@pytest.mark.parametrize(
    ("free", "state"), [(50 * GIB, "ok"), (4 * GIB, "warning"), (GIB, "warning"), (50 << 20, "fault")]
)
def test_room_for_answers(free: int, state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FINETUNE_GATE_STORE_MAX_GB", raising=False)
    room: Callable[[Path], int] = lambda _path: free  # noqa: E731
    (found,) = home_folder(tmp_path / "not" / "there", room)
    assert found.state == state
    assert not (tmp_path / "not").exists()


def test_a_store_that_is_kept_small_needs_little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FINETUNE_GATE_STORE_MAX_GB", "1")
    assert home_folder(tmp_path, lambda _path: 4 * GIB)[0].state == "ok"


def test_folders_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert home_folder(tmp_path / "file" / "home")[0].state == "fault"
    assert records_folder(tmp_path / "file" / "out").state == "fault"
    assert records_folder(tmp_path / "out").state == "ok"
    assert not (tmp_path / "out").exists()


def test_devices() -> None:
    import torch

    assert device("auto").state == "ok"
    assert device("cpu").found.endswith("models run on cpu")
    if not torch.cuda.is_available():
        found = device("cuda")
        assert found.state == "fault"
        assert "the gate file wants cuda" in found.found
