"""What people read of a gate in the job's summary and in the comment, as markdown in which foreign text cannot act.

text = decision_text(record, page="https://github.com/octo/bots/actions/runs/7")
not_written = append_summary(path, text)          # "" where it is there
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from finetune_gate.evaluators.errors import Problem
from finetune_gate.gate.record import DecisionRecord
from finetune_gate.gate.reports import comment_marker, render_markdown
from finetune_gate.gate.reports.markdown import LONGEST, address_link, code, prose

MOST: Final = 1 << 20
"""Bytes of a step's summary: a longer one is dropped whole."""

_SHOWN: Final = 20


def decision_text(
    record: DecisionRecord, *, page: str = "", remarks: Sequence[str] = (), longest: int = LONGEST
) -> str:
    """``page``: address of the run whose artifacts hold the report; ``remarks`` are foreign, too. At most ``longest``
    bytes, as far as the remarks leave room."""
    said = "".join(f"> {prose(remark, limit=1000)}\n\n" for remark in remarks)
    room = longest - len(said.encode())
    text = render_markdown(record, report_address=page or None, longest=room)
    heading, _, rest = text.partition("\n\n")
    return f"{heading}\n\n{said}{rest}" if said else text


def no_decision_text(problems: Sequence[Problem], model: str, version: str, *, page: str = "") -> str:
    """Where a gate came to no decision: what is in the way. Ends in the marker of ``model``, if it is known."""
    about = f": {code(f'{model} {version}'.strip())}" if model or version else ""
    blocks = [f"## ! No decision{about}", "The gate could not decide, or could not finish. What is in the way:"]
    for problem in problems[:_SHOWN]:
        lines = [f"- **{prose(problem.where)}**: {prose(problem.found, limit=1000)}"]
        lines += [f"  - expected: {prose(problem.expected, limit=1000)}"] if problem.expected else []
        lines += [f"  - way out: {prose(problem.way_out, limit=1000)}"] if problem.way_out else []
        blocks.append("\n".join(lines))
    if len(problems) > _SHOWN:
        blocks.append(f"{len(problems) - _SHOWN} more problems are in the log.")
    if page:
        blocks.append(f"The run: {address_link(page)}.")
    if model:
        blocks.append(comment_marker(model))
    return "\n\n".join(blocks) + "\n"


def verdict_text(sentence: str) -> str:
    return f"**Evaluation gate**: {prose(sentence, limit=1000)}\n"


def room_in(path: Path) -> int:
    """Bytes that a summary may still get; what this step has written already counts."""
    try:
        return MOST - path.stat().st_size - 2
    except OSError:
        return MOST - 2


def append_summary(path: Path, text: str) -> str:
    """Why ``text`` was not written; "" where it was. Raises nothing."""
    content = f"{text.rstrip()}\n\n".encode()
    if len(content) > room_in(path):
        return f"{len(content):,} bytes are more than a summary may have"
    try:
        with path.open("ab") as file:
            file.write(content)
    except OSError as error:
        return f"it cannot be written: {error.strerror or error}"
    return ""
