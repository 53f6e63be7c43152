"""What reports say of a decision that is held for nothing but a person's approval."""

from __future__ import annotations

from ..approval import approve_command, open_until
from ..record import DecisionRecord


def state_of(record: DecisionRecord) -> str:
    """The decision as headlines show it: ``hold``, or ``hold, waits for approval``."""
    return f"{record.decision}, waits for approval" if record.awaits_approval else record.decision


def approval_remarks(record: DecisionRecord) -> list[str]:
    """How the approval is given, where one is awaited. The command holds foreign text."""
    command, until = approve_command(record), open_until(record)
    if command is not None:
        end = f" until {until.day} {until:%B %Y, %H:%M} UTC" if until else ""
        return [f"Waits for approval{end}: {command}"]
    return ["It would wait for a person's approval; a dry run cannot be approved."] if record.awaits_approval else []
