"""Datasets that may still be empty."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from finetune_gate.evaluators.datasets import DatasetSource, load_dataset
from finetune_gate.evaluators.errors import DatasetError
from finetune_gate.gate.gate_file import load_data, load_gate_file

NOTHING = hashlib.sha256(b"").hexdigest()
GATE = """
model: support-bot
data:
  questions: questions.jsonl
  ratings: {path: ratings.jsonl, optional: true}
evaluators:
  - human: {data: questions, prompt: "{question}", ratings: ratings}
rules:
  - {metric: human.win_rate, min: 0.5, against: base}
"""


def gate_folder(folder: Path, text: str = GATE) -> Path:
    (folder / "questions.jsonl").write_text('{"id": "1", "question": "Where?"}\n')
    (folder / "gate.yaml").write_text(text)
    return folder / "gate.yaml"


@pytest.mark.parametrize("path", ["gone.jsonl", "gone/ratings.csv", "empty.jsonl", "empty.parquet", "folder"])
def test_an_optional_file_may_be_missing_or_empty(path: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    if path.startswith("empty"):
        (tmp_path / path).touch()
    source = DatasetSource(path=path, id="rating", optional=True)
    found = load_dataset("ratings", source, tmp_path)
    assert (found.examples, found.columns, found.digest) == ((), (), NOTHING)
    with pytest.raises(DatasetError):
        load_dataset("ratings", DatasetSource(path=path), tmp_path)


def test_blank_lines_and_a_header_are_no_rows(tmp_path: Path) -> None:
    for name, text in (("a.jsonl", "\n \n"), ("a.csv", "id,rater\n")):
        (tmp_path / name).write_text(text)
        found = load_dataset("ratings", DatasetSource(path=name, optional=True), tmp_path)
        assert (found.examples, found.columns) == ((), ())
        assert found.digest == hashlib.sha256(text.encode()).hexdigest()


def test_what_an_optional_file_holds_is_checked_like_any_other(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("{\n")
    with pytest.raises(DatasetError, match="not JSON"):
        load_dataset("ratings", DatasetSource(path="a.jsonl", optional=True), tmp_path)
    (tmp_path / "a.jsonl").write_text('{"id": 1}\n')
    with pytest.raises(DatasetError, match="no column 'rating'"):
        load_dataset("ratings", DatasetSource(path="a.jsonl", id="rating", optional=True), tmp_path)


def test_ratings_may_still_be_to_come(tmp_path: Path) -> None:
    data = load_data(load_gate_file(gate_folder(tmp_path)))
    assert data["ratings"].examples == ()


def test_an_evaluator_that_needs_rows_refuses_an_optional_file_without_any(tmp_path: Path) -> None:
    swapped = GATE.replace("data: questions, ", "data: ratings, ").replace("ratings: ratings}", "ratings: questions}")
    with pytest.raises(DatasetError, match="no rows, and human needs some"):
        load_data(load_gate_file(gate_folder(tmp_path, swapped)))


def test_ratings_are_checked_before_anything_is_spent(tmp_path: Path) -> None:
    path = gate_folder(tmp_path)
    (tmp_path / "ratings.jsonl").write_text('{"id": "1", "rater": "ana", "choice": "candidate"}\n')
    with pytest.raises(DatasetError, match=r"human\.ratings.*choice='candidate'") as caught:
        load_data(load_gate_file(path))
    assert len(caught.value.problems) == 4
