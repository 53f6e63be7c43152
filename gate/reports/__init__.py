"""Reports: a decision record, rendered for everyone who reads it. Pure: no files, no clock, no network."""

from __future__ import annotations

from .terminal import print_record, render_terminal, verdict

__all__ = ["print_record", "render_terminal", "verdict"]
