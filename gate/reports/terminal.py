"""A decision in a terminal: read at a glance at 80 columns as well as at 120, in colour or without.

    print_record(record)                                # to the screen, as wide as it is
    text = render_terminal(record, width=100)           # for files and tests
    console.print(verdict(record))                      # inside another rich display

Nothing decisive is ever cut: long rules and reasons wrap. No outcome is told by colour alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.box import ROUNDED
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ..deciding import Outcome
from ..record import DecisionRecord
from .awaiting import state_of
from .beginning import beginning_sentence
from .inert import inert_text
from .measured import emphasised, measurements
from .rows import (
    ASCII_MARKS,
    DECISION_MARKS,
    OUTCOME_MARKS,
    Change,
    RuleRow,
    baselines_of,
    confidence_sentence,
    difference_sentence,
    reason_of,
    remarks_of,
    roles_of,
    rows_of_rules,
)
from .screens import as_text
from .spending import spending_sentence

NARROWEST, WIDEST = 40, 140
_LEAST_FOR_RULE = 30  # a table in which rules have fewer columns than this reads worse than stacked rows
_STYLES = {
    "promote": "bold green",
    "block": "bold red",
    "hold": "bold yellow",
    "passed": "green",
    "failed": "bold red",
    "inconclusive": "yellow",
    "unmeasured": "magenta",
    "waived": "cyan",
}


def render_terminal(
    record: DecisionRecord, *, width: int | None = None, color: bool = False, verbose: bool = False
) -> str:
    """The whole report as text, without a line break at its end. ``width`` is 80 where it is not given."""
    return as_text(lambda screen: _print(screen, record, verbose), width=_bounded(width or 80), color=color)


def print_record(record: DecisionRecord, *, verbose: bool = False, console: Console | None = None) -> None:
    """To standard output (or ``console``), in colour where it is a terminal that wants it."""
    screen = console or Console()
    if screen.options.ascii_only:
        with screen.capture() as captured:
            _print(screen, record, verbose)
        screen.file.write(captured.get().encode(screen.encoding, "backslashreplace").decode(screen.encoding))
    else:
        _print(screen, record, verbose)


def verdict(record: DecisionRecord) -> RenderableType:
    """The headline and the rules, as wide as the place they are drawn in."""
    return _Verdict(record)


@dataclass(frozen=True, slots=True)
class _Verdict:
    record: DecisionRecord

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        plain = options.ascii_only
        rows = rows_of_rules(self.record)
        baselines = baselines_of(self.record)
        yield _headline(self.record, plain)
        yield Text("")
        yield Padding(_rules(rows, baselines, options.max_width, plain), (0, 2))
        yield Text("")
        yield Padding(
            Text(f"{confidence_sentence(self.record)} {difference_sentence(self.record)}", style="dim"), (0, 2)
        )
        if (spending := spending_sentence(self.record)) is not None:
            yield Padding(Text(inert_text(spending), style="dim"), (1, 2, 0, 2))
        if (beginning := beginning_sentence(self.record)) is not None:
            yield Padding(Text(inert_text(beginning, limit=1000), style="dim"), (1, 2, 0, 2))


def _print(screen: Console, record: DecisionRecord, verbose: bool) -> None:
    width = _bounded(screen.width)
    screen.print(verdict(record), width=width)
    if verbose:
        screen.print()
        screen.print(Padding(measurements(record, width - 2), (0, 0, 0, 2)), width=width)


def _bounded(width: int) -> int:
    return min(max(width, NARROWEST), WIDEST)


def _headline(record: DecisionRecord, plain: bool) -> Panel:
    style = _STYLES[record.decision]
    mark = _mark(DECISION_MARKS[record.decision], plain)
    state = state_of(record).replace(record.decision, record.decision.upper(), 1)
    head = Text.assemble((f"{mark} {state}", style), f"  {inert_text(record.model, limit=200)}")
    models = Table.grid(padding=(0, 2))
    models.add_column(style="dim", no_wrap=True)
    models.add_column(overflow="fold")
    for role, label in roles_of(record):
        models.add_row(Text(role), Text(inert_text(label, limit=300)))
    remarks = [Text(inert_text(remark), style="bold") for remark in remarks_of(record)]
    body = Group(head, Text(""), Text(inert_text(reason_of(record), limit=1000)), *remarks, Text(""), models)
    return Panel(body, box=ROUNDED, border_style=style, padding=(0, 2))


def _rules(rows: Sequence[RuleRow], baselines: Sequence[str], width: int, plain: bool) -> RenderableType:
    if (table := _wide(rows, baselines, width, plain)) is not None:
        return table
    return _stacked(rows, plain) if _room_to_stack(rows, plain) <= width - 4 else _one_below_the_other(rows, plain)


def _wide(rows: Sequence[RuleRow], baselines: Sequence[str], width: int, plain: bool) -> Table | None:
    """One row a rule, or None where rules would be squeezed."""
    changes = [_changes(row, plain) for row in rows]
    candidates = [_own(row) for row in rows]
    fixed = [
        ("outcome", [_outcome(row, plain) for row in rows]),
        ("candidate", candidates),
        *(
            (role, [Text(row.baselines[role].value if role in row.baselines else "") for row in rows])
            for role in baselines
        ),
        ("difference [low, high]", changes),
    ]
    widths = [max(len(name), *(_longest(cell) for cell in cells)) if cells else len(name) for name, cells in fixed]
    room = width - 4 - sum(widths) - 2 * len(fixed)
    if room < _LEAST_FOR_RULE:
        return None
    table = Table(box=None, padding=(0, 2, 1, 0), pad_edge=False, header_style="dim")
    names = [name for name, _ in fixed]
    table.add_column(Text(names[0]), no_wrap=True)
    table.add_column("rule", width=room, overflow="fold")
    for name, size in zip(names[1:], widths[1:], strict=True):
        table.add_column(Text(name), min_width=size, no_wrap=True)
    for index, row in enumerate(rows):
        outcome, *others = (cells[index] for _, cells in fixed)
        table.add_row(outcome, _text_and_notes(row), *others)
    return table


def _stacked(rows: Sequence[RuleRow], plain: bool) -> Table:
    """The rule on its own line, one line a model under it."""
    table = Table(box=None, padding=(0, 2, 1, 0), pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    values = max((len(_own_line(row)) for row in rows), default=0)
    for row in rows:
        body: list[RenderableType] = [Text(inert_text(row.text), style="bold")]
        if row.candidate.interval or row.baselines or row.of_pairs:
            body.append(_models(row, values, plain))
        body += _notes(row)
        table.add_row(_outcome(row, plain), Group(*body))
    return table


def _room_to_stack(rows: Sequence[RuleRow], plain: bool) -> int:
    """Columns that the numbers of stacked rules take beside their outcomes."""
    outcomes = max((_longest(_outcome(row, plain)) for row in rows), default=0)
    roles = max(
        (len(change.against) + len("against ") * row.of_pairs for row in rows for change in row.changes), default=0
    )
    values = max((len(_own_line(row)) for row in rows), default=0)
    changes = max((len(_change(row, change, plain)) for row in rows for change in row.changes), default=0)
    return outcomes + max(roles, len("candidate")) + values + changes + 6


def _one_below_the_other(rows: Sequence[RuleRow], plain: bool) -> Group:
    """For terminals so narrow that numbers would be cut: each has a line, and wraps."""
    blocks: list[RenderableType] = []
    for row in rows:
        lines = [Text(inert_text(row.text), style="bold")]
        if not row.of_pairs and row.candidate.value:
            lines.append(Text.assemble(("candidate ", "dim"), _own_line(row)))
        lines += [Text.assemble((f"{role} ", "dim"), one.value) for role, one in row.baselines.items()]
        lines += [
            Text.assemble((f"against {inert_text(change.against, limit=40)} ", "dim"), _change(row, change, plain))
            for change in row.changes
        ]
        blocks += [_outcome(row, plain), Padding(Group(*lines, *_notes(row)), (0, 0, 1, 2))]
    return Group(*blocks)


def _models(row: RuleRow, values: int, plain: bool) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim", min_width=9, no_wrap=True)
    grid.add_column(min_width=values, overflow="fold")
    grid.add_column(overflow="fold")
    if not row.of_pairs:
        grid.add_row(Text("candidate"), _own_line(row))
    changes = {change.against: change for change in row.changes}
    for role in dict.fromkeys((*row.baselines, *changes)):
        change = changes.get(role)
        value = row.baselines[role].value if role in row.baselines else ""
        difference = Text("") if change is None else _change(row, change, plain)
        name = inert_text(role, limit=40)
        if row.of_pairs:
            grid.add_row(Text(f"against {name}"), difference, Text(""))
        else:
            grid.add_row(Text(name), Text(value), difference)
    return grid


def _own(row: RuleRow) -> Text:
    """The candidate's value, over its interval where the rule looks at that."""
    if row.check is None or not row.candidate.interval:
        return Text(row.candidate.value)
    return Text.assemble((row.candidate.value, "bold"), f"\n{row.candidate.interval}")


