"""``finetune-gate serve``: receive MLflow's webhooks, and gate what asks for it."""

from __future__ import annotations

import ipaddress
import json
import os
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from finetune_gate.evaluators.errors import ConfigurationError, EvaluationError, Problem

from .output import EXIT
from .watch import WatchLines, watch_settings, watching_options

if TYPE_CHECKING:
    from finetune_gate.flows.receiver import Log, Look
    from finetune_gate.flows.relays import Watch
    from finetune_gate.gate.gate_file import GateFile


@click.command()
@watching_options
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option("--port", type=click.IntRange(0, 65535), default=8300, show_default=True, help="Port; 0 takes any.")
@click.option(
    "--inbox",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File of what is still to be looked into. Default: in FINETUNE_GATE_HOME, or the user's cache folder.",
)
@click.option(
    "--sweep-every",
    type=click.FloatRange(0, 24 * 3600),
    default=300.0,
    show_default=True,
    metavar="SECONDS",
    help="Look at all models so often, whether asked to or not; 0: never.",
)
@click.option("--json", "as_json", is_flag=True, help="A JSON line for everything that happens.")
def serve(
    gate_files: tuple[Path, ...],
    host: str,
    port: int,
    inbox: Path | None,
    sweep_every: float,
    relay: str,
    at_once: int,
    hours: float,
    tracking_uri: str | None,
    out: Path,
    as_json: bool,
) -> None:
    """Receive MLflow's webhooks for the models of GATE_FILEs, and gate what asks for it.

    Needs FINETUNE_GATE_WEBHOOK_SECRET, the secret that MLflow signs with, or FINETUNE_GATE_WEBHOOK_SECRET_FILE;
    `finetune-gate webhooks install` tells MLflow of it. SIGTERM and Ctrl-C end it; what it has accepted is on disk and
    done after the next start. Exit status: 0 ended, 2 usage or configuration.
    """
    from finetune_gate.flows.receiver import Inbox, Log, Receiver, Working, own_aliases, webhook_secrets
    from finetune_gate.flows.receiver import serve as serve_deliveries
    from finetune_gate.flows.relays import open_watch
    from finetune_gate.gate.clock import now_iso
    from finetune_gate.gate.home import default_home

    secrets = webhook_secrets(os.environ)
    models = own_aliases(_gate_files(gate_files))
    settings = watch_settings(gate_files, relay, at_once, hours, tracking_uri, out, trigger="webhook")
    log, lines = Log(_say_as_json if as_json else click.echo), WatchLines(as_json=as_json)
    with (
        Inbox.open(inbox or default_home() / "inbox.sqlite3") as box,
        closing(open_watch(settings, ended=lines.gate)) as watch,
    ):
        working = Working(box, _looking(watch, lines, log), sweep_seconds=sweep_every, log=log)
        receiver = Receiver(secrets, models, box, log, wake=working.wake)

        def ready(address: str) -> None:
            if as_json:
                about = {"webhooks": address, "models": sorted(models), "inbox": str(box.path)}
                click.echo(json.dumps({"at": now_iso(), **about}))
                return
            click.echo(f"Webhooks  {address}")
            click.echo(f"Models    {', '.join(sorted(models))}")
            click.echo(f"Inbox     {box.path}")
            if not ipaddress.ip_address(urlsplit(address).hostname or "").is_loopback:
                click.echo("Others can reach this address, and it speaks plain HTTP: put TLS in front of it.")

        serve_deliveries(receiver, working, host=host, port=port, ready=ready)
        if watch.under_way:
            log.line(f"stopping {watch.under_way} gates: they go on at the next start")
    raise click.exceptions.Exit(EXIT["promote"])


def _say_as_json(line: str) -> None:
    """A line of the log, which begins with its moment."""
    at, _, said = line.partition("  ")
    click.echo(json.dumps({"at": at, "said": said}))


def _gate_files(paths: tuple[Path, ...]) -> list[GateFile]:
    """Raises ConfigurationError with the problems of all of them."""
    from finetune_gate.gate.gate_file import load_gate_file

    found: list[GateFile] = []
    problems: list[Problem] = []
    for path in paths:
        try:
            found.append(load_gate_file(path).file)
        except ConfigurationError as error:
            problems += error.problems
    if problems:
        raise ConfigurationError(*problems)
    return found


def _looking(watch: Watch, lines: WatchLines, log: Log) -> Look:
    """A look that says what is new, and raises where it must be repeated."""

    def look(models: frozenset[str] | None) -> None:
        report = watch.look(models)
        lines.report(replace(report, problems=()))  # those are said with when it is tried again
        not_reached = (
            Problem(f"{one.model} version {one.version}", one.sentence)
            for one in report.looked
            if one.did == "not reached"
        )
        problems = (*report.problems, *not_reached)
        for problem in problems[1:]:
            log.line(f"{problem.where}: {problem.found}")
        if problems:
            raise EvaluationError(*problems)

    return look
