"""``finetune-gate ungated``: which versions a scheduled job should gate now."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from .options import tracking_uri_option
from .output import EXIT, print_problems

if TYPE_CHECKING:
    from finetune_gate.gate.watching import Asking

_JOBS: Final = 256
"""A matrix of GitHub may have so many jobs (docs.github.com, workflow syntax, jobs.<job_id>.strategy.matrix)."""

_SAID: Final = {
    "start": "to be gated",
    "wait": "waits",
    "give up": "given up",
    "done": "done",
    "not ready": "not ready",
}


@click.command()
@click.argument("gate_files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="GATE_FILE...")
@tracking_uri_option
@click.option(
    "--new-above",
    type=click.IntRange(0),
    metavar="VERSION",
    help="Versions above this are new, where no watcher has begun to watch. Default: above the newest that has served.",
)
@click.option(
    "--at-most",
    type=click.IntRange(1, _JOBS),
    default=_JOBS,
    show_default=True,
    help="Most versions to name, lowest first; the next look names the others.",
)
@click.option("--json", "as_json", is_flag=True, help="One line of JSON, fit for the matrix of a GitHub workflow.")
def ungated(
    gate_files: tuple[Path, ...], tracking_uri: str | None, new_above: int | None, at_most: int, as_json: bool
) -> None:
    """Say which versions ask to be gated, by the `triggers` of each GATE_FILE, and are not: nobody has decided on them,
    and nobody is at it.

    Starts nothing and changes nothing in the registry. Whoever gates what it names does so with `run --once`, which
    settles among all who try.

    Exit status: 0, also where there is none; 2 usage or configuration; 4 if a model could not be looked at.
    """
    from finetune_gate.gate.registry import Registry
    from finetune_gate.gate.watching import ungated as look_for

    found = look_for(Registry.connect(tracking_uri), gate_files, new_above=new_above)
    named, left = found.to_gate[:at_most], found.to_gate[at_most:]
    if as_json:
        errors = {"errors": [asdict(one) for one in found.problems]} if found.problems else {}
        click.echo(json.dumps({"include": [_job(one) for one in named], **errors}, allow_nan=False))
    else:
        _print(found.asking, found.notes, len(found.to_gate))
        print_problems(found.problems, as_json=False)
    if left:
        click.echo(f"{len(left)} more to be gated: named once some of these are under way", err=True)
    raise click.exceptions.Exit(EXIT["could not evaluate"] if found.problems else 0)


def _job(one: Asking) -> dict[str, str]:
    return {"model": one.model, "version": one.version, "gate_file": str(one.gate_file), "asked": one.why}


def _print(asking: Sequence[Asking], notes: Sequence[str], to_gate: int) -> None:
    from finetune_gate.gate.reports.inert import inert_text

    for one in asking:
        line = f"{one.model} v{one.version} ({one.why}), {one.gate_file}: {_SAID[one.kind]}: {one.sentence}"
        click.echo(inert_text(line, limit=1000))
    for note in notes:
        click.echo(f"note: {inert_text(note)}", err=True)
    click.echo(f"{to_gate} of {len(asking)} that ask are to be gated")
