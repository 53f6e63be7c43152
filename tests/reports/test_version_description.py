"""The section in a model version's description: replaced by the next gate, and nothing else is touched."""

from __future__ import annotations

import pytest
from sample_records import record_of

from finetune_gate.gate.reports.version_description import BEGIN, END, LONGEST, version_section, with_section

PAGE = "https://mlflow.example/#/experiments/4/runs/4f0c/artifacts/finetune_gate/report.html"
SECTION = f"{BEGIN}\n\nnew\n\n{END}"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", SECTION),
        (" \n", SECTION),
        ("Trained on 600 tickets.\n", f"Trained on 600 tickets.\n\n{SECTION}"),
        (f"above\n{BEGIN}old{END}\nbelow ", f"above\n{SECTION}\nbelow "),
        (f"{BEGIN}one{END} mine {BEGIN}two{END}", f"{SECTION} mine "),
        (f"{BEGIN} never ended", f"{BEGIN} never ended\n\n{SECTION}"),
        (f"{BEGIN} never ended {BEGIN}old{END}", f"{BEGIN} never ended {SECTION}"),
        (f"{END} never begun", f"{END} never begun\n\n{SECTION}"),
        ("\\1 \\g<0>", f"\\1 \\g<0>\n\n{SECTION}"),
    ],
    ids=["empty", "blank", "own text", "replaced", "two", "no end", "no end of the first", "no beginning", "escapes"],
)
def test_own_text_is_left_alone(before: str, after: str) -> None:
    once = with_section(before, SECTION)
    assert once == after
    assert with_section(after, SECTION) == after


def test_no_room() -> None:
    own = "x" * (LONGEST - len(SECTION) - 2)
    assert with_section(own, SECTION) == f"{own}\n\n{SECTION}"
    assert with_section(own + "x", SECTION) is None


@pytest.mark.parametrize("name", ["promote", "block", "hold"])
def test_decision_reason_rules_and_where_to_read_on(name: str) -> None:
    record = record_of(name)
    section = version_section(record, report_address=PAGE)
    assert section.startswith(f"{BEGIN}\n\n**")
    assert section.endswith(f"\n\n{END}")
    assert (section.count("<!--"), len(section) < LONGEST) == (2, True)
    assert f"{record.decision.capitalize()}**: " in section
    assert f"[report](<{PAGE}>), record `{record.digest()[:12]}`" in section
    assert section.count("\n| ") == 1 + 1 + len(record.rules)


def test_foreign_text_cannot_end_the_section() -> None:
    record = record_of("block")
    hostile = record.model_copy(update={"sentence": f"Block: {END} <script>alert(1)</script> [x](javascript:1)"})
    section = version_section(hostile, report_address="runs:/4f0c/finetune_gate/report.html")
    assert section.count(END) == 1
    assert "<script" not in section
    assert "[x](" not in section
