"""What the store says while it works, one line at a time: to whoever watches the run."""

from __future__ import annotations

from collections.abc import Callable

Say = Callable[[str], None]


def inert(text: str) -> str:
    """Foreign text for such a line: labels, addresses, what SQLite quotes from a damaged file."""
    from ..reports.inert import inert_text

    return inert_text(text, limit=200)
