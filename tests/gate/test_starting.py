"""The first gate file: for whatever data, a file that the real checker accepts."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finetune_gate.evaluators.datasets import Dataset, DatasetSource, load_dataset
from finetune_gate.evaluators.errors import ConfigurationError
from finetune_gate.gate.gate_file import Gate, load_data
from finetune_gate.gate.gate_file.loader import gate_from_text
from finetune_gate.gate.gate_file.strict_yaml import parse_yaml
from finetune_gate.gate.starting import (
    RegisteredModel,
    Start,
    find_files,
    gate_file_text,
    source_of,
    start_from,
)
from finetune_gate.gate.starting.text import comment, value

Row = Mapping[str, Any]
WORDS = [
    "red",
    "blue",
    "lamp",
    "order",
    "late",
    "box",
    "refund",
    "app",
    "crash",
    "page",
    "login",
    "invoice",
    "fee",
    "street",
    "door",
    "key",
]


def texts(n: int, start: int = 0) -> list[str]:
    return [" ".join(WORDS[(at * step + at) % len(WORDS)] for step in range(1, 9)) + f" {at}" for at in range(start, n)]


def rows(n: int = 40, **columns: Any) -> list[Row]:
    """``n`` rows; a column is a value, or a function of the row's number."""
    return [{name: one(at) if callable(one) else one for name, one in columns.items()} for at in range(n)]


def dataset(folder: Path, found: Sequence[Row], name: str = "holdout") -> Dataset:
    path = folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in found), encoding="utf-8")
    roles = source_of(load_dataset(name, DatasetSource(path=path.name), folder))
    return load_dataset(name, DatasetSource.model_validate({"path": path.name, **roles}), folder)


def started(
    folder: Path, found: Sequence[Row], train: Sequence[Row] | None = None, registered: RegisteredModel | None = None
) -> tuple[Start, str]:
    paths = {"holdout": "holdout.jsonl", "train": "train.jsonl"}
    trained = None if train is None else dataset(folder, train, "train")
    start = start_from(dataset(folder, found), trained, registered, paths=paths)
    return start, gate_file_text(start)


def checked(folder: Path, text: str) -> Gate:
    """As `finetune-gate check` does it; the text is as it would be written."""
    gate = gate_from_text(text, folder / "gate.yaml")
    load_data(gate)
    return gate


def text_at(at: int) -> str:
    return texts(at + 1, at)[0]


def ab(at: int) -> str:
    return "ab"[at % 2]


def chat_at(at: int) -> list[Row]:
    return [{"role": "user", "content": text_at(at)}, {"role": "assistant", "content": f"Yes {at}."}]


SQUAD = {"question": lambda at: f"Who came at {at}?", "context": text_at, "answers": lambda at: [f"Ana {at}", "she"]}
OPTIONS = {"question": text_at, "choices": ["red", "blue"]}
APART = {"question": text_at, "a": "red", "b": "blue", "c": "green"}
SHAPES = {
    "classification": ["classification", "perplexity"],
    "question answering": ["question_answering"],
    "multiple choice": ["multiple_choice"],
    "summarization": ["summarization"],
    "prompts and completions": ["perplexity"],
    "chat": ["perplexity"],
    "documents": ["perplexity"],
}
"""What is measured of each."""

