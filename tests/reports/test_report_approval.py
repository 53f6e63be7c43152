"""A decision that waits for a person's approval, wherever a decision is shown."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from golden import assert_golden
from sample_records import HOSTILE, record_of

from finetune_gate.gate.approval import approve_command, open_until
from finetune_gate.gate.record import ActionRecord, DecisionRecord, ReviewRecord
from finetune_gate.gate.reports import render_html, render_markdown, render_terminal
from finetune_gate.gate.reports.review_request import render_review_request

RUN = "4f0c1d2e3b4a59687f8e9d0c1b2a3948"
SAID = f'Waits for approval until 7 March 2025, 09:15 UTC: finetune-gate approve {RUN} --reason "WHY"'


def awaiting(**run: Any) -> DecisionRecord:
    record = record_of("promote")
    update = {"run_id": RUN, "gate_file": "gate.yaml"} | run
    return record.model_copy(
        update={
            "decision": "hold",
            "sentence": record.sentence.replace("Promote", "Hold")[:-1] + "; promotion waits for a person's approval.",
            "awaits_approval": True,
            "approval_required": True,
            "run": record.run.model_copy(update=update),
        }
    )


def in_terminal(record: DecisionRecord, width: int = 120) -> str:
    return " ".join(render_terminal(record, width=width).replace("│", " ").split())


def test_every_report_says_so_beside_hold_and_with_which_command() -> None:
    record = awaiting()
    assert "‖ HOLD, waits for approval support-bot" in in_terminal(record)
    assert SAID in in_terminal(record)
    page = render_html(record)
    assert '<h1><span aria-hidden="true">‖</span> Hold, waits for approval</h1>' in page
    assert SAID.replace('"', "&#34;") in page
    shown = render_markdown(record)
    assert shown.startswith("## ‖ Hold, waits for approval: `support-bot v7`\n")
    assert f"**{SAID}**" in shown


@pytest.mark.parametrize("name", ["promote", "hold", "block"])
def test_what_waits_for_nobody_says_nothing_of_it(name: str) -> None:
    record = record_of(name)
    for text in (in_terminal(record), render_html(record), render_markdown(record)):
        assert "approv" not in text
    assert approve_command(record) is None


def test_a_dry_run_names_no_command() -> None:
    record = awaiting(dry_run=True)
    assert approve_command(record) is None
    assert "It would wait for a person's approval; a dry run cannot be approved." in in_terminal(record)


def test_who_approved_is_shown() -> None:
    review = ReviewRecord(verdict="approve", reviewer="Ana", reason="read the report")
    record = record_of("promote").model_copy(update={"review": review, "approval_required": True})
    for text in (in_terminal(record), render_html(record), render_markdown(record)):
        assert "Approved in review by Ana: read the report" in text


def test_the_command_names_what_the_run_was_given() -> None:
    record = awaiting(gate_file="gates/support bot.yaml")
    base = record.models[1].model_copy(update={"origin": "command line"})
    record = record.model_copy(update={"models": (record.models[0], base, *record.models[2:])})
    given = "--gate-file 'gates/support bot.yaml' --base models:/ticket-base/1"
    assert approve_command(record) == f'finetune-gate approve {RUN} {given} --reason "WHY"'
    assert approve_command(awaiting(run_id=None)) == 'finetune-gate approve decision-record.json --reason "WHY"'


def test_a_hostile_path_is_inert_in_the_command() -> None:
    record = awaiting(gate_file=HOSTILE)
    for text in (in_terminal(record), render_html(record), render_markdown(record)):
        assert "\x1b" not in text
    for text in (render_html(record), render_markdown(record)):
        assert "<script>" not in text


@pytest.mark.parametrize(
    ("started_at", "settings", "until"),
    [
        ("2025-03-04T09:15:30+00:00", {}, datetime(2025, 3, 7, 9, 15, 30, tzinfo=UTC)),
        ("2025-03-04T09:15:30", {"review": {"hours": 1.5}}, datetime(2025, 3, 4, 10, 45, 30, tzinfo=UTC)),
        ("2025-03-04T09:15:30+02:00", {"review": {"hours": 1.0}}, datetime(2025, 3, 4, 8, 15, 30, tzinfo=UTC)),
        ("yesterday", {}, None),
        ("", {}, None),
        ("9999-12-31T23:59:59+00:00", {"review": {"hours": 700.0}}, None),
        ("2025-03-04T09:15:30+00:00", {"review": {"hours": 1e9}}, None),
        ("2025-03-04T09:15:30+00:00", {"review": "soon"}, None),
    ],
)
def test_it_is_open_for_the_hours_of_the_gate_file_or_not_at_all(
    started_at: str, settings: Mapping[str, object], until: datetime | None
) -> None:
    record = awaiting(started_at=started_at)
    gate_file = record.gate_file.model_copy(update={"settings": settings})
    record = record.model_copy(update={"gate_file": gate_file})
    assert open_until(record) == until
    assert (" until " in in_terminal(record).partition("Waits for approval")[2][:20]) == (until is not None)


def asked(record: DecisionRecord) -> str:
    return render_review_request(
        record,
        gate_file="gate.yaml",
        report="https://mlflow.example/#/runs/7",
        until=datetime(2025, 3, 7, 9, 30, tzinfo=UTC),
        flow_run="0d5e6f70-1111-4222-8333-944455556666",
    )


def test_golden() -> None:
    assert_golden("review-approval.md", asked(awaiting()))


@pytest.mark.parametrize(
    ("before", "said"),
    [
        ("6", "in place of version 6"),
        (None, "as the first version that serves"),
        ("7", "once more: it serves already"),
    ],
)
def test_the_form_says_what_would_be_replaced(before: str | None, said: str) -> None:
    action = ActionRecord(outcome="none", alias="champion", before=before, after=before, detail="")
    assert f"**approve** promotes `support-bot v7` {said}. It counts for what is shown here" in asked(
        awaiting(action=action)
    )


def test_records_of_before_keep_their_digests() -> None:
    record = record_of("promote")
    plain = record.model_dump(mode="json")
    for name in ("awaits_approval", "approval_required"):
        del plain[name]
    assert DecisionRecord.model_validate(plain).digest() == record.digest()
    digests = {
        record.model_copy(update={"awaits_approval": a, "approval_required": b}).digest()
        for a in (False, True)
        for b in (False, True)
    }
    assert len(digests) == 4
