"""What is built installs one top-level name, with its templates and types."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_the_wheel_has_one_top_level_name_and_all_its_files(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "-w", str(tmp_path), "."], cwd=ROOT, check=True, timeout=120, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"finetune_gate"}
    for floor in ("evaluators", "gate", "flows"):
        written = {
            f"finetune_gate/{path.relative_to(ROOT)}".replace("/flows/testing/", "/testing/")
            for path in (ROOT / floor).rglob("*")
            if path.is_file() and path.suffix != ".pyc"
        }
        assert written <= names


def test_no_file_is_longer_than_400_lines() -> None:
    long = {
        str(path.relative_to(ROOT)): count
        for floor in ("evaluators", "gate", "flows")
        for path in (ROOT / floor).rglob("*.py")
        if (count := len(path.read_text().splitlines())) > 400
    }
    assert long == {}
