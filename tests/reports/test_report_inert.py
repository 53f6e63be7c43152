"""No character that a terminal, a browser or an eye obeys comes through."""

from __future__ import annotations

import sys
import unicodedata
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import pytest
import yaml

from finetune_gate.gate.reports.inert import inert_text, spelled_out

BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("support-bot v7", "support-bot v7"),
        ("größer, 日本語, עברית, ✓", "größer, 日本語, עברית, ✓"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("\x9b31m", "\\x9b31m"),
        ("a\u202eb", "a\\u202eb"),
        ("hid\u200bden", "hid\\u200bden"),
        ("tag\U000e0041", "tag\\U000e0041"),
        ("half \ud800", "half \\ud800"),
        ("two\r\nlines\tand\vmore", "two lines and more"),
        ("", ""),
    ],
)
def test_what_could_act_is_spelled_out(text: str, shown: str) -> None:
    assert inert_text(text) == shown


def test_no_control_or_bidi_character_of_unicode_remains() -> None:
    everything = "".join(map(chr, range(sys.maxunicode + 1)))
    left = set(inert_text(everything, limit=2 * len(everything) * 10))
    assert not {character for character in left if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")}
    assert not left & set(BIDI)
    assert {"\n", "\t"} <= set(spelled_out(everything))


@pytest.mark.parametrize("size", [10, 11, 39, 41, 100_000])
def test_long_texts_are_cut_and_say_so(size: int) -> None:
    shown = inert_text("x" * size, limit=10)
    assert shown == ("x" * 10 if size <= 10 else "x" * 9 + "…")


def test_a_text_stays_inert_when_made_inert_twice() -> None:
    once = inert_text("\x1b]0;title\x07 \u202e")
    assert inert_text(once) == once


def test_whatever_is_left_can_be_written_in_xml_and_in_yaml() -> None:
    everything = "".join(map(chr, range(sys.maxunicode + 1)))
    shown = inert_text(everything, limit=2 * len(everything) * 10)
    assert ElementTree.fromstring(f"<a>{escape(shown)}</a>").text == shown
    assert yaml.safe_load(f"'{shown.replace(chr(39), 2 * chr(39))}'") == shown
