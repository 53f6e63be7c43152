"""``finetune-gate plan``: what a run would cost, and what its data can show, before anything is spent."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .check import refuse_unavailable
from .options import gate_file_argument, tracking_uri_option, version_option
from .output import print_json
from .progress import shown_progress

if TYPE_CHECKING:
    from finetune_gate.gate.gate_file import Gate
    from finetune_gate.gate.planning import GatePlan


@click.command()
@gate_file_argument
@version_option("Version to be gated")
@click.option("--base", help="What it was fine-tuned from, instead of the gate file's.")
@tracking_uri_option
@click.option(
    "--calibration/--no-calibration",
    "calibrate",
    default=True,
    help="Load local models and time a small sample, for an estimate of time.",
)
@click.option("--fresh", is_flag=True, help="Plan again, although the same was planned within ten minutes.")
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
def plan(
    gate_file: Path,
    candidate: str,
    base: str | None,
    tracking_uri: str | None,
    calibrate: bool,
    fresh: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Say what a run would ask, about how long it takes, and what its data can detect.

    Asks no API anything and changes nothing in the registry. Exit status: 0 planned, 2 usage or configuration, 4 no
    plan could be made.
    """
    from finetune_gate.gate.gate_file import load_gate_file
    from finetune_gate.gate.planning import print_plan

    gate = load_gate_file(gate_file)
    found = _planned(gate, candidate, base, tracking_uri, calibrate, fresh, quiet=quiet or as_json)
    if as_json:
        print_json(found.model_dump(mode="json"))
    else:
        print_plan(found)


def _planned(
    gate: Gate, candidate: str, base: str | None, tracking_uri: str | None, calibrate: bool, fresh: bool, *, quiet: bool
) -> GatePlan:
    """The plan of the last ten minutes where it still holds, else a new one."""
    from finetune_gate.gate.gate_file import load_data
    from finetune_gate.gate.home import default_home
    from finetune_gate.gate.planning import keep_plan, plan_gate, plan_key, read_plan
    from finetune_gate.gate.run.states import GateRequest

    home = default_home()
    key = plan_key(gate, candidate, base=base, tracking_uri=tracking_uri, calibrate=calibrate)
    kept = None if fresh else read_plan(home, key, time.time())
    if kept is not None:
        return kept
    load_data(gate)  # before anything heavy is imported
    refuse_unavailable(gate)
    request = GateRequest(
        gate_file=gate.path, candidate=candidate, base=base, tracking_uri=tracking_uri, home=home, trigger="plan"
    )
    with shown_progress(quiet) as progress:
        made = plan_gate(request, progress=progress, calibrate=calibrate)
    keep_plan(home, key, made)
    return made.plan
