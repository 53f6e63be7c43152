"""Datasets that are folders, and samples of datasets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from finetune_gate.evaluators.datasets import DatasetSource, load_dataset
from finetune_gate.evaluators.errors import DatasetError


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_folder_is_all_its_tables(tmp_path: Path) -> None:
    write(tmp_path / "d/b/two.jsonl", [{"id": "1", "text": "c"}])
    (tmp_path / "d/one.csv").write_text("id,text\n1,a\n2,b\n")
    (tmp_path / "d/README.md").write_text("not a table")
    (tmp_path / "d/.hidden.csv").write_text("broken")
    found = load_dataset("d", DatasetSource(path="d"), tmp_path)
    assert [(one.row["file"], one.row["text"]) for one in found.examples] == [
        ("b/two.jsonl", "c"),
        ("one.csv", "a"),
        ("one.csv", "b"),
    ]
    assert len({one.id for one in found.examples}) == 3
    before = found.digest
    (tmp_path / "d/one.csv").rename(tmp_path / "d/another.csv")
    assert load_dataset("d", DatasetSource(path="d"), tmp_path).digest != before


def test_a_folder_without_tables_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    with pytest.raises(DatasetError, match="without a table"):
        load_dataset("d", DatasetSource(path="d"), tmp_path)


def test_faults_in_a_folder_name_the_file(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/one.jsonl").write_text('{"text": "a"}\nnot json\n')
    with pytest.raises(DatasetError, match=r"one\.jsonl line 2"):
        load_dataset("d", DatasetSource(path="d"), tmp_path)


def test_a_sample_depends_on_seed_and_ids_alone(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"id": str(at), "text": f"text {at}"} for at in range(200)]
    write(tmp_path / "d.jsonl", rows)
    write(tmp_path / "longer.jsonl", [*rows[::-1], *({"id": f"new {at}", "text": "x"} for at in range(20))])

    def ids(path: str, seed: int) -> set[str]:
        found = load_dataset("d", DatasetSource(path=path, sample=50, seed=seed), tmp_path)
        return {one.id for one in found.examples}

    assert len(ids("d.jsonl", 0)) == 50
    assert ids("d.jsonl", 0) == ids("d.jsonl", 0)
    assert ids("d.jsonl", 0) != ids("d.jsonl", 1)
    assert len(ids("d.jsonl", 0) & ids("longer.jsonl", 0)) >= 40


def test_a_sample_larger_than_the_file_is_the_file(tmp_path: Path) -> None:
    write(tmp_path / "d.jsonl", [{"text": "a"}, {"text": "b"}])
    assert len(load_dataset("d", DatasetSource(path="d.jsonl", sample=50), tmp_path).examples) == 2
