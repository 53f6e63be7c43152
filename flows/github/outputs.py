"""The one writer of a step's outputs.

    refused = write_outputs(Path(os.environ["GITHUB_OUTPUT"]), {"decision": "promote", "version": "7"})

A runner reads that file line by line: ``name=value``, or ``name<<DELIMITER``, lines of the value, ``DELIMITER``. So a
line break in a name of a model could make outputs of its own. Short plain values are written the first way, other
values of one printable line the second, behind a delimiter of 128 random bits; what else there is, is not written.
https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands#multiline-strings
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from finetune_gate.evaluators.errors import EvaluationError, Problem

LONGEST: Final = 4096
"""Characters of a value. All outputs of a job may have 1 MB."""

_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,99}")
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.:/@+-]{0,300}")


def write_outputs(path: Path, values: Mapping[str, str]) -> tuple[str, ...]:
    """Append ``values``, all at once; returns the names of those that were refused, and written as empty.

    Refused is what is no single printable line, or is longer than `LONGEST`. Raises ValueError for a name that is no
    output's, EvaluationError where the file cannot be written.
    """
    refused = tuple(name for name, value in values.items() if not _may_be_written(value))
    text = "".join(_written(name, "" if name in refused else value) for name, value in values.items())
    try:
        with path.open("ab+") as file:
            if file.tell():  # whatever was written before must not take the first line for its own
                file.seek(-1, 2)
                text = text if file.read(1) == b"\n" else f"\n{text}"
            file.write(text.encode())
    except OSError as error:
        found = f"cannot be written: {error.strerror or error}"
        raise EvaluationError(Problem("GITHUB_OUTPUT", found, "the file of this step's outputs")) from None
    return refused


def _may_be_written(value: str) -> bool:
    return value.isprintable() and len(value) <= LONGEST


def _written(name: str, value: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of an output")
    if _PLAIN.fullmatch(value):
        return f"{name}={value}\n"
    delimiter = f"end_{secrets.token_hex(16)}"
    return f"{name}<<{delimiter}\n{value}\n{delimiter}\n"
