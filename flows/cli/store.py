"""``finetune-gate store``: look at the answers that are kept on this machine, check them, make room."""

from __future__ import annotations

import math
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from finetune_gate.evaluators.errors import ConfigurationError, Problem

from .output import print_json

if TYPE_CHECKING:
    from finetune_gate.gate.answers import StoreLimits
    from finetune_gate.gate.answers.contents import Contents, ModelContents
    from finetune_gate.gate.answers.pruning import Pruned, What

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_context
def store(context: click.Context, as_json: bool) -> None:
    """Look at the answer store of this machine.

    Answers are kept by model, under FINETUNE_GATE_HOME. Removing them is safe: they are computed again. Limits come
    from FINETUNE_GATE_STORE_MAX_GB and FINETUNE_GATE_STORE_UNUSED_DAYS, and are kept to at the end of every run.
    """
    if context.invoked_subcommand is not None:
        return
    from finetune_gate.gate.answers import AnswerStore, StoreLimits
    from finetune_gate.gate.answers.contents import contents

    limits = StoreLimits.from_environment()
    path = _path()
    if not path.exists():
        _print_nothing(path, limits, as_json)
        return
    with AnswerStore(path, _say) as opened:
        found = contents(opened)
    if as_json:
        print_json(_contents_json(found, limits))
    else:
        _print_contents(found, limits)


def _finite(context: click.Context, parameter: click.Parameter, value: float | None) -> float | None:
    if value is not None and not math.isfinite(value):
        raise click.BadParameter("a number, 0 or more", context, parameter)
    return value


