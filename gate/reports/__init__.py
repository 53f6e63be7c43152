"""Reports: a decision record, rendered for everyone who reads it. Pure: no files, no clock, no network.

print_record(record)                    # the terminal, as wide as it is
render_markdown(record)                 # Prefect artifacts, summaries, comments
render_junit(record)                    # CI systems, as test results
render_model_card(record)               # the Hugging Face Hub
render_html(record, scores, findings)   # one self-contained page
render_history(model, decisions)        # another, about all gates of a model
"""

from __future__ import annotations

from .history import render_history
from .html import render_html
from .junit import render_junit
from .markdown import comment_marker, render_markdown, rule_rows
from .model_card import render_model_card
from .terminal import print_record, render_terminal, verdict

__all__ = [
    "comment_marker",
    "print_record",
    "render_history",
    "render_html",
    "render_junit",
    "render_markdown",
    "render_model_card",
    "render_terminal",
    "rule_rows",
    "verdict",
]
