"""An approval that a decision record waits for: until when it counts, and the command that gives it.

open_until(record)        # 2026-03-07 09:15:30+00:00
approve_command(record)   # 'finetune-gate approve 4f0c... --reason "WHY"'
"""

from __future__ import annotations

import shlex
from datetime import UTC, datetime, timedelta

from pydantic import ValidationError

from .gate_file.settings import Reviewing
from .record import DecisionRecord

USUAL_GATE_FILE = "gate.yaml"
"""Where commands look for a gate file that is not named."""


def open_until(record: DecisionRecord) -> datetime | None:
    """``review.hours`` of the gate file, counted from the start of the run; None where the record does not tell, and no
    approval counts. A time without a zone is UTC."""
    try:
        hours = Reviewing.model_validate(record.gate_file.settings.get("review", {})).hours
        started = datetime.fromisoformat(record.run.started_at)
        return (started if started.tzinfo else started.replace(tzinfo=UTC)).astimezone(UTC) + timedelta(hours=hours)
    except (ValidationError, ValueError, OverflowError):
        return None


def base_by_hand(record: DecisionRecord) -> str | None:
    """The base, where the run was given one instead of the gate file's."""
    base = record.role("base")
    return base.uri if base is not None and base.origin == "command line" else None


def approve_command(record: DecisionRecord) -> str | None:
    """As a shell reads it, to be typed where the gate file was found from; None where there is nothing to approve."""
    if not record.awaits_approval or record.run.dry_run:
        return None
    words = ["finetune-gate", "approve", record.run.run_id or "decision-record.json"]
    gate_file, base = record.run.gate_file, base_by_hand(record)
    if gate_file is not None and gate_file != USUAL_GATE_FILE:
        words += ["--gate-file", gate_file]
    if base is not None:
        words += ["--base", base]
    return f'{shlex.join(words)} --reason "WHY"'
