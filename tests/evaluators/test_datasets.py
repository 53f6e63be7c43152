"""Datasets are read whole or not at all, and say where each fault is."""

from __future__ import annotations

from pathlib import Path

import pytest

from finetune_gate.evaluators.datasets import Dataset, DatasetSource, load_dataset
from finetune_gate.evaluators.errors import DatasetError
from finetune_gate.evaluators.parquet import write_parquet


def load(folder: Path, name: str, content: str | bytes, **source: str) -> Dataset:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return load_dataset("holdout", DatasetSource(path=name, **source), folder)


def test_the_same_rows_in_every_format(tmp_path: Path) -> None:
    jsonl = load(tmp_path, "a.jsonl", '{"id": "1", "text": "höflich"}\n\n{"id": "2", "text": "b,\\"c"}\n')
    csv = load(tmp_path, "a.csv", '\ufeffid,text\n1,höflich\n2,"b,""c"\n')
    parquet = load(
        tmp_path,
        "a.parquet",
        write_parquet({"id": ("text", ["1", "2"]), "text": ("text", ["höflich", 'b,"c'])}),
    )
    assert jsonl.examples == csv.examples == parquet.examples
    assert [example.id for example in jsonl.examples] == ["1", "2"]


def test_ids_made_from_content_do_not_depend_on_other_rows(tmp_path: Path) -> None:
    short = load(tmp_path, "a.jsonl", '{"text": "x"}\n{"text": "y"}\n')
    long = load(tmp_path, "b.jsonl", '{"text": "new"}\n{"text": "y"}\n{"text": "x"}\n{"text": "x"}\n')
    ids = {str(example.row["text"]): example.id for example in short.examples}
    assert [example.id for example in long.examples][1:] == [ids["y"], ids["x"], f"{ids['x']}#2"]


@pytest.mark.parametrize(
    ("name", "content", "source", "message"),
    [
        ("a.jsonl", "", {}, "no rows"),
        ("a.jsonl", '{"id": 1, "text": "a"}\n{"id": 1, "text": "b"}', {}, "line 2: duplicate id '1', first at line 1"),
        ("a.jsonl", '{"id": 1}\n{"id": 2, "x": NaN}', {}, "line 2: not JSON: NaN is not a JSON value"),
        ("a.jsonl", '{"id": 1, "x": 1e999}', {}, "line 1: x=inf"),
        ("a.jsonl", '{"id": 1, "id": 2}', {}, "line 1: not JSON: key 'id' occurs 2 times"),
        ("a.jsonl", "[1]\n", {}, "line 1: a JSON list"),
        ("a.jsonl", '{"id": 1}\n{"text": "a"}', {}, "line 2: id=None"),
        ("a.jsonl", '{"text": "a"}', {"id": "key"}, "no column 'key' (named as the id column)"),
        ("a.jsonl", '{"text": "a"}', {"group": "customer"}, "no column 'customer' (named as the group column)"),
        ("a.jsonl", b'{"id": 1}\n\xff\n', {}, "line 2: byte 0xff is not UTF-8"),
        ("a.csv", "id,text\n1,a,b\n", {}, "line 2: 3 fields"),
        ("a.csv", "id,id\n1,a\n", {}, "line 1: column 'id' occurs twice"),
        ("a.csv", 'id,text\n1,"a\n', {}, "not CSV"),
        ("a.parquet", "not parquet", {}, "not a Parquet file"),
        ("a.xlsx", "x", {}, "unknown kind of file '.xlsx'"),
    ],
)
def test_faults_say_where_and_what(
    tmp_path: Path, name: str, content: str | bytes, source: dict[str, str], message: str
) -> None:
    with pytest.raises(DatasetError) as caught:
        load(tmp_path, name, content, **source)
    assert message in str(caught.value)
    assert str(tmp_path / name) in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="file does not exist"):
        load_dataset("holdout", DatasetSource(path="gone.jsonl"), tmp_path)


def test_all_faults_are_reported_at_once(tmp_path: Path) -> None:
    with pytest.raises(DatasetError) as caught:
        load(tmp_path, "a.jsonl", "{\n" * 50)
    assert len(caught.value.problems) == 20
