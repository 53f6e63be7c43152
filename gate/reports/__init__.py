"""Reports: a decision record, rendered for everyone who reads it. Pure: no files, no clock, no network.

print_record(record)                    # the terminal, as wide as it is
render_markdown(record)                 # Prefect artifacts, summaries, comments
render_html(record, scores, findings)   # one self-contained page
render_history(model, decisions)        # another, about all gates of a model
"""

from __future__ import annotations

from .history import render_history
from .html import render_html
from .markdown import render_markdown, rule_rows
from .terminal import print_record, render_terminal, verdict

__all__ = [
    "print_record",
    "render_history",
    "render_html",
    "render_markdown",
    "render_terminal",
    "rule_rows",
    "verdict",
]