def _own_line(row: RuleRow) -> Text:
    if row.check is None or not row.candidate.interval:
        return Text(row.candidate.value)
    return emphasised(row.candidate, decisive=True)


def _changes(row: RuleRow, plain: bool) -> Text:
    names = max((len(change.against) for change in row.changes), default=0)
    lines = [
        Text.assemble((f"{inert_text(change.against, limit=40):<{names}}  ", "dim"), _change(row, change, plain))
        for change in row.changes
    ]
    return Text("\n").join(lines)


def _change(row: RuleRow, change: Change, plain: bool) -> Text:
    """With a mark for which of a rule's two comparisons came out how."""
    text = emphasised(change.figure, change.check is not None)
    if change.check is not None and len(row.rule.checks) > 1 and change.figure.interval:
        outcome: Outcome = change.check.outcome
        text = Text.assemble(text, (f" {_mark(OUTCOME_MARKS[outcome], plain)}", _STYLES[outcome]))
    return text


def _outcome(row: RuleRow, plain: bool) -> Text:
    outcome = row.rule.outcome
    text = Text(f"{_mark(OUTCOME_MARKS[outcome], plain)} {outcome}", style=_STYLES[outcome])
    if row.warns:
        text.append("\n  warning only", style="dim not bold")
    return text


def _text_and_notes(row: RuleRow) -> Text:
    return Text("\n").join([Text(inert_text(row.text), style="bold"), *_notes(row)])


def _notes(row: RuleRow) -> list[Text]:
    return [Text(inert_text(note, limit=1000)) for note in row.notes]


def _longest(text: Text) -> int:
    return max((len(line) for line in text.plain.split("\n")), default=0)


def _mark(mark: str, plain: bool) -> str:
    return ASCII_MARKS.get(mark, mark) if plain else mark