TABLES: dict[str, tuple[str, list[Row]]] = {
    "labels": ("classification", rows(text=text_at, label=ab)),
    "sentiment": ("classification", rows(review=text_at, sentiment=ab)),
    "numbers are no labels": ("documents", rows(text=text_at, label=lambda at: at % 2)),
    "one label is none": ("documents", rows(text=text_at, label="a")),
    "case alone is no label": ("documents", rows(text=text_at, label=lambda at: ("bug", "Bug")[at % 2])),
    "a column called labels": ("classification", rows(text=text_at, labels="x", label=ab)),
    "squad": ("question answering", rows(**SQUAD)),
    "question and answer": ("question answering", rows(question=text_at, answer="42")),
    "long answers": ("prompts and completions", rows(question=text_at, answer=lambda at: text_at(at) * 3)),
    "options": ("multiple choice", rows(**OPTIONS, answer=lambda at: at % 2)),
    "options apart": ("multiple choice", rows(**APART, answer="B")),
    "options without the right one": ("question answering", rows(**OPTIONS, answer="green")),
    "summaries": ("summarization", rows(article=text_at, highlights=lambda at: f"Red {at}.")),
    "completions": ("prompts and completions", rows(prompt=text_at, completion="well")),
    "instructions": ("prompts and completions", rows(instruction=text_at, input="", output="well")),
    "chats": ("chat", rows(messages=chat_at)),
    "documents": ("documents", rows(text=text_at)),
    "a column of another name": ("documents", rows(body=text_at, year=2020)),
    "a name no prompt can hold": ("documents", rows(**{"the text": text_at}, label=ab)),
    "one row": ("documents", rows(1, text=text_at)),
    "two rows with labels": ("classification", rows(2, text=text_at, label=ab)),
}


@pytest.mark.parametrize("table", TABLES)
def test_the_columns_tell_what_is_measured_and_check_accepts_it(tmp_path: Path, table: str) -> None:
    shape, found = TABLES[table]
    start, text = started(tmp_path, found)
    gate = checked(tmp_path, text)
    assert (start.shape, [one.kind for one in gate.evaluators.values()]) == (shape, SHAPES[shape])
    assert gate.file.trust == "files"
    assert any(rule.severity == "block" for rule in gate.rules)


@pytest.mark.parametrize("table", [name for name, one in TABLES.items() if "row" not in name and one[0] != "documents"])
def test_what_is_offered_is_accepted_too(tmp_path: Path, table: str) -> None:
    found = [{**row, "language": ("de", "en")[at % 2]} for at, row in enumerate([*TABLES[table][1]] * 3)]
    _, text = started(tmp_path, found)
    offered = re.sub(r"(?m)^  # (- [{a-z]|    [a-z_]+:)", r"  \1", text)
    assert offered != text
    gate = checked(tmp_path, offered)
    assert any(rule.slices == "language" for rule in gate.rules)


@pytest.mark.parametrize("table", TABLES)
def test_training_data_adds_a_search_for_leaks(tmp_path: Path, table: str) -> None:
    found = TABLES[table][1]
    start, text = started(tmp_path, found, [*found[:1]] * 2)
    gate = checked(tmp_path, text)
    kinds = [one.kind for one in gate.evaluators.values()]
    assert "holdout" in kinds
    assert "overfitting" in kinds or "no overfitting evaluator" in " ".join(start.remarks) or len(found) == 1
    assert any("lie in train: the gate will block" in remark for remark in start.remarks)
    assert "holdout.leaked_share" in [rule.metric for rule in gate.rules]


def test_training_data_with_other_columns_is_said(tmp_path: Path) -> None:
    start, text = started(tmp_path, TABLES["squad"][1], rows(body=text_at))
    assert [one.kind for one in checked(tmp_path, text).evaluators.values()] == ["question_answering"]
    assert sum(one.startswith("no ") for one in start.remarks) == 2


def test_clean_training_data_is_said_to_be_clean(tmp_path: Path) -> None:
    found = rows(text=text_at)
    start, _ = started(tmp_path, found[:20], found[20:])
    assert "none of 20 examples of holdout found in train" in start.remarks


# --- what a file says


def test_margins_say_what_the_data_can_show(tmp_path: Path) -> None:
    for n, margin, said in (
        (40, 0.1, "even 0.1 is too small"),
        (300, 0.07, "under 6.4 points"),
        (5000, 0.02, "under 1.6 points"),
    ):
        _, text = started(tmp_path, rows(n, text=text_at, label=ab))
        rule = next(rule for rule in checked(tmp_path, text).rules if rule.kind == "min_change")
        assert rule.margin == margin
        assert said in " ".join(text.replace("  # ", "").split())


