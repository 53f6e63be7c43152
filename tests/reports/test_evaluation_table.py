"""The table that MLflow's UI shows: one row an example, bounded, with inert texts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from finetune_gate.evaluators.absent import Unmeasured, Value
from finetune_gate.evaluators.scores import EvaluatorScores, ScoredExample, ScoreTable
from finetune_gate.evaluators.showing import Note, Said, Shown, ShownExamples
from finetune_gate.gate.reports.evaluation_table import LONGEST_TEXT, MOST_SCORES, evaluation_table

NONE = ShownExamples({})


def scored(title: str, count: int, components: Sequence[str] = ("correct",), category: str | None = None) -> Any:
    examples = tuple(ScoredExample(f"{n}", None, {"category": category} if category else {}) for n in range(count))
    values: tuple[Value, ...] = tuple(float(n % 2) for n in range(count))
    return EvaluatorScores(title, examples, {role: dict.fromkeys(components, values) for role in ("base", "candidate")})


def read(scores: ScoreTable, examples: ShownExamples = NONE, **settings: int) -> list[dict[str, Any]]:
    table = evaluation_table(scores, examples, **settings)
    assert table is not None
    content = json.loads(table.content)
    assert set(content) == {"columns", "data"}
    assert len(content["data"]) == table.rows
    return [dict(zip(content["columns"], row, strict=True)) for row in content["data"]]


def test_an_example_with_texts_is_a_row() -> None:
    answers = {"candidate": Said("billing"), "base": Said("", "it was cut off")}
    shown = Shown("1", "Ticket: paid twice", "billing", answers, (Note("judge", "candidate", "right"),))
    rows = read(ScoreTable((scored("classification", 2, category="a"),)), ShownExamples({"classification": (shown,)}))
    assert rows == [
        {
            "asked": "Ticket: paid twice",
            "candidate answered": "billing",
            "wanted": "billing",
            "base answered": "[it was cut off]",
            "notes": "judge, about candidate: right",
            "id": "1",
            "classification.correct": 1.0,
            "base/classification.correct": 1.0,
            "evaluator": "classification",
            "category": "a",
        }
    ]
    assert list(rows[0])[:2] == ["asked", "candidate answered"]  # by which MLflow lays runs side by side


def test_without_texts_there_are_scores() -> None:
    rows = read(ScoreTable((scored("a", 1), scored("b", 1))))
    assert rows[0] == {
        "id": "0",
        "a.correct": 0.0,
        "b.correct": None,
        "base/a.correct": 0.0,
        "base/b.correct": None,
        "evaluator": "a",
    }


def test_what_was_not_measured_is_empty() -> None:
    table = EvaluatorScores("a", (ScoredExample("0", None, {}),), {"candidate": {"x": (Unmeasured("no answer"),)}})
    assert read(ScoreTable((table,)))[0]["a.x"] is None


def test_rows_are_shared_out() -> None:
    table = evaluation_table(ScoreTable((scored("few", 3), scored("many", 40), scored("more", 50))), NONE, most=23)
    assert table is not None
    evaluators = [row[-1] for row in json.loads(table.content)["data"]]
    assert [evaluators.count(title) for title in ("few", "many", "more")] == [3, 10, 10]
    assert (table.rows, table.of) == (23, 93)


def test_columns_and_texts_are_bounded_and_inert() -> None:
    components = [f"c{n}" for n in range(MOST_SCORES)]
    hostile = "\x1b[31m\u202e\ud800" + "x" * 3 * LONGEST_TEXT
    examples = ShownExamples({"a": (Shown("0", hostile, "", {"candidate": Said(hostile)}),)})
    (row,) = read(ScoreTable((scored("a", 1, components),)), examples)
    assert sum(name.startswith("a.") for name in row) == MOST_SCORES
    assert not any(name.startswith("base/") for name in row)
    assert row["asked"].startswith("\\x1b[31m\\u202e\\ud800xxx")
    assert len(row["asked"]) == len(row["candidate answered"]) == LONGEST_TEXT


def test_no_examples_no_table() -> None:
    assert evaluation_table(ScoreTable(()), NONE) is None
