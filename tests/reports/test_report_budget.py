"""What a report says of a budget: what was spent of it, and what was left unasked."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest
from sample_records import record_of

from finetune_gate.gate.record import BudgetRecord, DecisionRecord, UsageRecord, read_record, write_record
from finetune_gate.gate.reports import render_html, render_markdown, render_terminal

SPENT = "Judges and APIs: 1,204 of 2,000 calls, 812,001 tokens, 1.23 of 5.00 USD."
REMARK = "The budget of 2,000 calls is spent: 796 answers are missing. What was answered is kept; another run"


def budgeted(**changed: object) -> DecisionRecord:
    settings: dict[str, object] = {
        "limits": {"calls": 2000, "money": 5.0},
        "spent": {"calls": 1204, "tokens": 812_001, "money": 1.234, "seconds": 17.0},
        "currency": "USD",
        "unasked": {"the budget of 2,000 calls is spent": 796},
    }
    record = record_of("unmeasured")
    usage = {"candidate": UsageRecord(calls=1204, cost=1.234), "base": UsageRecord()}
    budget = BudgetRecord.model_validate(settings | changed)
    return record.model_copy(update={"run": record.run.model_copy(update={"budget": budget, "usage": usage})})


def flat(text: str) -> str:
    return re.sub(r"[\s│]+", " ", text)


@pytest.mark.parametrize("width", [40, 80, 120])
def test_a_terminal(width: int) -> None:
    text = flat(render_terminal(budgeted(), width=width))
    assert SPENT in text
    assert REMARK in text


def test_markdown_and_page() -> None:
    markdown = render_markdown(budgeted())
    assert SPENT in markdown
    assert REMARK in markdown
    page = html.unescape(render_html(budgeted()))
    assert SPENT in page
    assert REMARK in page
    assert "Cost, USD</th>" in page
    assert '<td class="number">1.23</td>' in page


def test_a_budget_that_was_kept_to_is_no_remark() -> None:
    text = flat(render_terminal(budgeted(unasked={})))
    assert SPENT in text
    assert "missing" not in text.replace("not measured", "")


def test_without_prices_or_limits_nothing_is_made_up() -> None:
    record = budgeted(limits={"seconds": 3600}, spent={"calls": 4, "tokens": 90, "seconds": 41.2}, unasked={})
    assert "Judges and APIs: 4 calls, 90 tokens, 41 of 3,600 seconds of asking judges." in flat(render_terminal(record))


def test_without_a_budget_nothing_is_said() -> None:
    assert "Judges and APIs" not in render_html(record_of("promote")) + render_markdown(record_of("promote"))


def test_a_budget_is_no_evidence_and_is_kept_in_the_record(tmp_path: Path) -> None:
    record = budgeted()
    assert record.digest() == record_of("unmeasured").digest()
    write_record(record, tmp_path / "record.json")
    assert read_record(tmp_path / "record.json") == record
