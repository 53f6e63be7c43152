"""``finetune-gate simulate``: how often a gate file promotes, holds and blocks, before anything is spent."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import click

from finetune_gate.evaluators.errors import ConfigurationError, Problem

from .options import gate_file_argument
from .output import print_json
from .progress import shown_progress


@click.command()
@gate_file_argument
@click.option(
    "--record", type=click.Path(path_type=Path), help="Take the scores of an earlier run: its record, or its folder."
)
@click.option(
    "--like",
    type=click.Choice(["base", "champion"]),
    help="With --record: what a candidate of no difference equals.  [default: champion, if there is one]",
)
@click.option("--aa", "same", is_flag=True, help="Base against base: how often it alarms where there is nothing.")
@click.option(
    "--worlds", type=click.IntRange(2, 1_000_000), default=1000, show_default=True, help="How often it is decided."
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the worlds that are drawn.")
@click.option("--differences", metavar="D,D,...", help="True differences to look at, such as -0.04,-0.02,0.")
@click.option("--base-rate", type=float, help="Without --record: how often the base is right.  [default: 0.7]")
@click.option("--discordance", type=float, help="Without --record: how often models differ.  [default: 0.2]")
@click.option("--within", type=float, help="Without --record: correlation within a cluster.  [default: 0.3]")
@click.option("--champion", is_flag=True, default=None, help="Without --record: there is a champion, too.")
@click.option(
    "--deadline", type=click.FloatRange(1), default=600.0, show_default=True, help="Stop after so many seconds."
)
@click.option("--processes", type=click.IntRange(1, 256), help="As many as there are cores, unless said otherwise.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
def simulate(
    gate_file: Path,
    record: Path | None,
    like: Literal["base", "champion"] | None,
    same: bool,
    worlds: int,
    seed: int,
    differences: str | None,
    deadline: float,
    processes: int | None,
    as_json: bool,
    quiet: bool,
    **of_drawn: Any,
) -> int:
    """Say how often this gate promotes, holds and blocks candidates whose true difference is known.

    Scores of many worlds are drawn for the examples that there are, or from those of an earlier run, and decided as a
    run decides. Asks no model anything. Ctrl-C shows what is there. Exit status: 0 simulated, 2 usage or configuration,
    4 the record cannot be used, 130 interrupted.
    """
    from finetune_gate.gate.gate_file import load_gate_file

    given = {name: value for name, value in of_drawn.items() if value is not None}
    points = _differences(differences, same=same)
    _refuse_useless(record, given)
    if record is None and like is not None:
        raise ConfigurationError(Problem("command line --like", "given without --record", "a record, or no --like"))
    gate = load_gate_file(gate_file)

    from finetune_gate.gate.simulating import (
        DrawnSettings,
        SimulationSettings,
        drawn,
        print_simulation,
        simulate_gate,
        stored,
    )

    source = (
        drawn(gate, DrawnSettings(**given), same=same) if record is None else stored(gate, record, like=like, same=same)
    )
    settings = SimulationSettings(worlds, seed, points, deadline, **({"processes": processes} if processes else {}))
    with shown_progress(quiet or as_json) as progress:
        found = simulate_gate(source, settings, today=datetime.now(UTC).date(), progress=progress)
    if as_json:
        print_json(found.model_dump(mode="json"))
    else:
        print_simulation(found)
    return 130 if found.stopped == "interrupted" else 0


def _differences(given: str | None, *, same: bool) -> tuple[float, ...] | None:
    if given is None:
        return None
    where = "command line --differences"
    if same:
        raise ConfigurationError(Problem(where, "given with --aa", "one of them", "--aa looks at no difference"))
    try:
        found = tuple(float(one) for one in given.split(","))
    except ValueError:
        raise ConfigurationError(Problem(where, repr(given[:80]), "numbers, such as -0.04,-0.02,0")) from None
    if not all(-1 <= one <= 1 for one in found):
        raise ConfigurationError(Problem(where, repr(given[:80]), "numbers from -1 to 1"))
    return found


def _refuse_useless(record: Path | None, given: Mapping[str, object]) -> None:
    if record is not None and given:
        names = " and ".join(f"--{name.replace('_', '-')}" for name in given)
        found = f"given with --record, whose scores tell {'it' if len(given) == 1 else 'them'}"
        raise ConfigurationError(Problem(f"command line {names}", found, "one or the other"))
