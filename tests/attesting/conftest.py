"""Runs that were kept: made once, signed or not, and copied for each test that changes them."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent.parent / "flows"))

from kept_runs import RULES, Made, Signer, gated, make_signer
from workshop import Workshop, copy_workshop, open_workshop


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return open_workshop(tmp_path_factory.mktemp("original"))


@pytest.fixture
def workshop(original: Workshop, tmp_path: Path) -> Workshop:
    return copy_workshop(original, tmp_path / "workshop")


@pytest.fixture(scope="session")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    return make_signer(tmp_path_factory.mktemp("keys"), "-algorithm", "ed25519")


@pytest.fixture(scope="session")
def made(original: Workshop, tmp_path_factory: pytest.TempPathFactory, signer: Signer) -> Made:
    """A promotion with findings, signed; of few rows, since it is verified again and again."""
    workshop = copy_workshop(original, tmp_path_factory.mktemp("made") / "workshop")
    rows = (workshop.folder / "holdout.jsonl").read_text().splitlines(keepends=True)
    (workshop.folder / "holdout.jsonl").write_text("".join(rows[:12]))
    (workshop.folder / "other.jsonl").write_text("".join(rows[12:20]))
    gate = workshop.gate(*RULES)
    text = gate.read_text().replace(
        "data: {holdout: holdout.jsonl}", "data: {holdout: holdout.jsonl, other: other.jsonl}"
    )
    overfitting = "  - overfitting: {train: holdout, validation: other, memorisation: null, diversity: null}\nrules:"
    gate.write_text(text.replace("rules:", overfitting))
    return Made(workshop, gate, gated(workshop, gate, signer))


@pytest.fixture
def folder(made: Made, tmp_path: Path) -> Path:
    """A copy of what the signed run kept."""
    return Path(shutil.copytree(made.folder, tmp_path / "kept"))
