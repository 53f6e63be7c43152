"""Sheets to test with."""

from __future__ import annotations

from pathlib import Path

from finetune_gate.evaluators.people.sheet import Pair, Sheet, make_sheet
from finetune_gate.gate.rating import Desk, RatingsFile

CRITERIA = ("accuracy", "plain_words")
HOSTILE = (
    "</script><script>window.woken = 1</script><img src=x onerror='window.woken = 1'>"
    "<a href='javascript:window.woken = 1'>go</a> \u202egpj.exe <!-- <script> {{ 7 * 7 }}"
)
BETRAYING = ("candidate", "baseline", "champion", "first", "second", "support-bot", "models:/")
"""What a rater must not find anywhere."""


def pairs(count: int = 4) -> list[Pair]:
    made = [
        Pair(f"row-{i}", f"Question {i}?", f"Answer {i}, at length.", f"Reply {i}.", f"Fact {i}." if i % 2 else None)
        for i in range(1, count)
    ]
    return [*made, Pair("row-hostile", "<b>Bold?</b>", HOSTILE, "=1+1")]


def sheet_of(count: int = 4, rater: str = "ana", criteria: tuple[str, ...] = CRITERIA) -> Sheet:
    return make_sheet("Which answer is better?", pairs(count), rater, criteria, "Read <i>both</i>.")


def desk_in(folder: Path, sheet: Sheet | None = None) -> Desk:
    return Desk(sheet or sheet_of(), RatingsFile(folder / "ratings.jsonl"))
