"""The table: one line per row, as markdown, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .measuring import Row

BEGIN, END = "<!-- table: written by python -m benchmarks --update-readme -->", "<!-- end of table -->"


def render(rows: Sequence[Row]) -> str:
    lines = ["| target | measured | ratio (least to most) | wanted | |", "|---|---|---|---|---|"]
    for row in rows:
        note = f" {row.note}" if row.note else ""
        lines.append(f"| {row.target} | {row.what} | {_ratio(row)} | {_limit(row)} | {_verdict(row)}{note} |")
    return "\n".join(lines)


def as_json(rows: Sequence[Row]) -> list[dict[str, object]]:
    return [
        {
            "group": row.group,
            "target": row.target,
            "what": row.what,
            "ratio": None if row.ratio is None else [row.ratio.median, row.ratio.low, row.ratio.high],
            "limit": row.limit,
            "at_least": row.at_least,
            "reached": row.reached,
            "note": row.note,
        }
        for row in rows
    ]


def update(document: Path, table: str, begin: str = BEGIN, end: str = END) -> None:
    """Put ``table`` between two markers of ``document``. Raises ValueError where they are not there."""
    text = document.read_text("utf-8")
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{document} has no {begin!r} followed by {end!r}")
    document.write_text(f"{before}{begin}\n\n{table}\n\n{end}{after}", "utf-8")


def _ratio(row: Row) -> str:
    if row.ratio is None:
        return "not measured"
    ratio = row.ratio
    return f"{_number(ratio.median)} ({_number(ratio.low)} to {_number(ratio.high)})"


def _number(value: float) -> str:
    return f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


def _limit(row: Row) -> str:
    if row.limit is None:
        return ""
    return f"{'at least' if row.at_least else 'at most'} {row.limit:g}"


def _verdict(row: Row) -> str:
    if row.reached is None:
        return ""
    return "reached" if row.reached else "**missed**"
