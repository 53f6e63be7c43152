"""``finetune-gate verify``: decide again from a record alone, and compare every bit."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .options import complete_files, tracking_uri_option
from .output import EXIT, print_json, print_problems

if TYPE_CHECKING:
    from finetune_gate.gate.attesting.verifying import Verification

_DIFFERS = 1
_SHOWN = 20
"""Differences that a person is shown of each check, unless --verbose or --json asks for all."""


@click.command()
@click.argument("record", shell_complete=complete_files)
@click.option(
    "--key", type=click.Path(path_type=Path), metavar="PUBLIC.pem", help="Check the signatures with this key."
)
@tracking_uri_option
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing where it is verified.")
@click.option("-v", "--verbose", is_flag=True, help="Show every difference.")
def verify(record: str, key: Path | None, tracking_uri: str | None, as_json: bool, quiet: bool, verbose: bool) -> None:
    """Decide again from what a run kept, and compare every bit. No model is asked, nothing is changed.

    RECORD is a decision-record.json or the folder it lies in, or the id of an MLflow run (runs:/ID).

    Exit status: 0 verified, 1 something differs, 2 usage, 4 the record cannot be read, or not be decided again here.
    """
    from finetune_gate.gate.attesting.kept import kept_at
    from finetune_gate.gate.attesting.keys import public_key
    from finetune_gate.gate.attesting.verifying import verify as verify_kept

    checked_with = None if key is None else public_key(key)
    with kept_at(record, tracking_uri) as kept:
        found = verify_kept(kept, checked_with)
    status = {"verified": 0, "differs": _DIFFERS}.get(found.outcome, EXIT["could not evaluate"])
    if as_json:
        print_json(_as_json(found, status))
    elif status or not quiet:
        _print(found, verbose=verbose)
        print_problems(found.problems, as_json=False)
    raise click.exceptions.Exit(status)


def _as_json(found: Verification, status: int) -> dict[str, object]:
    return {
        "outcome": found.outcome,
        "exit_status": status,
        "decision": found.record.decision,
        "record_digest": found.record.digest(),
        "checks": [asdict(check) for check in found.checks],
        "hint": found.hint,
    }


def _print(found: Verification, *, verbose: bool) -> None:
    from finetune_gate.gate.reports.inert import inert_text

    click.echo(inert_text(found.record.sentence, limit=1000))
    for check in found.checks:
        click.echo(f"{check.state:<12} {check.name:<13} {inert_text(check.said)}")
        shown = check.differences if verbose else check.differences[:_SHOWN]
        for one in shown:
            click.echo(f"{'':13}{inert_text(one.where)}")
            click.echo(f"{'':15}found:    {inert_text(one.found)}")
            click.echo(f"{'':15}expected: {inert_text(one.expected)}")
        if len(check.differences) > len(shown):
            click.echo(f"{'':13}{len(check.differences) - len(shown)} more differences: --verbose shows all")
    if found.hint:
        click.echo(f"hint: {inert_text(found.hint)}")
    click.echo(f"{found.outcome}: record digest {found.record.digest()}")
