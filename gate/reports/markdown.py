"""A decision as GitHub-flavoured markdown, for Prefect artifacts, summaries and comments.

    render_markdown(record, report_address="https://ci.example/run/7/report.html")
    rule_rows(record)       # one flat row a rule, for a table artifact

Foreign text cannot act: no HTML, link, image, mention, issue reference, table cell or fence of its own. The text always
fits into a comment on GitHub, and ends in a comment of its own that nobody sees: ``comment_marker(record.model)``, by
which a later gate of the model finds the comment to replace.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from urllib.parse import quote, urlsplit

from ..record import DecisionRecord
from .awaiting import state_of
from .beginning import beginning_sentence
from .inert import inert_text
from .rows import (
    DECISION_MARKS,
    OUTCOME_MARKS,
    Change,
    Figure,
    RuleRow,
    baselines_of,
    confidence_sentence,
    difference_sentence,
    reason_of,
    remarks_of,
    rows_of_rules,
    summary_of,
)
from .spending import spending_sentence

RECORD_FILE = "decision-record.json"
LONGEST = 65_000
"""Bytes. A comment on GitHub has at most 65,536 characters, a step summary 1 MiB; some room is left for a line of one's
own."""
_SPECIAL = re.compile(r"[\\`*_\[\]<>|~!$&@#]|(?<=:)(?=//)|(?i:\bwww(?=\.))|(?i:\bgh(?=-\d))")
_NOTHING = "&#8203;"  # a zero width space, after which no name, number or address is recognised
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;", "\\": "&#92;", "`": "&#96;", "$": "&#36;"}


def render_markdown(record: DecisionRecord, *, report_address: str | None = None, longest: int = LONGEST) -> str:
    """Headline, reason, rules, models, and how to look again. Ends in a line break.

    Where that were more than ``longest`` bytes of UTF-8, rules are left out, those that passed before others, and the
    text says how many.
    """
    head, body, foot = _head(record), _body(record), _foot(record, report_address)
    rules = [_row(_rule_cells(row, baselines_of(record))) for row in rows_of_rules(record)]
    text = _joined(*head, _rules_table(record, rules), *body, *foot)
    if _size(text) <= longest:
        return text
    room = longest - _size(_joined(*head, _rules_table(record, []), _left_out(len(rules), len(rules)), *body, *foot))
    shown = _as_fit(record, rules, room)
    cut = [_rules_table(record, shown)] if shown else []
    text = _joined(*head, *cut, _left_out(len(rules) - len(shown), len(rules)), *body, *foot)
    return text if _size(text) <= longest else _joined(*head[:2], _left_out(len(rules), len(rules)), *foot)


def comment_marker(model: str) -> str:
    """``<!-- finetune-gate: support-bot -->``: what every text about a model ends in, and no text about another."""
    return f"<!-- finetune-gate: {quote(inert_text(model), safe='')} -->"


def _head(record: DecisionRecord) -> list[str]:
    return [
        f"## {DECISION_MARKS[record.decision]} {state_of(record).capitalize()}: {_headline(record)}",
        _paragraph(reason_of(record)),
        *(f"**{prose(remark)}**" for remark in remarks_of(record)),
        f"{summary_of(record)}.",
    ]


def _rules_table(record: DecisionRecord, lines: Sequence[str]) -> str:
    roles = (role.capitalize() for role in baselines_of(record))
    head = markdown_table(["Outcome", "Rule", "Candidate", *roles, "Difference \\[low, high\\]"], [])
    return "\n".join((head, *lines))


def _body(record: DecisionRecord) -> list[str]:
    blocks = [
        f"<sub>{prose(confidence_sentence(record))} {difference_sentence(record)}</sub>",
        "### Models",
        markdown_table(
            ["Role", "Model", "Found by", "Digest"],
            [[model.role, code(model.label), prose(model.origin), code(model.digest[:12])] for model in record.models],
        ),
    ]
    if (spending := spending_sentence(record)) is not None:
        blocks.append(prose(spending))
    if (beginning := beginning_sentence(record)) is not None:
        blocks.append(prose(beginning, limit=1000))
    if record.role("champion") is None:
        blocks.append(f"No champion: {prose(record.champion_note or 'none')}.")
    return blocks


def _foot(record: DecisionRecord, report_address: str | None) -> list[str]:
    return ["### Look again", *_again(record, report_address), comment_marker(record.model)]


def _as_fit(record: DecisionRecord, lines: Sequence[str], room: int) -> list[str]:
    """As many of ``lines`` as fit into ``room`` bytes: of rules that did not pass first, in the order of the record."""
    passed = [rule.outcome == "passed" for rule in record.rules]
    shown: list[int] = []
    for index in sorted(range(len(lines)), key=lambda index: passed[index]):
        size = _size(lines[index]) + 1
        if size <= room:
            room -= size
            shown.append(index)
    return [lines[index] for index in sorted(shown)]


def _left_out(count: int, of: int) -> str:
    return (
        f"**{count} of {of} rules are not shown: this text is as long as a comment may be. "
        "`finetune-gate report` shows them all.**"
    )


def _joined(*blocks: str) -> str:
    return "\n\n".join(blocks) + "\n"


def _size(text: str) -> int:
    return len(text.encode())


def rule_rows(record: DecisionRecord) -> list[dict[str, str]]:
    """One row a rule with the same keys in every row, as plain text: for table artifacts and spreadsheets."""
    baselines = baselines_of(record)
    return [
        {
            "outcome": f"{OUTCOME_MARKS[row.rule.outcome]} {row.rule.outcome}",
            "rule": inert_text(row.text),
            "severity": row.rule.severity,
            "candidate": f"{row.candidate.value} {row.candidate.interval}".strip(),
            **{role: row.baselines[role].value if role in row.baselines else "" for role in baselines},
            "difference": "; ".join(f"{change.against} {_figure(change.figure)}" for change in row.changes),
            "note": "; ".join(inert_text(note) for note in row.notes),
        }
        for row in rows_of_rules(record)
    ]


def prose(text: str, *, limit: int = 400) -> str:
    """Foreign text inside a sentence or a table cell: it reads as it was written and does nothing.

    Characters with a meaning are escaped. After ``@``, ``#`` and the ``:`` of an address stands a zero width space,
    because mentions, references and bare addresses are recognised in the finished text, where no escape is left.
    """
    return _SPECIAL.sub(_defused, inert_text(text, limit=limit))


def code(text: str, *, limit: int = 200) -> str:
    """A name or digest as inline code; escaped prose where the text itself could end the code or a table cell."""
    shown = inert_text(text, limit=limit)
    return prose(shown, limit=limit) if not shown or re.search(r"[`|\\]", shown) else f"`{shown}`"


def fenced(text: str, language: str = "") -> str:
    """A block of foreign lines, between fences longer than any run of backticks in it."""
    lines = [inert_text(line, limit=2000) for line in text.split("\n")]
    longest = max((len(run) for line in lines for run in re.findall(r"`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return "\n".join([fence + language, *lines, fence])


def _defused(match: re.Match[str]) -> str:
    found = match[0]
    if found in ("@", "#") or not found or found.isalpha():
        return found + _NOTHING
    return _ENTITIES.get(found) or f"\\{found}"


def _paragraph(text: str) -> str:
    """Prose that opens a block, where a dash or a number with a dot would begin a list."""
    shown = prose(text, limit=1000)
    return _NOTHING + shown if re.match(r"[-+=]|\d+[.)]", shown) else shown


def _headline(record: DecisionRecord) -> str:
    candidate = record.role("candidate")
    return code(candidate.label if candidate else record.model)


def _rule_cells(row: RuleRow, baselines: tuple[str, ...]) -> list[str]:
    notes = [f"<br>{prose(note, limit=1000)}" for note in row.notes]
    several = len(row.rule.checks) > 1
    decides = row.check is not None
    candidate = _figure(row.candidate) if decides else row.candidate.value
    return [
        row.outcome_text,
        code(row.text) + "".join(notes),
        f"**{prose(candidate)}**" if decides else prose(candidate),
        *(row.baselines[role].value if role in row.baselines else "" for role in baselines),
        "<br>".join(_change(change, several) for change in row.changes),
    ]


def _change(change: Change, several: bool) -> str:
    figure = prose(_figure(change.figure))
    mark = f" {OUTCOME_MARKS[change.check.outcome]}" if change.check and several else ""
    return f"{prose(change.against)} {f'**{figure}**' if change.check else figure}{mark}"


def _figure(figure: Figure) -> str:
    return f"{figure.value} {figure.interval}".strip()


def _again(record: DecisionRecord, report_address: str | None) -> list[str]:
    lines = [f"Record `{record.digest()[:12]}`, score table {code(record.score_table.digest[:12])}."]
    if report_address is not None:
        lines.append(f"Full report: {address_link(report_address)}")
    return [" ".join(lines), fenced(f"finetune-gate report {RECORD_FILE}", "sh")]


def address_link(address: str) -> str:
    """A link where it is a web address and nothing else, code otherwise."""
    shown = inert_text(address, limit=2000)
    if shown == address and urlsplit(address).scheme in ("http", "https") and not re.search(r"[\s<>\"'`|\\]", address):
        return f"[report](<{address}>)"
    return code(address, limit=2000)


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Of cells that are markdown already."""
    return "\n".join(_row(cells) for cells in (head, ["---"] * len(head), *rows))


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
