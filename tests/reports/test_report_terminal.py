"""What a person sees in a terminal. Golden texts; ``golden.py`` says how they are made anew."""

from __future__ import annotations

import io
import re

import pytest
from golden import assert_golden
from rich.console import Console
from sample_records import HOSTILE, STORIES, hostile_record, record_of

from finetune_gate.gate.reports import print_record, render_terminal, verdict
from finetune_gate.gate.reports.inert import inert_text
from finetune_gate.gate.reports.rows import rows_of_measurements, rows_of_rules

ANSI = re.compile("\x1b\\[[0-9;]*m")


def flat(text: str) -> str:
    """Without line breaks, frames and indentation: wrapped sentences are found as they were."""
    return re.sub(r"[\s│]+", " ", text)


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("name", STORIES)
def test_golden(name: str, width: int) -> None:
    text = render_terminal(record_of(name), width=width, verbose=name in ("promote", "unmeasured"))
    assert max(map(len, text.split("\n"))) <= width
    assert_golden(f"{name}.{width}.txt", text + "\n")


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 140])
@pytest.mark.parametrize("name", STORIES)
def test_nothing_decisive_is_cut_at_any_width(name: str, width: int) -> None:
    record = record_of(name)
    text = flat(render_terminal(record, width=width))
    solid = text.replace(" ", "")
    assert record.decision.upper() in text
    for model in record.models:
        assert model.label.replace(" ", "") in solid
    for rule in record.rules:
        assert rule.outcome in text
        for check in rule.checks:
            if check.needed is not None:
                assert f"{check.needed:,}" in solid
    assert "…" not in text
    for row in rows_of_rules(record):
        for figure in (row.candidate if row.check else None, *(change.figure for change in row.changes)):
            assert figure is None or figure.value.replace(" ", "") in solid
            assert figure is None or figure.interval.replace(" ", "") in solid


@pytest.mark.parametrize("width", [40, 60, 80, 140])
@pytest.mark.parametrize("name", STORIES)
def test_no_number_of_a_measurement_is_cut_at_any_width(name: str, width: int) -> None:
    record = record_of(name)
    text = render_terminal(record, width=width, verbose=True)
    assert max(map(len, text.split("\n"))) <= width
    words = set(flat(text.split("Measurements")[1]).replace(",", "").replace("]", "").split())
    for row in rows_of_measurements(record):
        for change in row.changes:
            assert set(re.findall(r"[-+][\d.]+", f"{change.figure.value} {change.figure.interval}")) <= {
                word.lstrip("[") for word in words
            }


@pytest.mark.parametrize("width", [80, 120])
def test_colour_adds_nothing_but_colour(width: int) -> None:
    record = record_of("hold")
    coloured = render_terminal(record, width=width, color=True)
    assert "\x1b[" in coloured
    stripped = "\n".join(line.rstrip() for line in ANSI.sub("", coloured).split("\n"))
    assert stripped == render_terminal(record, width=width)


@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize("width", [80, 120])
def test_hostile_text_is_seen_and_does_nothing(width: int, color: bool) -> None:
    text = ANSI.sub("", render_terminal(hostile_record(), width=width, color=color, verbose=True))
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e]", text)
    for part in ("\\x1b[31mred", "\\u202eetirw", "[red]x[/red]", "<script>alert(1)</script>"):
        assert part in text
    assert inert_text(HOSTILE, limit=1000).replace(" ", "") in flat(text).replace(" ", "")


def test_the_verdict_is_a_part_of_any_rich_display() -> None:
    screen = Console(file=io.StringIO(), width=100, _environ={})
    with screen.capture() as captured:
        screen.print(verdict(record_of("block")))
    assert "BLOCK" in captured.get()


def test_a_terminal_without_unicode_gets_plain_signs() -> None:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="ascii", newline="")
    print_record(record_of("hold"), verbose=True, console=Console(file=file, width=80, _environ={}))
    file.flush()
    text = raw.getvalue().decode("ascii")
    assert "= HOLD" in text
    assert "+ passed" in text
    assert "? inconclusive" in text


def test_print_record_leaves_the_console_as_it_was() -> None:
    screen = Console(file=io.StringIO(), width=300, _environ={})
    print_record(record_of("first"), console=screen)
    assert screen.width == 300
