"""What a person is asked where a hold, or a promotion, waits for them: markdown, for Prefect's form and artifacts.

    render_review_request(record, gate_file="gate.yaml", report="runs:/4f0c/...", until=until, flow_run="0d5e...")

Foreign text in it is as inert as in `render_markdown`.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import UTC, datetime

from ..record import DecisionRecord, RuleRecord
from .awaiting import state_of
from .markdown import address_link, code, fenced, prose
from .rows import DECISION_MARKS, OUTCOME_MARKS, other_remarks, reason_of

_MOST_RULES = 12


def render_review_request(
    record: DecisionRecord,
    *,
    gate_file: str,
    report: str,
    until: datetime,
    flow_run: str = "RUN",
    remarks: Sequence[str] = (),
) -> str:
    """The decision, what is open, and what each verdict does. ``report`` is the address of the full report,
    ``flow_run`` the id of the run that waits; ``remarks`` say why somebody is asked again, where they are. Short, and
    without tables: Prefect's form is narrow."""
    candidate = record.role("candidate")
    label = candidate.label if candidate else record.model
    version = candidate.version if candidate else None
    end = until.astimezone(UTC)
    blocking = [rule for rule in record.rules if rule.severity == "block"]
    open_rules = [rule for rule in blocking if rule.outcome not in ("passed", "waived")]
    blocks = [
        f"## {DECISION_MARKS[record.decision]} {state_of(record).capitalize()}: {code(label)}",
        *(f"**{prose(remark)}**" for remark in (*remarks, *other_remarks(record))),
    ]
    if open_rules:
        blocks += [f"Not settled, of {len(blocking)} blocking rules:", _open(open_rules)]
    else:
        blocks.append(prose(reason_of(record), limit=1000))
    people = _waits_for_ratings(record, open_rules)
    if people:
        command = (
            f"finetune-gate rate {shlex.quote(gate_file)} --version {shlex.quote(version or 'VERSION')} --rater NAME"
        )
        blocks += [f"{prose(', '.join(people))} waits for people to rate the answers:", fenced(command, "sh")]
    blocks += [
        "What you can say:",  # without a paragraph between them, two lists are one
        _verdicts(record, label, rate=bool(people)),
        f"Open until **{end.day} {end:%B %Y, %H:%M} UTC**. After that this run fails, as never resumed, and "
        f"{code(label)} stays on hold. Name and reason go into the decision record as you type them.",
        "From a terminal:",
        fenced(f'finetune-gate approve {shlex.quote(flow_run)} --reason "WHY"', "sh"),
        f"All numbers are among the artifacts of this run. Report: {address_link(report)}",
    ]
    return "\n\n".join(blocks) + "\n"


def approval_obstacle(record: DecisionRecord) -> str | None:
    """Why an approval of this decision to hold would not turn it into one to promote; None where it would."""
    outcomes = {rule.outcome for rule in record.rules if rule.severity == "block"}
    if record.identical:
        return f"its files are identical to the {' and the '.join(record.identical)}'s"
    if "failed" in outcomes:
        return "a blocking rule failed"
    if "passed" not in outcomes:
        return "no blocking rule has passed by measurement"
    if record.files_changed is not None:
        return "its files were changed after they were judged"
    if record.champion_moved is not None:
        return "it was judged against another champion than serves now"
    return None


def _open(rules: Sequence[RuleRecord]) -> str:
    lines = [
        f"- {OUTCOME_MARKS[rule.outcome]} **{prose(rule.text)}**: {prose(rule.sentence, limit=600)}"
        for rule in rules[:_MOST_RULES]
    ]
    if len(rules) > _MOST_RULES:
        lines.append(f"- and {len(rules) - _MOST_RULES} more")
    return "\n".join(lines)


def _waits_for_ratings(record: DecisionRecord, rules: Sequence[RuleRecord]) -> list[str]:
    """Titles of the human evaluations that open rules rest on."""
    human = [one.title for one in record.evaluators if one.kind == "human"]
    return [title for title in human if any(rule.metric.startswith(f"{title}.") for rule in rules)]


def _verdicts(record: DecisionRecord, label: str, *, rate: bool) -> str:
    obstacle = approval_obstacle(record)
    answers_for = "" if record.awaits_approval else "; you answer for what is not settled"
    approve = (
        f"is not enough to promote {code(label)}: {prose(obstacle)}"
        if obstacle
        else f"promotes {code(label)} {prose(_replaced(record))}{answers_for}. It counts for what is shown here: if "
        "something has changed by then, you are asked again"
    )
    again = "gates it again, with gate file and data as they are then" + (": choose this after rating" if rate else "")
    return "\n".join((f"- **approve** {approve}", f"- **block** blocks {code(label)}", f"- **look again** {again}"))


def _replaced(record: DecisionRecord) -> str:
    """What the promotion alias points to until then."""
    candidate, champion, action = record.role("candidate"), record.role("champion"), record.run.action
    before = action.before if action is not None else champion.version if champion is not None else None
    if before is None:
        return "as the first version that serves"
    if candidate is not None and before == candidate.version:
        return "once more: it serves already"
    return f"in place of version {before}"
