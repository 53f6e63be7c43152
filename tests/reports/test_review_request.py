"""What a reviewer reads, in Prefect's form. ``golden.py`` says how golden texts are made anew."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from golden import assert_golden
from markdown_it import MarkdownIt
from markdown_it.token import Token
from sample_records import HOSTILE, hostile_record, record_of

from finetune_gate.gate.record import DecisionRecord, EvaluatorRecord, ReviewRecord
from finetune_gate.gate.reports import render_html, render_markdown, render_terminal
from finetune_gate.gate.reports.review_request import render_review_request

UNTIL = datetime(2025, 3, 7, 9, 30, tzinfo=UTC)


def asked(record: DecisionRecord, gate_file: str = "gates/support bot.yaml", remarks: tuple[str, ...] = ()) -> str:
    return render_review_request(
        record, gate_file=gate_file, report="https://mlflow.example/#/runs/7", until=UNTIL, remarks=remarks
    )


def waits_for_people() -> DecisionRecord:
    """Like "unmeasured", with the toxicity judged by people who have not."""
    record = record_of("unmeasured")
    people = EvaluatorRecord(title="toxicity", kind="human", version=1, settings={})
    return record.model_copy(update={"evaluators": (*record.evaluators, people)})


@pytest.mark.parametrize(
    ("name", "record"), [("hold", record_of("hold")), ("people", waits_for_people())], ids=["hold", "people"]
)
def test_golden(name: str, record: DecisionRecord) -> None:
    assert_golden(f"review-{name}.md", asked(record, remarks=("Ana approved what was seen then.",)))


def test_people_are_told_the_command_as_a_shell_reads_it() -> None:
    version = record_of("unmeasured").role("candidate")
    assert version is not None
    command = f"\nfinetune-gate rate 'gates/support bot.yaml' --version {version.version} --rater NAME\n"
    assert command in asked(waits_for_people())
    assert "finetune-gate rate" not in asked(record_of("unmeasured"))


def tokens(text: str) -> list[Token]:
    parsed = MarkdownIt("commonmark").enable("table").parse(text)
    return [token for block in parsed for token in (block, *(block.children or ()))]


def test_foreign_text_does_nothing_here_either() -> None:
    text = asked(hostile_record(), gate_file=f"{HOSTILE}.yaml", remarks=(HOSTILE,))
    found = tokens(text)
    assert not [token for token in found if token.type in ("html_inline", "html_block", "image", "blockquote_open")]
    assert [token.attrGet("href") for token in found if token.type == "link_open"] == [
        "https://mlflow.example/#/runs/7"
    ]
    assert sum(token.type == "heading_open" for token in found) == 1


@pytest.mark.parametrize(
    ("name", "change", "obstacle"),
    [
        ("hold", {}, None),
        ("hold", {"identical": ("base",)}, "its files are identical to the base's"),
        ("hold", {"champion_moved": "alias champion points to version 9"}, "it was judged against another champion"),
        ("unmeasured", {}, "no blocking rule has passed"),
        ("block", {}, "a blocking rule failed"),
    ],
)
def test_it_says_whether_an_approval_would_promote(
    name: str, change: Mapping[str, object], obstacle: str | None
) -> None:
    record = record_of(name).model_copy(update=change)
    if obstacle is None:
        assert "**approve** promotes `support-bot v7`" in asked(record)
    else:
        assert f"**approve** is not enough to promote `support-bot v7`: {obstacle}" in asked(record)


@pytest.mark.parametrize(
    ("review", "said"),
    [
        (
            ReviewRecord(verdict="approve", reviewer="Ana", reason="a formality"),
            "Approved in review by Ana: a formality",
        ),
        (ReviewRecord(verdict="block", reviewer="Ana", reason="too rude"), "Blocked in review by Ana: too rude"),
    ],
)
def test_every_report_shows_a_review_beside_the_decision(review: ReviewRecord, said: str) -> None:
    record = record_of("promote").model_copy(update={"review": review})
    assert said in " ".join(render_terminal(record, width=120).replace("│", " ").split())
    assert f"**{said}**" in render_markdown(record)
    assert said in render_html(record)
