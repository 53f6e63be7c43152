"""Commands with which whoever reads a report can doubt it: to be copied as they are."""

from __future__ import annotations

import re

from ..record import DecisionRecord
from .markdown import RECORD_FILE

_RUN_ID = re.compile(r"[0-9a-f]{32}")
"""As MLflow makes them. Anything else in a record could be a command of its own once it is pasted into a shell."""


def recheck_commands(record: DecisionRecord) -> tuple[tuple[str, str], ...]:
    """Each with what it is for."""
    commands = [
        (f"finetune-gate verify {RECORD_FILE}", "Decide again from the scores, and compare every bit with the record:"),
        (
            f"finetune-gate replay {RECORD_FILE} --gate gate.yaml",
            "What another gate file would have decided on the same scores:",
        ),
        (
            f"finetune-gate report {RECORD_FILE} -o report.html",
            "Draw this page again; the history needs the registry, and is left out:",
        ),
        (f"sha256sum {' '.join(_files(record))}", "The digests of the data, where it lies:"),
    ]
    run_id = record.run.run_id or ""
    if _RUN_ID.fullmatch(run_id):
        commands.insert(1, (f"finetune-gate verify runs:/{run_id}", "The same, of what MLflow keeps:"))
    return tuple((command, said) for command, said in commands if not command.endswith(" "))


def _files(record: DecisionRecord) -> list[str]:
    """Those whose names no shell reads anything into."""
    return [one.file for one in record.datasets if re.fullmatch(r"[\w./][\w./+-]*\.\w+", one.file, re.ASCII)]
