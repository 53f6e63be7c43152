"""What a decision rested on, on disk, for an approval that comes later: ``seen.json``, beside the decision record.

write_seen(seen, record.digest(), folder / "seen.json")
read_seen(folder / "seen.json", record.digest())
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from finetune_gate.evaluators.errors import EvaluationError, Problem

from ..record import canonical_json, write_bytes_atomically
from .seen import Seen


class _SeenFile(BaseModel):
    """``record_digest`` is that of the decision record which the reviewer reads."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    record_digest: str
    parts: dict[str, str]


def write_seen(seen: Seen, record_digest: str, path: Path) -> None:
    content = _SeenFile(record_digest=record_digest, parts={**seen.parts})
    write_bytes_atomically(path, canonical_json(content.model_dump()) + b"\n")


def read_seen(path: Path, record_digest: str) -> Seen:
    """Raises EvaluationError where ``path`` does not hold what the decision of that record rested on."""
    way_out = "gate the version again, and approve that run"
    try:
        kept = _SeenFile.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        found = error.strerror if isinstance(error, OSError) else error.errors(include_url=False)[0]["msg"]
        raise EvaluationError(Problem(str(path), f"{found}", "what the decision rested on", way_out)) from error
    if kept.record_digest != record_digest:
        found = f"it is of a record with digest {kept.record_digest[:12]}"
        raise EvaluationError(Problem(str(path), found, f"digest {record_digest[:12]}, the record beside it", way_out))
    return Seen(kept.parts)
