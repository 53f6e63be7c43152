"""``finetune-gate doctor``: what stands between this machine and a gate that runs, and how it is mended."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .check import refuse_unavailable
from .options import tracking_uri_option
from .output import EXIT, print_json

if TYPE_CHECKING:
    from finetune_gate.gate.doctor import Check, Finding
    from finetune_gate.gate.gate_file import Gate

_STYLES = {"ok": "green", "warning": "yellow", "fault": "bold red", "skipped": "dim"}
_DEFAULT_FILE = Path("gate.yaml")


@click.command()
@click.argument("gate_file", type=click.Path(path_type=Path), required=False)
@tracking_uri_option
@click.option("--models", is_flag=True, help="Also see what models would run on: imports torch, which takes seconds.")
@click.option(
    "--seconds",
    type=click.FloatRange(min=0.1, max=120),
    default=5.0,
    show_default=True,
    help="How long each server may take to answer a question.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="Show faults and warnings alone, and nothing where there are none.")
def doctor(
    gate_file: Path | None, tracking_uri: str | None, models: bool, seconds: float, as_json: bool, quiet: bool
) -> None:
    """Look at this machine, MLflow, Prefect, and what a gate file needs; say what to mend.

    GATE_FILE is gate.yaml where there is one; without, only machine, MLflow and Prefect are looked at. Changes nothing
    and costs nothing. Exit status: 0 no fault, warnings or not; 2 a fault would keep a gate from running.
    """
    from finetune_gate.gate.doctor import examine, keeps_gates_from_running

    gate, of_file = _gate_file(gate_file)
    findings = [*of_file, *examine(_checks(gate, tracking_uri, models=models, seconds=seconds))]
    shown = [one for one in findings if one.state in ("fault", "warning")] if quiet else findings
    if as_json:
        print_json([finding.to_json() for finding in shown])
    elif shown:
        _print(shown)
    raise click.exceptions.Exit(EXIT["usage"] if keeps_gates_from_running(findings) else 0)


def _gate_file(path: Path | None) -> tuple[Gate | None, list[Finding]]:
    """The gate file if it can be read at all, and what is found about it and its data."""
    from finetune_gate.evaluators.errors import ConfigurationError
    from finetune_gate.gate.doctor import faults_of, ok, skipped
    from finetune_gate.gate.gate_file import load_data, load_gate_file

    name = "gate file"
    if path is None and not _DEFAULT_FILE.exists():
        return None, [skipped(name, "there is no gate.yaml in this folder, and none was named")]
    try:
        gate = load_gate_file(path or _DEFAULT_FILE)
    except ConfigurationError as error:
        return None, faults_of(name, error)
    try:
        load_data(gate)
    except ConfigurationError as error:
        return gate, faults_of("data", error)
    return gate, [ok(name, f"{path or _DEFAULT_FILE} and its data are in order, for model {gate.file.model!r}")]


def _checks(gate: Gate | None, tracking_uri: str | None, *, models: bool, seconds: float) -> list[Check]:
    from finetune_gate.flows.doctor_prefect import prefect_findings
    from finetune_gate.flows.doctor_triggers import github_findings
    from finetune_gate.gate.doctor import (
        Check,
        cluster_finding,
        device,
        endpoint_findings,
        home_folder,
        python_and_packages,
        records_folder,
        sandbox_finding,
        scratch_folder,
        skipped,
        wanted_models,
        wanted_sandboxes,
    )
    from finetune_gate.gate.home import default_home

    file = gate.file if gate else None
    wanted_device = file.execution.device if file else "auto"
    waits = bool(file and file.review.wait == "hold")
    no_device = skipped("device", "not looked at", "--models does: it imports torch, which takes seconds")
    checks = [
        Check("packages", python_and_packages),
        Check("home", lambda: home_folder(default_home())),
        Check("records", lambda: [records_folder(Path(".finetune-gate"))]),
        Check("scratch", lambda: [scratch_folder()]),
        Check("device", lambda: [device(wanted_device) if models else no_device]),
        Check("mlflow", lambda: _mlflow(gate, tracking_uri, seconds)),
        Check("prefect", partial(prefect_findings, seconds=seconds, model=file and file.model, waits=waits)),
        Check("github", partial(github_findings, seconds)),
    ]
    if gate is not None:
        checks.append(Check("runner and store", lambda: _runner_and_store(gate)))
        if (cluster := gate.file.execution.cluster) is not None:
            checks.append(Check("cluster", lambda: [cluster_finding(cluster, seconds)]))
        for api, names in wanted_models(gate).items():
            checks.append(Check(f"endpoint {api}", partial(endpoint_findings, gate.file, api, names, seconds)))
        checks += [Check(address, partial(sandbox_finding, address)) for address in wanted_sandboxes(gate)]
    return checks


def _mlflow(gate: Gate | None, tracking_uri: str | None, seconds: float) -> Iterator[Finding]:
    """From the address inwards; what lies behind a fault is not asked for."""
    from finetune_gate.flows.doctor_triggers import receiver_secret
    from finetune_gate.gate.doctor import (
        OWN_WEBHOOK,
        Addresses,
        address_findings,
        keeps_gates_from_running,
        registry_findings,
        server_finding,
        skipped,
        webhook_settings,
    )

    addresses = Addresses.read(tracking_uri)
    outside = list(address_findings(addresses))
    if not keeps_gates_from_running(outside):
        outside += [server_finding(uri, seconds) for uri in addresses.each()]
    yield from outside
    if keeps_gates_from_running(outside):
        yield skipped("mlflow registry", "not asked, as long as that is so")
        return
    digest = gate.digest if gate else ""
    inside = list(registry_findings(addresses, gate.file if gate else None, seconds, gate_digest=digest))
    yield from inside
    yield webhook_settings(addresses.registry)
    registered = any(one.name == OWN_WEBHOOK and one.state != "skipped" for one in inside)
    yield from receiver_secret(registered=registered)


def _runner_and_store(gate: Gate) -> list[Finding]:
    from finetune_gate.gate.doctor import ok

    refuse_unavailable(gate)
    execution = gate.file.execution
    return [ok("runner and store", f"what execution.runner: {execution.runner} and its store need is installed")]


def _print(findings: Sequence[Finding]) -> None:
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    screen = Console()
    table = Table(box=None if screen.options.ascii_only else SIMPLE, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("", "looked at", "found"):
        table.add_column(Text(title), overflow="fold")
    for one in findings:
        found = Text(one.found)
        if one.way_out and one.state != "ok":
            found.append(f"\nway out: {one.way_out}", "italic" if one.state != "skipped" else "dim italic")
        table.add_row(Text(one.state, _STYLES[one.state]), Text(one.name), found)
    screen.print(table)
    screen.print(Text(_summary(findings)))


def _summary(findings: Sequence[Finding]) -> str:
    """``1 fault, 2 warnings, 9 in order, 3 skipped``"""
    said: list[str] = []
    for state, words in (("fault", "fault"), ("warning", "warning"), ("ok", "in order"), ("skipped", "skipped")):
        n = sum(one.state == state for one in findings)
        if n:
            said.append(f"{n} {words}" + "s" * (n > 1 and state in ("fault", "warning")))
    return ", ".join(said)
