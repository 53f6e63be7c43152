"""What a run found unfinished about the alias when it began, and files that were changed, are in every report."""

from __future__ import annotations

import re

import pytest
from sample_records import HOSTILE, record_of

from finetune_gate.gate.record import ActionRecord, DecisionRecord
from finetune_gate.gate.reports import render_html, render_markdown, render_terminal
from finetune_gate.gate.reports.review_request import approval_obstacle

COMPLETED = "an earlier run's move was completed: champion: version 1 -> version 2"
CHANGED = "the files of support-bot v7 are others: digest changed (found 0a1b2c3d4e5f, expected 5f4e3d2c1b0a)"


def record_with(*settled: str, action: ActionRecord | None = None) -> DecisionRecord:
    record = record_of("promote")
    return record.model_copy(update={"run": record.run.model_copy(update={"settled": settled, "action": action})})


def flat(text: str) -> str:
    return re.sub(r"[\s│]+", " ", text)


@pytest.mark.parametrize("width", [60, 120])
def test_a_completed_move_is_said(width: int) -> None:
    record = record_with(COMPLETED, "a move by hand was written down: champion -> nothing: removed")
    sentence = f"When this run began, {COMPLETED}; a move by hand was written down: champion -> nothing: removed."
    assert sentence in flat(render_terminal(record, width=width))
    assert sentence.replace(">", "&gt;") in render_markdown(record).replace("\\", "")
    page = render_html(record)
    assert "<dt>When it began</dt><dd>an earlier run&#39;s move was completed: champion: version 1 → version 2" in page
    assert record.digest() == record_of("promote").digest()


def test_nothing_is_said_where_nothing_was_done() -> None:
    record = record_with()
    for text in (render_terminal(record), render_markdown(record), render_html(record)):
        assert "When this run began" not in text
        assert "When it began" not in text


def test_changed_files_are_said() -> None:
    action = ActionRecord(outcome="digest_changed", alias="champion", before="6", after="6", detail=CHANGED)
    sentence = f"Hold: every blocking rule passed, but meanwhile {CHANGED}; see who writes there, and gate it again."
    record = record_with(action=action)
    held = record.model_copy(update={"decision": "hold", "sentence": sentence, "files_changed": CHANGED})
    assert CHANGED in flat(render_terminal(held, width=120))
    assert "digest changed (found 0a1b2c3d4e5f, expected 5f4e3d2c1b0a)" in render_markdown(held)
    assert f"<dt>What it did</dt><dd>{CHANGED}</dd>" in render_html(held)
    assert approval_obstacle(held) == "its files were changed after they were judged"
    assert held.digest() != record.digest()


def test_what_stands_there_cannot_act() -> None:
    record = record_with(HOSTILE)
    assert "\x1b" not in render_terminal(record)
    assert "<script" not in render_html(record)
    assert "<img" not in render_markdown(record)
