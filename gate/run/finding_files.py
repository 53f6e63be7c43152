"""Findings on disk: canonical JSON, by evaluator. Written only where there is something to show."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from finetune_gate.evaluators.errors import EvaluationError, Problem
from finetune_gate.evaluators.findings import Findings

from ..record import write_bytes_atomically


def findings_digest(findings: Findings) -> str:
    """SHA-256 of the file that `write_findings` writes."""
    return hashlib.sha256(_content(findings)).hexdigest()


def write_findings(findings: Findings, path: Path) -> None:
    write_bytes_atomically(path, _content(findings))


def read_findings(path: Path) -> Findings:
    """Raises EvaluationError where ``path`` holds no findings."""
    try:
        return _adapter().validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        found = error.strerror if isinstance(error, OSError) else error.errors(include_url=False)[0]["msg"]
        raise EvaluationError(Problem(str(path), f"{found}", "findings written by finetune-gate")) from error


def _content(findings: Findings) -> bytes:
    value = _adapter().dump_python(findings, mode="python")
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "replace") + b"\n"  # models may write half a surrogate pair, which UTF-8 cannot hold


@cache
def _adapter() -> TypeAdapter[Findings]:
    return TypeAdapter(Findings)
