"""``finetune-gate split``: files of the same kind, whole or not at all, never over others."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from finetune_gate.evaluators.datasets import DatasetSource, load_dataset
from finetune_gate.flows.cli import program

ROWS: list[dict[str, Any]] = [
    {
        "id": f"r{at}",
        "text": "Ticket {0}: the parcel with number {0}77 is late".format(at // 2 if at < 20 else at),
        "category": "late" if at % 3 else "lost",
        "timestamp": f"2026-{at % 12 + 1:02}-{at % 28 + 1:02}T{at % 24:02}:00:00",
        "amount": at / 2,
    }
    for at in range(120)
]
"""The first twenty are ten pairs of copies."""

Run = Callable[..., int]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command line in this process, in the test's own folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(program._COMMANDS, "split", ("split:split", "Split a dataset."))
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return lambda *arguments: program._run(["split", *arguments])


def ids(path: Path) -> list[str]:
    return [example.id for example in load_dataset("x", DatasetSource(path=str(path)), Path()).examples]


def test_lines_stay_as_they_are_and_the_report_tells_of_them(run: Run, tmp_path: Path, capsys: Any) -> None:
    assert run("data.jsonl", "--strategy", "random", "--validation-share", "0.2", "--out", "parts") == 0
    parts = {name: tmp_path / "parts" / f"{name}.jsonl" for name in ("train", "validation", "test")}
    lines = [line for path in parts.values() for line in path.read_text().splitlines()]
    assert sorted(lines) == sorted((tmp_path / "data.jsonl").read_text().splitlines())
    report = json.loads((tmp_path / "parts" / "split-report.json").read_text())
    assert {name: part["rows"] for name, part in report["parts"].items()} == {
        name: len(ids(path)) for name, path in parts.items()
    }
    assert report["files"] == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in parts.values()}
    assert (report["clusters"], report["repeated"]) == (10, 10)
    assert report["digest"] == hashlib.sha256((tmp_path / "data.jsonl").read_bytes()).hexdigest()
    shown = capsys.readouterr().out
    assert "10 rows repeat one of 10 others (looked for in text)" in shown
    assert "late: train" in shown


def test_the_same_split_twice_is_the_same_to_the_byte(run: Run, tmp_path: Path) -> None:
    for out in ("one", "two"):
        assert run("data.jsonl", "--strategy", "category", "--salt", "s", "--out", out) == 0
    for name in ("train.jsonl", "test.jsonl", "split-report.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_json_is_the_report(run: Run, capsys: Any) -> None:
    assert run("data.jsonl", "--strategy", "temporal", "--cut", "2026-10-01", "--out", "parts", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["boundaries"] == {"test": "2026-10-01"}
    assert report["parts"]["train"]["latest"] < "2026-10-01" <= report["parts"]["test"]["earliest"]


def test_what_repeats_an_earlier_part_is_set_aside_in_a_file(run: Run, tmp_path: Path, capsys: Any) -> None:
    assert run("data.jsonl", "--strategy", "category", "--leave-out", "lost", "--out", "parts") == 0
    aside = ids(tmp_path / "parts" / "set-aside.jsonl")
    report = json.loads((tmp_path / "parts" / "split-report.json").read_text())
    assert list(report["set_aside"]) == aside != []
    assert "repeat rows of an earlier part" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["csv", "tsv"])
def test_csv_keeps_every_field(run: Run, tmp_path: Path, kind: str) -> None:
    delimiter = "," if kind == "csv" else "\t"
    odd = [
        {"id": str(at), "text": f'a "quoted", text\nof two\tlines {at} and {at * 31}', "note": "" if at % 2 else "=1+1"}
        for at in range(40)
    ]
    with (tmp_path / f"odd.{kind}").open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, ["id", "text", "note"], delimiter=delimiter)
        writer.writeheader()
        writer.writerows(odd)
    assert run(f"odd.{kind}", "--strategy", "random", "--test-share", "0.4", "--out", "parts") == 0
    found: list[dict[str, str]] = []
    for part in ("train", "test"):
        with (tmp_path / "parts" / f"{part}.{kind}").open(newline="", encoding="utf-8") as file:
            found += csv.DictReader(file, delimiter=delimiter)
    assert sorted(found, key=lambda row: int(row["id"])) == odd


def test_parquet_keeps_its_schema(run: Run, tmp_path: Path) -> None:
    schema = pyarrow.schema(
        [("id", pyarrow.int32()), ("text", pyarrow.large_string()), ("timestamp", pyarrow.timestamp("us", "UTC"))],
        metadata={"made": "here"},
    )
    table = pyarrow.table(
        {
            "id": list(range(60)),
            "text": [row["text"] for row in ROWS[60:]],
            "timestamp": [at * 86_400_000_000 for at in range(60)],
        },
        schema=schema,
    )
    pyarrow.parquet.write_table(table, tmp_path / "data.parquet")
    assert run("data.parquet", "--strategy", "temporal", "--embargo", "2d", "--out", "parts") == 0
    parts = {name: pyarrow.parquet.read_table(tmp_path / "parts" / f"{name}.parquet") for name in ("train", "test")}
    assert {name: part.num_rows for name, part in parts.items()} == {"train": 46, "test": 12}
    assert all(part.schema.equals(schema, check_metadata=True) for part in parts.values())
    assert parts["test"]["id"].to_pylist() == list(range(48, 60))


def test_nothing_is_overwritten_unasked_and_nothing_stale_is_left(run: Run, tmp_path: Path, capsys: Any) -> None:
    assert run("data.jsonl", "--strategy", "random", "--validation-share", "0.2", "--out", "parts") == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "parts").iterdir()}
    assert run("data.jsonl", "--strategy", "random", "--salt", "s", "--out", "parts") == 2
    assert "--force replaces them" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in (tmp_path / "parts").iterdir()} == before
    (tmp_path / "parts" / "notes.txt").write_text("mine")
    assert run("data.jsonl", "--strategy", "random", "--salt", "s", "--out", "parts", "--force") == 0
    names = {path.name for path in (tmp_path / "parts").iterdir()}
    assert names == {"train.jsonl", "test.jsonl", "split-report.json", "notes.txt"}


def test_the_file_itself_is_never_replaced(run: Run, tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "train.jsonl").write_bytes((tmp_path / "data.jsonl").read_bytes())
    assert run("train.jsonl", "--strategy", "random", "--out", ".", "--force") == 2
    assert "is the file to be split" in capsys.readouterr().err
    assert (tmp_path / "train.jsonl").read_bytes() == (tmp_path / "data.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("missing.jsonl", "--strategy", "random"), "does not exist"),
        (("data.jsonl", "--strategy", "group"), "no column 'group'"),
        (("data.jsonl", "--strategy", "temporal", "--by", "text"), "a moment: ISO 8601"),
        (("data.jsonl", "--strategy", "random", "--test-share", "2"), "--test-share"),
        (("data.jsonl", "--strategy", "random", "--embargo", "7d"), "go with the temporal strategy"),
        (("data.jsonl", "--strategy", "random", "--test-share", "0.0001"), "no row of 120 is left for test"),
        (("data.jsonl", "--strategy", "random", "--id", "number"), "no column 'number'"),
        ((".", "--strategy", "random"), "a folder"),
        (("data.jsonl", "--strategy", "oldest"), "'oldest' is not one of"),
    ],
)
def test_problems_are_said_and_nothing_is_written(
    run: Run, tmp_path: Path, capsys: Any, arguments: tuple[str, ...], says: str
) -> None:
    assert run(*arguments, "--out", "parts") == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "parts").exists()


def test_names_in_the_data_cannot_write_to_the_terminal(run: Run, tmp_path: Path, capsys: Any) -> None:
    rows = [{**row, "category": "\x1b[31mred"} for row in ROWS]
    (tmp_path / "hostile.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert run("hostile.jsonl", "--strategy", "category", "--out", "parts") == 0
    assert "\x1b" not in capsys.readouterr().out
