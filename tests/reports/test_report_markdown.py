"""Markdown for Prefect and GitHub, read by a real parser. ``golden.py`` says how golden texts are made anew."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from golden import assert_golden
from markdown_it import MarkdownIt
from markdown_it.token import Token
from sample_records import HOSTILE, STORIES, hostile_record, record_of

from finetune_gate.gate.record import DecisionRecord
from finetune_gate.gate.reports import comment_marker, render_markdown, rule_rows
from finetune_gate.gate.reports.markdown import code, fenced, prose

OURS = {"<br>", "<sub>", "</sub>"}


def tokens(text: str) -> list[Token]:
    parsed = MarkdownIt("commonmark").enable("table").parse(text)
    return [token for block in parsed for token in (block, *(block.children or ()))]


@pytest.mark.parametrize("name", STORIES)
def test_golden(name: str) -> None:
    assert_golden(f"{name}.md", render_markdown(record_of(name), report_address="https://ci.example/7/report.html"))


@pytest.mark.parametrize("record", [record_of("hold"), hostile_record()], ids=["hold", "hostile"])
def test_only_our_own_structure_is_parsed(record: DecisionRecord) -> None:
    found = tokens(render_markdown(record))
    html = {token.content for token in found if token.type in ("html_inline", "html_block")}
    assert html <= {*OURS, f"{comment_marker(record.model)}\n"}
    assert not [
        token.type for token in found if token.type in ("link_open", "image", "list_item_open", "blockquote_open")
    ]
    assert sum(token.type == "table_open" for token in found) == 2
    assert sum(token.type == "heading_open" for token in found) == 3
    rows, cells = (sum(token.type == kind for token in found) for kind in ("tr_open", "td_open"))
    heads = sum(token.type == "th_open" for token in found)
    assert (rows, cells, heads) == (1 + len(record.rules) + 1 + 3, 6 * len(record.rules) + 4 * 3, 6 + 4)


def test_nothing_hostile_is_recognised_in_the_finished_text() -> None:
    """Mentions, references and bare addresses are looked for in text, outside of code."""
    text = "\n".join(token.content for token in tokens(render_markdown(hostile_record())) if token.type == "text")
    assert "maintainer" in text
    assert not re.search(r"@\w|#\d|\w://\w|www\.\w", text)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text)


@pytest.mark.parametrize(
    "text",
    ["- a list", "1. a list", "+ a list", "# a heading", "> a quote", "===", "a\n\n# b", "*a* _b_ ~~c~~", HOSTILE],
)
def test_a_sentence_stays_a_paragraph(text: str) -> None:
    record = record_of("hold").model_copy(update={"sentence": text})
    found = tokens(render_markdown(record))
    assert sum(token.type == "heading_open" for token in found) == 3
    assert not [token.type for token in found if re.match("bullet_list|ordered_list|blockquote|em_|s_open", token.type)]


@pytest.mark.parametrize("text", ["a | b", "a \\| b", "`a`", "``a", "a`", "a\\", "@someone", "![i](http://x.example)"])
def test_a_cell_stays_a_cell(text: str) -> None:
    for written in (prose(text), code(text)):
        found = tokens(f"| a | b |\n| --- | --- |\n| {written} | end |\n")
        cells = [block.content for before, block in pairwise(found) if before.type == "td_open"]
        assert len(cells) == 2
        shown = "".join(t.content for t in tokens(written) if t.type in ("text", "code_inline", "text_special"))
        assert shown.replace("\u200b", "") == text
        assert not [t for t in found if t.type in ("link_open", "image")]


@pytest.mark.parametrize("text", ["plain", "```\nout\n```", "````` five", "a\x1b[0m"])
def test_a_fence_is_longer_than_any_in_it(text: str) -> None:
    found = tokens(fenced(text, "sh"))
    assert [token.type for token in found] == ["fence"]
    assert found[0].content.rstrip("\n") == text.replace("\x1b", "\\x1b")


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://ci.example/7/report.html", "[report](<https://ci.example/7/report.html>)"),
        ("javascript:alert(1)", "`javascript:alert(1)`"),
        ("/runs/7/report.html", "`/runs/7/report.html`"),
        ("https://x.example/> <img src=y>", "`https://x.example/> <img src=y>`"),
    ],
)
def test_only_web_addresses_become_links(address: str, shown: str) -> None:
    assert f"Full report: {shown}\n" in render_markdown(record_of("first"), report_address=address)


@pytest.mark.parametrize("name", STORIES)
def test_table_rows_are_flat_and_alike(name: str) -> None:
    rows = rule_rows(record_of(name))
    assert len({tuple(row) for row in rows}) == 1
    assert all(isinstance(value, str) for row in rows for value in row.values())
    assert [row["outcome"].split()[1] for row in rows] == [rule.outcome for rule in record_of(name).rules]


def test_table_rows_hold_no_control_character() -> None:
    assert all(value.isprintable() for row in rule_rows(hostile_record()) for value in row.values())


def many(count: int, *, passed: int = 0) -> DecisionRecord:
    """``count`` rules that read each differently, of which the first ``passed`` passed."""
    record = record_of("hold")
    rules = tuple(
        record.rules[2 if i < passed else 1].model_copy(
            update={"index": i, "text": f"classification.accuracy rule {i}"}
        )
        for i in range(count)
    )
    return record.model_copy(update={"rules": rules})


def size(text: str) -> int:
    return len(text.encode())


@pytest.mark.parametrize("record", [many(2000, passed=1000), many(800, passed=780)], ids=["most failed", "few failed"])
def test_too_many_rules_are_cut_to_the_length_of_a_comment_and_that_is_said(record: DecisionRecord) -> None:
    text = render_markdown(record)
    assert size(text) <= 65_000
    shown = text.count("classification.accuracy rule ")
    said = re.search(r"\*\*(\d+) of (\d+) rules are not shown", text)
    assert said is not None
    assert (int(said[1]), int(said[2])) == (len(record.rules) - shown, len(record.rules))
    assert size(text) > 64_000
    assert text.endswith(f"{comment_marker('support-bot')}\n")
    assert sum(token.type == "table_open" for token in tokens(text)) == 2


def test_rules_that_did_not_pass_are_the_last_to_go_and_the_order_stays() -> None:
    text = render_markdown(many(800, passed=780))
    numbers = [int(number) for number in re.findall(r"accuracy rule (\d+)", text)]
    assert numbers == sorted(numbers)
    assert set(range(780, 800)) <= set(numbers)


@pytest.mark.parametrize("longest", [65_000, 20_000, 6_000, 4_000])
@pytest.mark.parametrize("record", [many(300), hostile_record()], ids=["many", "hostile"])
def test_the_length_is_kept_as_long_as_the_headline_fits(record: DecisionRecord, longest: int) -> None:
    text = render_markdown(record, longest=longest)
    if record.model == "support-bot" or longest >= 20_000:
        assert size(text) <= longest
    assert text.startswith("## ")
    assert text.endswith(f"{comment_marker(record.model)}\n")


def test_what_fits_is_not_cut() -> None:
    record = record_of("block")
    whole = render_markdown(record, longest=10**9)
    assert whole == render_markdown(record)
    assert whole == render_markdown(record, longest=size(whole))
    assert "not shown" in render_markdown(record, longest=size(whole) - 1)


@pytest.mark.parametrize(
    "model", ["support-bot", "a -->", "--><script>", "-", "->", "ö \u202e", "half \ud800", HOSTILE]
)
def test_the_marker_is_a_comment_that_nobody_sees(model: str) -> None:
    found = tokens(f"before\n\n{comment_marker(model)}\n\nafter\n")
    assert [token.type for token in found if token.type != "inline"] == [
        *("paragraph_open", "text", "paragraph_close", "html_block", "paragraph_open", "text", "paragraph_close")
    ]
    assert re.fullmatch(r"<!-- finetune-gate: [\w.~%-]+ -->", comment_marker(model))


def test_models_have_markers_of_their_own() -> None:
    names = ["bot", "bot-2", "bot 2", "Bot", "bot%202"]
    assert len({comment_marker(name) for name in names}) == len(names)
    assert not [1 for one in names for other in names if one != other and comment_marker(one) in comment_marker(other)]
