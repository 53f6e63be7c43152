"""A plan for people, in a terminal of 80 columns as well as one of 40.

    print_plan(plan)                                 # to the screen, as wide as it is
    text = render_plan(plan, width=100)              # for files and tests

Nothing is cut: long rules and labels wrap.
"""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ..progress import duration_text
from ..reports.inert import inert_text
from ..reports.screens import as_text
from .budget_text import budget_lines
from .planned import GatePlan, Left, PlannedJudge, PlannedModel, PlannedRule, Seconds, Unknown

NARROWEST, WIDEST = 40, 140
_LEAST_FOR_RULES = 76  # a table in which rules are squeezed reads worse than rules above their numbers
_GAP = 2


def render_plan(plan: GatePlan, *, width: int = 80, color: bool = False) -> str:
    """The whole plan as text, without a line break at its end."""
    return as_text(lambda screen: _print(screen, plan), width=_bounded(width), color=color)


def print_plan(plan: GatePlan, *, console: Console | None = None) -> None:
    """To standard output (or ``console``), in colour where it is a terminal that wants it."""
    _print(console or Console(), plan)


def _print(screen: Console, plan: GatePlan) -> None:
    width = _bounded(screen.width)
    notes = _notes(plan)
    warnings = (*plan.warnings, *(plan.budget.beyond if plan.budget is not None else ()))
    parts = [
        _head(plan),
        _models(plan),
        _work(plan, width),
        *([_lines("Budget", budget_lines(plan.budget))] if plan.budget is not None else []),
        _rules_table(plan.rules) if width >= _LEAST_FOR_RULES else _rules_stacked(plan.rules),
        *([_lines("Warnings", warnings)] if warnings else []),
        *([_lines("Notes", notes, style="dim")] if notes else []),
    ]
    for index, part in enumerate(parts):
        if index:
            screen.print(width=width)
        screen.print(part, width=width)


def _bounded(width: int) -> int:
    return min(max(width, NARROWEST), WIDEST)


def _head(plan: GatePlan) -> RenderableType:
    candidate = next((model.label for model in plan.models if model.role == "candidate"), plan.model)
    lines = [Text.assemble(("Plan", "bold"), f"  {inert_text(candidate, limit=300)}")]
    if plan.age_seconds is not None:
        lines.append(Text(f"planned {_age(plan.age_seconds)} ago; --fresh plans again", style="dim"))
    lines.append(Text(f"{plan.wanted:,} requests asked by evaluators, {plan.different:,} different"))
    if plan.nothing_to_compute:
        lines.append(Text("nothing to compute: the answer store holds every answer", style="green"))
    return Group(*lines)


def _age(seconds: int) -> str:
    return f"{seconds} s" if seconds < 60 else f"{seconds // 60} min"


