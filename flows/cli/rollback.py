"""``finetune-gate rollback``: point the alias back to an earlier version."""

from __future__ import annotations

import sys
from dataclasses import asdict

import click

from finetune_gate.evaluators.errors import ConfigurationError, Problem

from .options import tracking_uri_option
from .output import EXIT, print_json
from .run import actor


@click.command()
@click.argument("model")
@click.option("--to", metavar="VERSION", help="Version to go back to; the one that served before if none.")
@click.option("--reason", required=True, metavar="TEXT", help="Why: goes into the ledger.")
@click.option("--alias", default="champion", show_default=True, help="Alias to move.")
@tracking_uri_option
@click.option("-y", "--yes", is_flag=True, help="Do not ask; needed where nobody can answer.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON; needs --yes.")
def rollback(
    model: str, to: str | None, reason: str, alias: str, tracking_uri: str | None, yes: bool, as_json: bool
) -> None:
    """Point the alias of MODEL back to an earlier version, through the promotion ledger.

    MODEL is a registered model's name. Exit status: 0 done, 2 usage or configuration, 3 not done (declined, or
    somebody moved the alias meanwhile), 4 the registry could not do it.
    """
    from finetune_gate.gate.registry import Author, Registry
    from finetune_gate.gate.registry.rollback import plan_rollback, roll_back
    from finetune_gate.gate.reports.inert import inert_text

    if not reason.strip():
        raise ConfigurationError(Problem("--reason", "nothing in it", "why the version is taken back"))
    if not yes and (as_json or not sys.stdin.isatty()):
        raise ConfigurationError(Problem("rollback", "nobody can be asked", "a yes beforehand", "add --yes"))
    registry, author = Registry.connect(tracking_uri), Author(actor(), "rollback")
    plan = plan_rollback(registry, model, to, alias=alias, author=author)
    if not as_json:
        click.echo(f"{'nothing to do' if plan.before == plan.after else 'rollback'}: {inert_text(plan.said())}")
    if not yes and plan.before != plan.after and not click.confirm("Do it?", default=False):
        click.echo("nothing was moved")
        raise click.exceptions.Exit(EXIT["hold"])
    move = roll_back(registry, plan, reason, author)
    if as_json:
        print_json({"model": model, **asdict(move)})
    else:
        click.echo(f"{move.outcome.replace('_', ' ')}: {inert_text(move.detail)}")
    raise click.exceptions.Exit(EXIT["hold"] if move.outcome == "stale" else 0)
