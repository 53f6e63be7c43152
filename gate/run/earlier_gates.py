"""Earlier gates of a model, for the history in its report: read when all is decided, and never decided by.

history = earlier_gates(tracking, "support-bot", run_id)
keep_history(history, folder / HISTORY_FILE)
kept_history(folder / HISTORY_FILE)          # so that the report can be drawn again without a registry
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from finetune_gate.evaluators.errors import RegistryError

from ..history import PastDecision, decisions_of
from ..record import write_bytes_atomically
from ..registry import Tracking

MOST_GATES = 20
_MOST_BYTES = 16 << 20

History = list[PastDecision] | None


def earlier_gates(tracking: Tracking, model: str, run_id: str) -> History:
    """The newest of them, oldest first, without the run that is being published; None where they cannot be read. A
    publication does not fail for want of a picture."""
    try:
        past = tracking.past_runs(model, MOST_GATES + 1)
        return [one for one in decisions_of(past) if one.run_id != run_id][-MOST_GATES:]
    except (RegistryError, ValueError, OverflowError, OSError):  # a run that somebody else logged may hold anything
        return None


def keep_history(history: History, path: Path) -> None:
    """An earlier file goes where there is no history."""
    if history is None:
        path.unlink(missing_ok=True)
    else:
        write_bytes_atomically(path, _adapter().dump_json(history) + b"\n")


def kept_history(path: Path) -> History:
    """None where there is no such file, or none that says anything: a page can do without."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            return None
        return _adapter().validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


@cache
def _adapter() -> TypeAdapter[list[PastDecision]]:
    return TypeAdapter(list[PastDecision])
