"""Examples for people: which of them are kept, how much of each, and what is read back of the file."""

from __future__ import annotations

import hashlib
import json
import random
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from finetune_gate.evaluators.asking import Generation
from finetune_gate.evaluators.datasets import Dataset
from finetune_gate.evaluators.errors import EvaluationError
from finetune_gate.evaluators.evaluator import Answers
from finetune_gate.evaluators.parquet import write_parquet
from finetune_gate.evaluators.showing import Note, Said, Shown, ShownExamples
from finetune_gate.evaluators.testing import made_dataset
from finetune_gate.gate.gate_file import Gate, load_gate_file
from finetune_gate.gate.record import ExamplesRecord, canonical_json, read_record, write_record
from finetune_gate.gate.run import shown as keeping
from finetune_gate.gate.run.example_files import examples_digest, read_examples, write_examples
from finetune_gate.gate.run.shown import MAX_TEXT, shown_examples

sys.path.append(str(Path(__file__).parents[1] / "reports"))

from sample_records import record_of

HOSTILE = (
    "</script><script>alert(1)</script>",
    "\x1b[31mred\x07",
    "\u202eright to left",
    "NUL \0 and \r\n and \x85 lines",
    "| a | table |\n```",
    "\U0001f600 \u0000",
    "",
)


def gate_with(folder: Path, report: str, evaluators: str = "") -> Gate:
    path = folder / "gate.yaml"
    path.write_text(
        "model: m\ndata: {d: d.jsonl}\nevaluators:\n"
        "  - question_answering: {data: d, prompt: 'Q: {text}'}\n" + evaluators +
        "rules:\n  - {metric: question_answering.f1, min: 0.5}\n" + report
    )  # fmt: skip
    return load_gate_file(path)


def answered(gate: Gate, count: int, text: str = "yes") -> tuple[dict[str, Dataset], dict[str, Answers]]:
    data = {"d": made_dataset("d", [{"id": f"q{at}", "text": f"is it {at}?", "answer": "yes"} for at in range(count)])}
    asked = [one for evaluator in gate.evaluators.values() for one in evaluator.requests(data)]
    return data, {role: {one: Generation(text, "stop", 1) for one in asked} for role in ("candidate", "base")}


def kept(gate: Gate, count: int, text: str = "yes") -> Mapping[str, tuple[Shown, ...]]:
    return shown_examples(gate, *answered(gate, count, text), {}).by_evaluator


def some() -> ShownExamples:
    answers = {role: Said(text) for role, text in zip(("candidate", "base", "champion"), HOSTILE, strict=False)}
    notes = tuple(Note(text, text, text) for text in HOSTILE)
    first = Shown("1", HOSTILE[0], HOSTILE[1], answers, notes)
    second = Shown("2", "", "", {"base": Said("", HOSTILE[2])})
    return ShownExamples({"qa": (first, second), "prose": (Shown("1", HOSTILE[3]),)})


def test_all_are_kept_by_default(tmp_path: Path) -> None:
    gate = gate_with(tmp_path, "")
    assert gate.file.report.examples == 10_000
    (found,) = kept(gate, 3).values()
    assert [one.id for one in found] == ["q0", "q1", "q2"]
    assert found[0] == Shown("q0", "Q: is it 0?", "yes", {"candidate": Said("yes"), "base": Said("yes")})


def test_of_too_many_those_are_kept_that_the_seed_draws_in_their_own_order(tmp_path: Path) -> None:
    ids = [one.id for one in kept(gate_with(tmp_path, "report: {examples: 20}\n"), 100)["question_answering"]]
    assert len(ids) == 20
    assert ids == sorted(ids, key=lambda one: int(one[1:]))
    fewer = [one.id for one in kept(gate_with(tmp_path, "report: {examples: 10}\n"), 100)["question_answering"]]
    assert set(fewer) < set(ids), "the first ones of one order"
    other = kept(gate_with(tmp_path, "report: {examples: 20}\nexecution: {seed: 1}\n"), 100)["question_answering"]
    assert [one.id for one in other] != ids


def test_none_are_made_where_none_are_kept(tmp_path: Path) -> None:
    gate = gate_with(tmp_path, "report: {examples: 0}\n")
    assert shown_examples(gate, {}, {}, {}) == ShownExamples({}), "no evaluator was asked"


def test_long_texts_are_cut_with_a_mark_and_halves_of_pairs_are_replaced(tmp_path: Path) -> None:
    gate = gate_with(tmp_path, "")
    text = kept(gate, 1, "a\ud800" * MAX_TEXT)["question_answering"][0].answers["base"].text
    assert (len(text), text[:4], text[-7:]) == (MAX_TEXT, "a\ufffda\ufffd", "\u2026 [cut]")
    exact = kept(gate, 1, "b" * MAX_TEXT)["question_answering"][0].answers["base"].text
    assert exact == "b" * MAX_TEXT