@store.command()
@click.option(
    "--max-gb",
    type=click.FloatRange(min=0),
    callback=_finite,
    help="Remove the longest unused until it fits into this (GiB).",
)
@click.option(
    "--unused-days", type=click.FloatRange(min=0), callback=_finite, help="Remove what was not used for so long."
)
@click.option("--model", metavar="LABEL-OR-DIGEST", help="Only this model's; without the other two, all of them.")
@click.option("--all", "everything", is_flag=True, help="Remove every answer, and damaged files that were set aside.")
@click.option("--dry-run", is_flag=True, help="Say what would go; remove nothing.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON; needs -y or --dry-run.")
def prune(
    max_gb: float | None,
    unused_days: float | None,
    model: str | None,
    everything: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Remove answers; without options, those beyond the limits."""
    from finetune_gate.gate.answers import AnswerStore
    from finetune_gate.gate.answers.contents import contents
    from finetune_gate.gate.answers.pruning import Pruned
    from finetune_gate.gate.answers.pruning import prune as remove

    if everything and (max_gb is not None or unused_days is not None or model is not None):
        raise ConfigurationError(
            Problem("store prune", "--all leaves nothing for the other options", "one or the other")
        )
    path = _path()
    if not path.exists():
        _print_pruned(Pruned(0, 0), 0, dry_run, as_json)
        return
    with AnswerStore(path, _say) as opened:
        found = contents(opened)
        what = _what(found, max_gb, unused_days, model, everything)
        planned = remove(opened, what, dry_run=True)
        aside = found.damaged if everything else ()
        if not dry_run and not yes and (planned.answers or aside):
            _ask(planned, len(aside), as_json)
        pruned = planned if dry_run else remove(opened, what)
        if not dry_run:
            for file in aside:
                file.unlink(missing_ok=True)
    _print_pruned(pruned, len(aside), dry_run, as_json)


@store.command()
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def check(as_json: bool) -> None:
    """Verify every answer and the file; remove what does not check out.

    Exit status: 0 also where something was removed, for it is computed again; 4 where the store could not be checked.
    """
    from finetune_gate.gate.answers import AnswerStore
    from finetune_gate.gate.answers.contents import Checked
    from finetune_gate.gate.answers.contents import check as verify

    said: list[str] = []
    path = _path()
    found = Checked(0, 0, None)
    if path.exists():
        with AnswerStore(path, said.append) as opened:
            found = verify(opened)
    if as_json:
        print_json({"path": str(path), "answers": found.answers, "removed": found.removed, "notes": said})
        return
    for line in said:
        click.echo(_inert(line, 2000))
    removed = f"{found.removed:,} did not check out and were removed" if found.removed else "all of them are in order"
    click.echo(f"{found.answers:,} answers checked: {removed}" if found.answers else "no answers to check")


def _path() -> Path:
    from finetune_gate.gate.answers import STORE_FILE
    from finetune_gate.gate.home import default_home

    return default_home() / STORE_FILE


def _what(
    found: Contents, max_gb: float | None, unused_days: float | None, model: str | None, everything: bool
) -> What:
    from finetune_gate.gate.answers import StoreLimits
    from finetune_gate.gate.answers.pruning import What

    if everything:
        return What()
    models = None if model is None else tuple(entry.number for entry in _named(found, model))
    if max_gb is None and unused_days is None and models is None:
        return What.beyond(StoreLimits.from_environment())
    return What(None if max_gb is None else int(max_gb * (1 << 30)), unused_days, models)


def _named(found: Contents, model: str) -> list[ModelContents]:
    """Models of that label; else the one whose digest begins so."""
    named = [entry for entry in found.models if entry.label == model]
    if not named and len(model) >= 4:
        named = [entry for entry in found.models if (entry.digest or "").startswith(model)]
        if len(named) > 1:
            raise ConfigurationError(
                Problem("--model", f"{model!r} begins the digests of {len(named)} models", "one of them", "more digits")
            )
    if not named:
        known = ", ".join(f"{_label(entry)} ({_digest(entry)})" for entry in found.models[:20]) or "none"
        raise ConfigurationError(
            Problem(
                "--model", f"the store holds no answers of {model!r}", f"one of: {known}", "see finetune-gate store"
            )
        )
    return named


def _ask(planned: Pruned, aside: int, as_json: bool) -> None:
    if as_json or not sys.stdin.isatty():
        raise ConfigurationError(
            Problem("store prune", "nobody is there to say yes", "a decision", "-y to remove, --dry-run to look")
        )
    click.confirm(f"Remove {_amount(planned, aside)}?", abort=True)


def _print_pruned(pruned: Pruned, aside: int, dry_run: bool, as_json: bool) -> None:
    if as_json:
        counts = {"answers": pruned.answers, "bytes": pruned.bytes, "freed_bytes": pruned.freed, "damaged_files": aside}
        print_json({"dry_run": dry_run, **counts})
    elif not pruned.answers and not aside:
        click.echo("nothing to remove")
    elif dry_run:
        click.echo(f"would remove {_amount(pruned, aside)}")
    else:
        click.echo(f"removed {_amount(pruned, aside)}; the store's file is {_size(pruned.freed)} smaller")


def _amount(pruned: Pruned, aside: int) -> str:
    files = f" and {aside} damaged {'file' if aside == 1 else 'files'}" if aside else ""
    return f"{pruned.answers:,} answers (about {_size(pruned.bytes)}){files}"


def _print_nothing(path: Path, limits: StoreLimits, as_json: bool) -> None:
    from finetune_gate.gate.answers.contents import Contents

    if as_json:
        print_json(_contents_json(Contents(path, 0, 0, (), ()), limits))
    else:
        click.echo(f"{path}: nothing is kept there yet")


def _contents_json(found: Contents, limits: StoreLimits) -> dict[str, object]:
    return {
        "path": str(found.path),
        "disk_bytes": found.disk_bytes,
        "answers": found.answers,
        "limits": {"max_bytes": limits.max_bytes, "unused_days": limits.unused_days},
        "models": [
            {
                "label": entry.label,
                "digest": entry.digest,
                "answers": entry.answers,
                "bytes": entry.bytes,
                "first_written": _iso(entry.first_written),
                "last_written": _iso(entry.last_written),
                "last_used": _iso(entry.last_used),
            }
            for entry in found.models
        ],
        "damaged_files": [str(file) for file in found.damaged],
    }


def _print_contents(found: Contents, limits: StoreLimits) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    click.echo(_inert(str(found.path)))
    click.echo(f"  {found.answers:,} answers, {_size(found.disk_bytes)} on disk")
    click.echo(f"  limits: {_size(limits.max_bytes)}, {limits.unused_days:g} days without use")
    for file in found.damaged:
        click.echo(f"  set aside as damaged: {_inert(file.name)}; `finetune-gate store prune --all` removes it")
    if not found.models:
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("model", "digest"):
        table.add_column(name, overflow="fold")
    for name in ("answers", "size"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("written", "last used"):
        table.add_column(name, no_wrap=True)
    for entry in found.models:
        written = dict.fromkeys((_iso(entry.first_written)[:10], _iso(entry.last_written)[:10]))
        table.add_row(
            _label(entry),
            _digest(entry),
            f"{entry.answers:,}",
            _size(entry.bytes),
            " to ".join(written),
            _iso(entry.last_used)[:10],
        )
    console = Console(markup=False, highlight=False)
    console.print(table)


def _label(entry: ModelContents) -> str:
    return _inert(entry.label) if entry.label else "unknown"


def _digest(entry: ModelContents) -> str:
    return _inert(entry.digest or "")[:12] or "unknown"


def _inert(text: str, limit: int = 200) -> str:
    from finetune_gate.gate.reports.inert import inert_text

    return inert_text(text, limit=limit)


def _size(count: float) -> str:
    for unit in _UNITS[:-1]:
        if count < 1024:
            return f"{count:.0f} {unit}" if count >= 10 or unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} {_UNITS[-1]}"


def _iso(seconds: int) -> str:
    """UTC; damage can have left any number."""
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        return "unknown"


def _say(line: str) -> None:
    click.echo(_inert(line, 2000), err=True)
