"""What reports say of how a run found the alias when it began."""

from __future__ import annotations

from ..record import DecisionRecord


def beginning_sentence(record: DecisionRecord) -> str | None:
    """``When this run began, an earlier run's move was completed: champion: version 1 -> version 2.`` None where there
    was nothing to do about the alias."""
    settled = record.run.settled
    return f"When this run began, {'; '.join(settled)}." if settled else None