def _models(plan: GatePlan) -> RenderableType:
    """A line for each model, with where it runs under it."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    listed = [(model.role, model.label, model.runs_on) for model in plan.models]
    listed += [("judge", judge.label, judge.runs_on) for judge in plan.judges]
    for role, label, runs_on in listed:
        about = Text(inert_text(label, limit=300))
        about.append(f"\n{inert_text(runs_on, limit=300)}", style="dim")
        grid.add_row(Text(role, style="dim"), about)
    return Group(Text("Models", style="bold"), Padding(grid, (0, 0, 0, 2)))


def _work(plan: GatePlan, width: int) -> RenderableType:
    """A row for each model, or a few lines where the rows are too wide."""
    header = ("", "requests", "in store", "left", "reads", "writes at most", "time, about")
    rows = [
        (
            _name(model),
            f"{model.requests:,}",
            f"{model.stored:,}",
            f"{model.left.requests:,}",
            *_tokens(model.left),
            _time(model),
        )
        for model in plan.models
    ]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    below = [f"judge {inert_text(one.name, limit=120)}: at most {_calls(one)}" for one in plan.judges]
    if isinstance(plan.seconds, Seconds) and plan.seconds.total:
        below.append(f"together about {duration_text(plan.seconds.total)}")
    if sum(widths) + _GAP * len(widths) > width:
        return _lines("Work", [*_work_lines(plan.models), *below])
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="dim")
    for name in header:
        table.add_column(Text(name), justify="right" if name else "left", no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, row))
    body = Group(table, *map(Text, below))
    return Group(Text("Work, in requests and tokens", style="bold"), Padding(body, (0, 0, 0, 2)))


def _work_lines(models: Iterable[PlannedModel]) -> list[str]:
    lines: list[str] = []
    for model in models:
        lines.append(f"{_name(model)}: {model.requests:,} requests")
        lines.append(f"  {model.stored:,} in store, {model.left.requests:,} left")
        if model.left.requests:
            read, written = _tokens(model.left)
            lines.append(f"  reads {read}, writes at most {written} tokens")
        lines.append(f"  time, about: {_time(model)}")
    return lines


def _calls(judge: PlannedJudge) -> str:
    return f"{judge.calls_at_most:,} {'programs to run' if judge.name.startswith('sandbox:') else 'calls'}"


def _name(model: PlannedModel) -> str:
    return inert_text(model.name if model.role != "judge" else f"judge {model.name}", limit=120)


def _tokens(left: Left) -> tuple[str, str]:
    about = "" if left.exact else "~"
    return (f"{about if left.read else ''}{left.read:,}", f"{about if left.written else ''}{left.written:,}")


def _time(model: PlannedModel) -> str:
    if not model.left.requests:
        return "none"
    return "unknown" if isinstance(model.seconds, Unknown) else duration_text(model.seconds.total)


def _rules_table(rules: Iterable[PlannedRule]) -> RenderableType:
    """What each rule can show; where that is not enough, how many examples would be, under it."""
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="dim")
    table.add_column(Text("rule"), overflow="fold")
    table.add_column(Text("examples"), justify="right", overflow="fold")
    table.add_column(Text("detects"), overflow="fold", max_width=34)
    for rule in rules:
        examples = f"{rule.examples:,}" + _clusters(rule, before="\n")
        table.add_row(_rule(rule), Text(examples), Text(_detects(rule)))
    return Group(Text(_RULES, style="bold"), Padding(table, (0, 0, 0, 2)))


def _rules_stacked(rules: Iterable[PlannedRule]) -> RenderableType:
    parts: list[RenderableType] = []
    for rule in rules:
        parts.append(_rule(rule))
        about = f"{rule.examples:,} examples{_clusters(rule, before=', ')}; detects: {_detects(rule)}"
        parts.append(Padding(Text(about), (0, 0, 0, 2)))
    return Group(Text(_RULES, style="bold"), Padding(Group(*parts), (0, 0, 0, 2)))


_RULES = "Smallest difference that each rule can detect"


def _rule(rule: PlannedRule) -> Text:
    text = Text(inert_text(rule.rule, limit=400))
    if rule.severity == "warn":
        text.append("  (warning only)", style="dim")
    if rule.shortfall:
        text.append(f"\n{inert_text(rule.shortfall, limit=400)}", style="yellow")
    return text


def _clusters(rule: PlannedRule, before: str) -> str:
    return "" if rule.clusters is None else f"{before}{rule.clusters:,} clusters"


def _detects(rule: PlannedRule) -> str:
    if isinstance(rule.detects, Unknown):
        return inert_text(rule.detects.unknown, limit=200)
    return f"{rule.detects:.2g} {inert_text(rule.unit, limit=40)}".rstrip()


def _notes(plan: GatePlan) -> list[str]:
    notes: list[str] = []
    for model in plan.models:
        if model.same_as is not None:
            notes.append(f"{model.name}: the same model as the {model.same_as}, whose answers are its own")
        elif model.left.requests and isinstance(model.seconds, Unknown):
            notes.append(f"{model.name}: {model.seconds.unknown}")
        elif isinstance(model.seconds, Seconds) and model.seconds.loading > model.seconds.computing:
            notes.append(f"{model.name}: {duration_text(model.seconds.loading)} of its time is for loading it")
    notes += plan.notes
    if plan.budget is not None and plan.budget.models:
        notes.append("retries come on top of the calls that are left")
    if any(not isinstance(rule.detects, Unknown) for rule in plan.rules):
        notes.append("detects: where the truth lies so far beyond the bound, 4 of 5 datasets of this size show it")
    assumed = dict.fromkeys(rule.assumption for rule in plan.rules if rule.assumption)
    return [*notes, *(f"assumed: {assumption}" for assumption in assumed)]


def _lines(title: str, lines: Iterable[str], style: str = "") -> RenderableType:
    shown = Text("\n").join(Text(_inert_line(line), style=style) for line in lines)
    return Group(Text(title, style="bold"), Padding(shown, (0, 0, 0, 2)))


def _inert_line(line: str) -> str:
    """``line`` made inert, with its indentation."""
    indent = line[: len(line) - len(line.lstrip(" "))]
    return indent + inert_text(line, limit=1000)
