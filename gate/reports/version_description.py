"""The verdict as a section of a model version's description, where people look at a version in MLflow.

section = version_section(record, report_address="https://mlflow.example/#/experiments/4/runs/4f0c")
text = with_section(version.description, section)      # what else stands there is left as it is
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from ..record import DecisionRecord
from .awaiting import state_of
from .markdown import address_link, code, markdown_table, prose
from .rows import DECISION_MARKS, reason_of, remarks_of, rows_of_rules, summary_of

BEGIN: Final = "<!-- finetune-gate -->"
END: Final = "<!-- /finetune-gate -->"
LONGEST: Final = 5000
"""Characters of a description in MLflow."""

_SECTION: Final = re.compile(f"{re.escape(BEGIN)}(?:(?!{re.escape(BEGIN)}).)*?{re.escape(END)}", re.DOTALL)
_SETTLED: Final = ("passed", "waived")
_MOST_RULES: Final = 10
_MOST_REMARKS: Final = 3


def version_section(record: DecisionRecord, *, report_address: str) -> str:
    """Markdown between the two markers, in which foreign text is inert: decision, reason, the rules with their figures,
    where to read on."""
    at = datetime.fromisoformat(record.run.started_at).astimezone(UTC)
    compared = " and ".join(f"{role} {code(one.label)}" for role in ("base", "champion") if (one := record.role(role)))
    blocks = [
        BEGIN,
        f"**{DECISION_MARKS[record.decision]} {state_of(record).capitalize()}**: {prose(reason_of(record))}",
        *(f"**{prose(remark)}**" for remark in remarks_of(record)[:_MOST_REMARKS]),
        _rules(record),
        f"Compared with {compared}; {summary_of(record)}.",
        f"Gated on {at.day} {at:%B %Y, %H:%M} UTC by finetune-gate: {address_link(report_address)}, "
        f"record {code(record.digest()[:12])}.",
        END,
    ]
    return "\n\n".join(blocks)


def with_section(description: str, section: str) -> str | None:
    """``description`` with ``section`` in the place of an earlier one, or below all that is there. None where MLflow
    has no room for both."""
    first = _SECTION.search(description)
    if first is not None:
        rest = _SECTION.sub("", description[first.end() :])  # of several, copied by hand, one is left
        text = description[: first.start()] + section + rest
    else:
        text = f"{description.rstrip()}\n\n{section}" if description.strip() else section
    return text if len(text) <= LONGEST else None


def _rules(record: DecisionRecord) -> str:
    """What decided first: rules that did not pass, then those that did."""
    rows = sorted(rows_of_rules(record), key=lambda row: (row.rule.outcome in _SETTLED, row.warns))
    baselines = [role for role in ("base", "champion") if record.role(role)]
    cells = [
        [
            row.outcome_text,
            code(row.text, limit=120),
            prose(row.candidate.value),
            *(prose(row.baselines[role].value) if role in row.baselines else "" for role in baselines),
        ]
        for row in rows[:_MOST_RULES]
    ]
    table = markdown_table(["Outcome", "Rule", "Candidate", *(role.capitalize() for role in baselines)], cells)
    more = len(rows) - _MOST_RULES
    return f"{table}\n\nAnd {more} more rules." if more > 0 else table
