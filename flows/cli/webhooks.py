"""``finetune-gate webhooks``: have an MLflow server tell the receiver what happens in its registry."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from finetune_gate.evaluators.errors import ConfigurationError, Problem

from .options import tracking_uri_option
from .output import EXIT, print_json

if TYPE_CHECKING:
    from finetune_gate.gate.registry.mlflow_client import Connection
    from finetune_gate.gate.registry.webhooks import Tried, Webhook

name_option = click.option(
    "--name",
    default="finetune-gate",
    show_default=True,
    help="Name of the webhook; each receiver of one server needs its own.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


@click.group()
def webhooks() -> None:
    """Have an MLflow server tell the receiver (`finetune-gate serve`) what happens in its registry.

    With MLflow's basic-auth, only admins may. Exit status: 0 done, 2 usage or configuration, 4 MLflow refused, or its
    event did not come through.
    """


@webhooks.command()
@click.argument("url")
@name_option
@tracking_uri_option
@json_option
def install(url: str, name: str, tracking_uri: str | None, as_json: bool) -> None:
    """Install the webhook, or change it, and try it with an event that gates nothing.

    URL is the receiver's address as the MLflow server reaches it, such as https://gate.example.com/mlflow. The secret
    is FINETUNE_GATE_WEBHOOK_SECRET, or in FINETUNE_GATE_WEBHOOK_SECRET_FILE; of several, the first.
    """
    from finetune_gate.flows.receiver import webhook_secrets
    from finetune_gate.gate.registry import webhooks as own

    url, secret = own.receiver_url(url), webhook_secrets(os.environ)[0].decode()
    connection = _connection(tracking_uri)
    installed = own.install(connection, url, secret, name=name)
    tried = own.send_test(connection, installed.webhook)
    notes = (
        f"MLflow may miss events for the next {own.CACHED_SECONDS} s: it keeps its list of webhooks that long. "
        "What it misses, the receiver's sweep finds.",
        f"Without {own.ENCRYPTION_KEY} on the MLflow server, the webhook ends with the server's next start.",
    )
    if as_json:
        print_json({**asdict(installed), "test": asdict(tried), "notes": notes})
    else:
        click.echo(f"{'installed' if installed.created else 'changed'}: {_line(installed.webhook)}")
        for one in installed.removed:
            click.echo(f"removed: {_line(one)}")
        for one in installed.others:
            click.echo(f"also sends there: {_line(one)}")
        _print_tried(tried)
        for note in notes:
            click.echo(note)
    raise click.exceptions.Exit(0 if tried.arrived else EXIT["could not evaluate"])


@webhooks.command("list")
@tracking_uri_option
@json_option
def list_all(tracking_uri: str | None, as_json: bool) -> None:
    """List the webhooks of the MLflow server."""
    from finetune_gate.gate.registry import webhooks as own

    found = own.webhooks(_connection(tracking_uri))
    if as_json:
        print_json({"webhooks": [asdict(one) for one in found]})
        return
    for one in found:
        click.echo(_line(one))
    if not found:
        click.echo("There are no webhooks.")


@webhooks.command()
@name_option
@tracking_uri_option
@json_option
def test(name: str, tracking_uri: str | None, as_json: bool) -> None:
    """Have MLflow send an event that gates nothing, and say what comes of it."""
    from finetune_gate.gate.registry import webhooks as own

    connection = _connection(tracking_uri)
    known = own.webhooks(connection)
    found = [one for one in known if one.name == name]
    if not found:
        names = ", ".join(sorted({one.name for one in known})) or "a webhook, and there are none"
        way_out = "`finetune-gate webhooks install URL`"
        raise ConfigurationError(Problem(f"webhook {name!r}", "there is none of that name", names, way_out))
    tried = own.send_test(connection, found[0])
    if as_json:
        print_json({"webhook": asdict(found[0]), "test": asdict(tried)})
    else:
        click.echo(_line(found[0]))
        _print_tried(tried)
    raise click.exceptions.Exit(0 if tried.arrived else EXIT["could not evaluate"])


@webhooks.command()
@name_option
@tracking_uri_option
@json_option
def remove(name: str, tracking_uri: str | None, as_json: bool) -> None:
    """Delete the webhook. MLflow may send for a minute still; what it sends then gates nothing wrong."""
    from finetune_gate.gate.registry import webhooks as own

    removed = own.remove(_connection(tracking_uri), name=name)
    if as_json:
        print_json({"removed": [asdict(one) for one in removed]})
        return
    for one in removed:
        click.echo(f"removed: {_line(one)}")
    if not removed:
        click.echo("There was none of that name.")


def _connection(tracking_uri: str | None) -> Connection:
    from finetune_gate.gate.registry import Registry

    return Registry.connect(tracking_uri).connection


def _line(webhook: Webhook) -> str:
    from finetune_gate.gate.reports.inert import inert_text

    return inert_text(f"{webhook.name} -> {webhook.url} ({webhook.status}): {', '.join(webhook.events)}")


def _print_tried(tried: Tried) -> None:
    from finetune_gate.gate.reports.inert import inert_text

    click.echo(f"test: {inert_text(tried.said, limit=800)}")
    if tried.way_out:
        click.echo(f"  way out: {inert_text(tried.way_out, limit=800)}")
