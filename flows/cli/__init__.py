"""The command line. ``finetune-gate --help`` imports nothing heavy: each command's module is loaded when it is called."""

from __future__ import annotations

from .program import main

__all__ = ["main"]
