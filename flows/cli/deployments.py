"""``finetune-gate deployments``: serve the gate, and the watching of the registry, to Prefect."""

from __future__ import annotations

import os
from pathlib import Path

import click

from finetune_gate.evaluators.errors import ConfigurationError, Problem, without_credentials

from .options import tracking_uri_option


@click.command()
@click.argument("gate_files", nargs=-1, type=click.Path(path_type=Path), metavar="[GATE_FILE]...")
@click.option(
    "--every",
    type=click.IntRange(10, 86_400),
    default=300,
    show_default=True,
    metavar="SECONDS",
    help="How often to look at the registry.",
)
@click.option("--limit", type=click.IntRange(1, 64), default=1, show_default=True, help="Most gates at once here.")
@click.option(
    "--pool",
    metavar="NAME",
    help="Leave them to the workers of this pool, and end. Made, as one of processes, where there is none.",
)
@tracking_uri_option
def deployments(
    gate_files: tuple[Path, ...], every: int, limit: int, pool: str | None, tracking_uri: str | None
) -> None:
    """Serve the gate to Prefect as a deployment, until interrupted.

    With GATE_FILEs, a second deployment looks at the registry at intervals, and asks the first for a gate of every
    version that wants one. PREFECT_API_URL says which Prefect. With --pool, workers run what is started, in this
    folder and with their own settings (`prefect worker start`); for pools of containers see prefect.yaml.
    """
    api = os.environ.get("PREFECT_API_URL", "")
    if not api:
        way_out = "start one (prefect server start), and export PREFECT_API_URL=http://127.0.0.1:4200/api"
        raise ConfigurationError(Problem("PREFECT_API_URL", "not set", "the address of a Prefect server", way_out))
    from finetune_gate.flows.serving import Serving, leave_to_workers, serve
    from finetune_gate.gate.gate_file import load_gate_file

    gates = tuple(path.absolute() for path in gate_files)
    for path in gates:
        load_gate_file(path)
    if pool is not None:
        for name in leave_to_workers(Serving(gates, every_s=every), pool):
            click.echo(f"{name} is left to the workers of pool {pool} at {without_credentials(api)}")
        return
    click.echo(f"evaluation_gate/gate is served to {without_credentials(api)}, at most {limit} at once")
    if gates:
        click.echo(f"registry_watch/watch looks every {every} s for versions that ask to be gated")
    serve(Serving(gates, every_s=every, at_once=limit, tracking_uri=tracking_uri))