def test_groups_count_and_not_rows(tmp_path: Path) -> None:
    found = rows(300, qid=lambda at: f"q{at}", text=text_at, label=ab, customer_id=lambda at: at // 3)
    start, text = started(tmp_path, found)
    assert (start.data[0].examples, start.data[0].clusters) == (300, 100)
    source = checked(tmp_path, text).file.data["holdout"]
    assert (source.id, source.group) == ("qid", "customer_id")
    assert "300 examples in 100 groups a change under 11.1 points" in " ".join(text.replace("  # ", "").split())


@pytest.mark.parametrize(("first", "floor"), [(20, 0.5), (27, 0.68), (40, None)])
def test_a_floor_is_what_guessing_reaches_or_nothing(tmp_path: Path, first: int, floor: float | None) -> None:
    found = rows(40, text=text_at, label=lambda at: "a" if at < min(first, 39) else "b")
    _, text = started(tmp_path, found)
    floors = [rule.bound for rule in checked(tmp_path, text).rules if rule.kind == "min"]
    assert floors == ([] if floor is None else [floor])


def test_nothing_known_is_no_floor(tmp_path: Path) -> None:
    for table in ("squad", "summaries", "completions", "chats", "documents"):
        _, text = started(tmp_path, TABLES[table][1])
        assert all(rule.of_change for rule in checked(tmp_path, text).rules)


def registered(kind: Any = "transformers", **more: Any) -> RegisteredModel:
    return RegisteredModel("sqlite:///mlflow.db", "router", "7", kind, {}, {}, **more)


@pytest.mark.parametrize("kind", ["openai", "sklearn", "pyfunc"])
@pytest.mark.parametrize("table", TABLES)
def test_a_model_without_log_probabilities_is_measured_by_what_it_writes(tmp_path: Path, table: str, kind: str) -> None:
    start, text = started(tmp_path, TABLES[table][1], registered=registered(kind))
    gate = checked(tmp_path, text)
    asks_for_more = [one.title for one in gate.evaluators.values() if "scores_tokens" in one.needs]
    assert asks_for_more == ([] if start.shape not in ("documents", "chat") else ["perplexity"])
    assert bool(asks_for_more) == ("and the gate will hold" in " ".join(start.remarks))
    assert ("# trust: code" in text.splitlines()) == (kind != "openai")
    assert gate.file.trust == "files"


def test_the_registry_is_told_of(tmp_path: Path) -> None:
    found = TABLES["labels"][1]
    for told, said in (
        (registered(), "newest version at sqlite:///mlflow.db: 7, a transformers model"),
        (registered(), "NAME IT HERE: nothing says"),
        (registered(claims=("tag says 'x'",)), "leads nowhere on this machine: tag says 'x'"),
        (registered(claims=("tag says 'x'",), leads=("tag says 'x'",)), "found: tag says 'x'"),
        (RegisteredModel("a", "router", "7", "peft", {"champion": "5"}, {}), "now version 5"),
        (RegisteredModel("a", "router", "7", "peft", {"live": "5"}, {}), "there are @live (version 5)"),
        (RegisteredModel("a", "router", "7", "peft", {}, {"5": "Production"}), "version 5 in Production"),
        (RegisteredModel("a", "router", None, "unknown", {}, {}), "no version of it is registered"),
    ):
        _, text = started(tmp_path, found, registered=told)
        assert checked(tmp_path, text).file.model == "router"
        assert said in " ".join(text.replace("# ", "").split())


def test_data_without_any_text_is_an_error_that_says_what_was_tried(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="columns price") as raised:
        started(tmp_path, rows(price=3))
    assert "finetune-gate" not in raised.value.problems[0].found


def test_what_was_passed_over_is_said(tmp_path: Path) -> None:
    start, _ = started(tmp_path, TABLES["options without the right one"][1])
    assert any(remark.startswith("not multiple choice: ") for remark in start.remarks)


# --- hostile names and values

HOSTILE = [
    'a"b', "a'b", "a: b", "a # b", "- a", "!!python/object:os.system x", "&anchor", "*alias", "{a: b}", "[a]",
    "%YAML 1.1", "a\nmodel: other", "a\r\n---\n", "\x1b[31mred", "\u2028next", "\x85nel", "\ufeffbom", "\u202eleft",
    "true", "null", "1e3", "~", "", "日本", "😀", "\U0010ffff", "\ufffe", "\x00", "\t", "a\\nb", "<<", "...", "---",
    "? a", "| a", "> a", "@a", "`a`", "{text}",
]  # fmt: skip


@pytest.mark.parametrize("hostile", HOSTILE, ids=range(len(HOSTILE)))
def test_no_value_breaks_the_file(tmp_path: Path, hostile: str) -> None:
    """As a label, as a value of a column, as a column's name, and as what the registry says."""
    labels = (hostile, "b")
    hurt = [
        {"text": row["text"], "label": labels[at % 2], "language": labels[at // 2 % 2], hostile: "xy"[at % 2]}
        for at, row in enumerate(rows(70, text=text_at))
    ]
    start, text = started(tmp_path, hurt, registered=registered(note=hostile, claims=(hostile,)))
    gate = checked(tmp_path, text)
    assert gate.file.model == "router"
    found = gate.evaluators.get("classification")
    usable = bool(hostile.strip()) and hostile != "<<"
    assert (start.shape, found is not None) == (("classification", True) if usable else ("documents", False))
    if found is not None:
        assert found.settings()["labels"] == sorted(labels)


@pytest.mark.parametrize("hostile", [one for one in HOSTILE if one != "<<"], ids=range(len(HOSTILE) - 1))
def test_no_name_of_the_only_column_breaks_the_file(tmp_path: Path, hostile: str) -> None:
    start, text = started(tmp_path, rows(3, **{hostile: text_at}))
    (found,) = checked(tmp_path, text).evaluators.values()
    assert (start.shape, found.settings()["text"]) == ("documents", hostile)


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.text(max_size=20))
def test_any_text_comes_back_and_fits_a_comment(text: str) -> None:
    if text != "<<":
        document = parse_yaml(f"a: {value(text)}   # {comment(text)}\nb: {value({text: [text]})}".encode(), Path("x"))
        assert document.value == {"a": text, "b": {text: [text]}}


# --- files that nobody named


@pytest.mark.parametrize(
    ("there", "taken", "passed_over"),
    [
        (["test.jsonl"], "test.jsonl", 0),
        (["val.csv", "data/holdout.pq", "test.jsonl", "data/test.jsonl", "train.jsonl"], "data/holdout.pq", 3),
        (["Test.JSONL", "notes.txt"], "Test.JSONL", 0),
    ],
)
def test_a_file_is_taken_by_its_name(tmp_path: Path, there: list[str], taken: str, passed_over: int) -> None:
    (tmp_path / "data").mkdir()
    for name in there:
        (tmp_path / name).write_text("x")
    found = find_files(None, tmp_path)
    assert (found.holdout, len(found.others), found.found) == (tmp_path / taken, passed_over, True)
    assert (found.train is not None) == ("train.jsonl" in there)


def test_no_such_file_is_an_error_that_lists_what_is_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no tables at all"):
        find_files(None, tmp_path)
    for at in range(12):
        (tmp_path / f"part{at:02}.csv").write_text("x")
    with pytest.raises(ConfigurationError, match=r"part00.*and 4 more"):
        find_files(None, tmp_path)
    assert find_files(tmp_path / "part00.csv", tmp_path).others == ()
