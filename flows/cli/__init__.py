"""The command line. Each command's module is loaded when it is called, so that ``--help`` answers at once."""

from __future__ import annotations

from .program import main

__all__ = ["main"]