def test_all_together_never_come_to_more_than_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "MAX_CHARACTERS", 10_000)
    gate = gate_with(tmp_path, "", "  - perplexity: {data: d}\n")
    data, answers = answered(gate, 200)
    found = shown_examples(gate, data, answers, {})
    sizes = {title: sum(map(keeping.characters_of, some)) for title, some in found.by_evaluator.items()}
    assert set(sizes) == {"question_answering", "perplexity"}
    assert all(4_500 < size <= 5_000 for size in sizes.values()), sizes


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "examples.parquet"
    assert write_examples(some(), path) == 3
    assert read_examples(path) == some()
    assert examples_digest(read_examples(path)) == examples_digest(some())
    before = path.read_bytes()
    write_examples(some(), path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "other",
    [
        Shown("1", "asked", "", {"base": Said("b")}),
        Shown("1", "asked", "wanted", {"base": Said("a")}),
        Shown("1", "asked", "wanted", {"champion": Said("b")}),
        Shown("1", "asked", "wanted", {"base": Said("b", "a fault")}),
        Shown("1", "asked", "wanted", {"base": Said("b")}, (Note("j", "base", "no"),)),
        Shown("2", "asked", "wanted", {"base": Said("b")}),
    ],
    ids=["wanted", "text", "role", "fault", "note", "id"],
)
def test_the_digest_is_another_where_anything_is(other: Shown) -> None:
    one = Shown("1", "asked", "wanted", {"base": Said("b")})
    digests = [
        examples_digest(ShownExamples({title: (shown,)})) for title, shown in (("a", one), ("a", other), ("b", one))
    ]
    assert len(set(digests)) == 3


COLUMNS: Mapping[str, list[object]] = {
    "evaluator": ["qa"], "example_id": ["1"], "asked": ["?"], "wanted": [""], "notes": ["[]"],
    "answer.base": ["!"], "fault.base": [None],
}  # fmt: skip

WRONG: Mapping[str, tuple[Mapping[str, list[Any]], str]] = {
    "no column": ({name: values for name, values in COLUMNS.items() if name != "asked"}, "no text in column 'asked'"),
    "no title": ({**COLUMNS, "evaluator": [None]}, "no text in column 'evaluator'"),
    "another column": ({**COLUMNS, "score": ["1"]}, "none of an example's"),
    "notes that are none": ({**COLUMNS, "notes": ["{}"]}, "no list of"),
    "deep notes": ({**COLUMNS, "notes": ["[" * 100_000]}, "no list of"),
    "notes of numbers": ({**COLUMNS, "notes": ['[["a", "b", 1]]']}, "no list of"),
    "twice": ({name: values * 2 for name, values in COLUMNS.items()}, "twice"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, name: str) -> None:
    columns, says = WRONG[name]
    (tmp_path / "e.parquet").write_bytes(write_parquet({name: ("text", values) for name, values in columns.items()}))
    with pytest.raises(EvaluationError, match=says):
        read_examples(tmp_path / "e.parquet")


def test_numbers_are_no_texts(tmp_path: Path) -> None:
    columns: dict[str, Any] = {name: ("text", values) for name, values in COLUMNS.items()}
    (tmp_path / "e.parquet").write_bytes(write_parquet({**columns, "answer.base": ("number", [1.0])}))
    with pytest.raises(EvaluationError, match="none of an example's"):
        read_examples(tmp_path / "e.parquet")


def test_bytes_that_are_no_examples_are_refused_whatever_they_are(tmp_path: Path) -> None:
    path = tmp_path / "e.parquet"
    with pytest.raises(EvaluationError, match="No such file"):
        read_examples(path)
    write_examples(some(), path)
    content, chance = path.read_bytes(), random.Random(0)
    for cut in (0, 4, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:cut])
        with pytest.raises(EvaluationError):
            read_examples(path)
    for _ in range(300):
        place = chance.randrange(len(content))
        path.write_bytes(content[:place] + bytes([content[place] ^ 1 << chance.randrange(8)]) + content[place + 1 :])
        try:
            read_examples(path)  # another text, maybe: the digest in the record tells
        except EvaluationError:
            continue


def test_a_small_file_that_holds_much_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "e.parquet"
    count = 4_000
    columns: dict[str, list[object]] = {name: values * count for name, values in COLUMNS.items()}
    columns |= {"example_id": [str(at) for at in range(count)], "asked": ["a" * 40_000] * count}
    path.write_bytes(write_parquet({name: ("text", values) for name, values in columns.items()}))
    assert path.stat().st_size < 100_000
    with pytest.raises(EvaluationError, match="more than 67,108,864 characters"):
        read_examples(path)


def test_a_record_from_before_there_were_examples_is_read_and_keeps_its_digest(tmp_path: Path) -> None:
    value = json.loads(record_of("hold").canonical())
    assert value.pop("examples") is None
    (tmp_path / "old.json").write_text(json.dumps(value))
    old = read_record(tmp_path / "old.json")
    assert old.digest() == hashlib.sha256(canonical_json(evidence_of(value))).hexdigest()
    now = old.model_copy(update={"examples": ExamplesRecord(file="examples.parquet", digest="0" * 64, examples=1)})
    assert now.digest() != old.digest()
    write_record(now, tmp_path / "now.json")
    assert read_record(tmp_path / "now.json") == now


def evidence_of(value: dict[str, Any]) -> dict[str, Any]:
    """What the digest of a record without approvals, looks, waivers and slices was over."""
    left_out = ("run", "today", "approval_required", "awaits_approval", "files_changed", "look")
    models = [{name: part for name, part in model.items() if name != "origin"} for model in value["models"]]
    rules = [
        {
            **rule,
            "checks": [{k: v for k, v in one.items() if k not in ("slice", "confidence")} for one in rule["checks"]],
        }
        for rule in value["rules"]
    ]
    return {**{name: part for name, part in value.items() if name not in left_out}, "models": models, "rules": rules}
