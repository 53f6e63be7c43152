"""Rules on every value of a column, and on relative changes, in every report."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, cast

import pytest
from sample_records import CLASSIFICATION, HOSTILE, PERPLEXITY, TODAY, sample

from finetune_gate.evaluators.evaluator import Evaluator
from finetune_gate.evaluators.scores import ScoreTable
from finetune_gate.gate.deciding import Circumstances, decide
from finetune_gate.gate.gate_file import Gate, Rule
from finetune_gate.gate.gate_file.settings import GateFile
from finetune_gate.gate.record import CheckRecord, DecisionRecord
from finetune_gate.gate.reports import render_html, render_markdown, render_terminal
from finetune_gate.gate.reports.plots import plots_of
from finetune_gate.gate.reports.rows import rows_of_rules
from finetune_gate.gate.run.measuring import measure_gate
from finetune_gate.gate.run.record_parts import measurement_record, rule_record

EACH: dict[str, Any] = {"metric": "classification.accuracy", "slices": "category", "min": 0.86}
EACH_CHANGE: dict[str, Any] = {"metric": "classification.accuracy", "slices": "category", "min_change": 0.0}
RELATIVE: dict[str, Any] = {"metric": "perplexity.bits_per_byte", "min_relative_change": 0.3}


@cache
def judged() -> tuple[DecisionRecord, ScoreTable]:
    record, table = sample("promote")
    rules = tuple(Rule.model_validate(settings) for settings in (EACH, EACH_CHANGE, RELATIVE))
    file = GateFile.model_validate(
        {"model": "m", "data": {"h": {"path": "h.jsonl"}}, "evaluators": [{"c": {}}], "rules": list(rules)}
    )
    evaluators = {one.title: cast("Evaluator", one) for one in (CLASSIFICATION, PERPLEXITY)}
    gate = Gate(Path("gate.yaml"), "", file, evaluators, rules)
    measured = measure_gate(gate, table)
    found = {index: measured.measurements[at] for index, at in enumerate(measured.rests_on)}
    decision = decide(rules, found, Circumstances(has_champion=True, identical=(), today=TODAY))
    made = record.model_copy(
        update={
            "decision": decision.verdict,
            "sentence": decision.sentence,
            "rules": tuple(rule_record(one, measured.rests_on[one.index]) for one in decision.results),
            "measurements": tuple(map(measurement_record, measured.measurements)),
        }
    )
    return made, table


def rendered(record: DecisionRecord, table: ScoreTable) -> dict[str, str]:
    return {
        "terminal": " ".join(render_terminal(record, width=140).split()),
        "markdown": render_markdown(record).replace("\\", ""),
        "html": render_html(record, table),
    }


@pytest.mark.parametrize("form", ["terminal", "markdown", "html"])
def test_every_value_is_shown(form: str) -> None:
    text = rendered(*judged())[form]
    for check in judged()[0].rules[0].checks:
        assert f"category={check.slice['category']}: 0." in text
    assert "category=billing against base: +0." in text
    assert "category=billing against champion: +0." in text
    assert "[each category]" in text


@pytest.mark.parametrize("form", ["terminal", "markdown", "html"])
def test_a_relative_change_is_shown_in_per_cent(form: str) -> None:
    text = rendered(*judged())[form].replace("\N{MINUS SIGN}", "-")
    row = rows_of_rules(judged()[0])[2]
    change = next(change for change in row.changes if change.against == "base")
    assert change.figure.value.startswith("-5")
    assert change.figure.value.endswith(" %")
    assert change.figure.value in text


def test_the_values_of_all_examples_are_beside_the_slices_for_reading() -> None:
    each, change, relative = rows_of_rules(judged()[0])
    for row in (each, change):
        assert row.check is None
        assert row.candidate.interval
        assert [one.check for one in row.changes] == [None, None]
    assert relative.candidate.value.startswith("0.")
    assert all(one.check is not None for one in relative.changes)


def test_pictures_name_their_slice_and_are_few() -> None:
    record, _ = judged()
    each, change, relative = rows_of_rules(record)
    assert {plot.title for plot in plots_of(each)} == {
        f"category={name}: candidate" for name in ("billing", "bug", "praise")
    }
    assert "category=bug: candidate minus base" in {plot.title for plot in plots_of(change)}
    assert any(
        "at most -30 % " in plot.bound_label.text.replace("\N{MINUS SIGN}", "-") + " " for plot in plots_of(relative)
    )
    checks = record.rules[0].checks * 20
    many = record.model_copy(update={"rules": (record.rules[0].model_copy(update={"checks": checks}),)})
    (row,) = rows_of_rules(many)
    assert len(plots_of(row)) == 12
    assert row.notes[-1].startswith("and 48 more: ")


@pytest.mark.parametrize("form", ["terminal", "markdown", "html"])
def test_values_of_a_column_do_nothing(form: str) -> None:
    record, table = judged()
    first = record.rules[0]
    checks = tuple(check.model_copy(update={"slice": {HOSTILE: HOSTILE}}) for check in first.checks)
    hostile = record.model_copy(update={"rules": (first.model_copy(update={"checks": checks, "sentence": HOSTILE}),)})
    text = {
        "terminal": render_terminal(hostile, width=140),
        "markdown": render_markdown(hostile),
        "html": render_html(hostile, table),
    }[form]
    for acts in ("\x1b", "\u202e", "\x07", *(() if form == "terminal" else ("<script", "<img"))):
        assert acts not in text


def test_records_without_slices_keep_their_digest() -> None:
    record, _ = sample("promote")
    before = record.digest()
    rules = tuple(
        rule.model_copy(update={"checks": tuple(CheckRecord(**_older(check)) for check in rule.checks)})
        for rule in record.rules
    )
    assert all("slices" not in rule.settings and "max_change" not in rule.settings for rule in record.rules)
    assert record.model_copy(update={"rules": rules}).digest() == before
    (changed, *_) = record.rules
    check = changed.checks[0].model_copy(update={"slice": {"a": "b"}})
    other = changed.model_copy(update={"checks": (check,)})
    assert record.model_copy(update={"rules": (other, *record.rules[1:])}).digest() != before
    judged_record, _ = judged()
    again = DecisionRecord.model_validate_json(judged_record.canonical())
    assert again.digest() == judged_record.digest()


def _older(check: CheckRecord) -> dict[str, Any]:
    """As it was written before there were slices."""
    return {name: value for name, value in check.model_dump().items() if name not in ("slice", "confidence")}
