"""``finetune-gate report``: show a decision again, from its record alone."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from finetune_gate.evaluators.errors import ConfigurationError, Problem

from .formats import FORMATS, Format, Target, TargetType, rendered, settled, write_report
from .output import print_json

if TYPE_CHECKING:
    from finetune_gate.gate.record import DecisionRecord


@click.command()
@click.argument("record", type=click.Path(path_type=Path), required=False)
@click.option("--format", "form", type=click.Choice(FORMATS), help="What to show or write.  [default: terminal]")
@click.option(
    "-o",
    "--output",
    "outputs",
    type=TargetType(),
    multiple=True,
    help="Write to this file instead. Where no format is named, the suffix tells: .html, .md, .xml (JUnit), .json, "
    ".txt. May be given several times.",
)
@click.option("--open", "open_page", is_flag=True, help="Open the HTML page in the browser.")
@click.option("--json", "as_json", is_flag=True, help="Print the record as JSON; with -o or --open, what was done.")
@click.option("-v", "--verbose", is_flag=True, help="Show every measurement, not only those that rules look at.")
def report(
    record: Path | None, form: Format | None, outputs: tuple[Target, ...], open_page: bool, as_json: bool, verbose: bool
) -> None:
    """Show a decision record again, on the screen or in files.

    RECORD is a decision-record.json or the folder it lies in; without one, the newest under .finetune-gate. With
    --open, the page that lies beside the record is opened, and written first where it is missing or older.
    """
    from finetune_gate.gate.record import read_record
    from finetune_gate.gate.reports import print_record

    if open_page and form not in (None, "html") and not outputs:
        raise ConfigurationError(Problem("--open", f"given with --format {form}", "the HTML page", "leave one out"))
    targets = settled(outputs, "-o", form)
    path = _record_file(record)
    found = read_record(path)
    for kind, target in targets:
        write_report(kind, target, found, path.parent, verbose=verbose)
    done: dict[str, object] = {"written": [str(target) for _, target in targets]}
    if open_page:
        page = _page_beside(path, found)
        done |= {"page": str(page), "opened": _opened(page)}
    if as_json and (outputs or open_page):
        print_json(done)
    elif outputs or open_page:
        _say(done)
    elif as_json:
        click.echo(rendered("json", found, path.parent), nl=False)
    elif form in (None, "terminal"):
        print_record(found, verbose=verbose)
    else:
        click.echo(rendered(form, found, path.parent), nl=False)


def _say(done: Mapping[str, object]) -> None:
    for name in cast("Sequence[str]", done["written"]):
        click.echo(f"written: {name}")
    if "page" in done:
        click.echo(f"Page     {done['page']}")
        if not done["opened"]:
            said = "There is no browser here to open it in: BROWSER names one, or open the file where there is."
            click.echo(said, err=True)


def _page_beside(path: Path, record: DecisionRecord) -> Path:
    """The page that the run wrote, or a new one where there is none or the record is newer."""
    from finetune_gate.gate.run.states import REPORT_FILE

    page = path.with_name(REPORT_FILE)
    if not page.exists() or page.stat().st_mtime < path.stat().st_mtime:
        write_report("html", page, record, path.parent)
    return page


def _opened(page: Path) -> bool:
    import webbrowser

    return _may_open() and webbrowser.open(page.absolute().as_uri())


def _may_open() -> bool:
    """Without a display a text browser would take over the terminal, in CI too."""
    if sys.platform in ("darwin", "win32"):
        return True
    return any(os.environ.get(name) for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY"))


def _record_file(given: Path | None) -> Path:
    name = "decision-record.json"
    if given is not None:
        return given / name if given.is_dir() else given
    newest = sorted(Path(".finetune-gate").glob(f"*/{name}"), key=lambda path: path.stat().st_mtime)
    if not newest:
        problem = Problem(".finetune-gate", "no decision record", "the record of an earlier run", "name a RECORD")
        raise ConfigurationError(problem)
    return newest[-1]
