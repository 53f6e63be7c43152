"""``finetune-gate approve``: answer for a run that waits for a person."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from finetune_gate.evaluators.errors import ConfigurationError, Problem

from .options import complete_files, tracking_uri_option
from .output import EXIT, print_json
from .progress import shown_progress
from .run import actor, print_result

if TYPE_CHECKING:
    from finetune_gate.flows.approving import Outcome, Suspended
    from finetune_gate.flows.reviewing import ReviewForm
    from finetune_gate.gate.run.approving import Waiting

_FLOW_RUN = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@click.command()
@click.argument("run", shell_complete=complete_files)
@click.option("--reason", required=True, metavar="TEXT", help="Why, in a sentence: goes into the decision record.")
@click.option("--as", "name", default=actor, show_default="who you are logged in as", help="Your name, likewise.")
@click.option("--block", is_flag=True, help="Block the version instead.")
@click.option("--gate-file", type=click.Path(path_type=Path), help="The gate file that decided.  [default: gate.yaml]")
@click.option("--base", help="The base, where the run was given one instead of the gate file's.")
@tracking_uri_option
@click.option("--wait", type=click.FloatRange(min=0), metavar="SECONDS", help="Wait for a Prefect flow run to end.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask; needed where nobody can answer.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON; needs --yes.")
def approve(
    run: str,
    reason: str,
    name: str,
    block: bool,
    gate_file: Path | None,
    base: str | None,
    tracking_uri: str | None,
    wait: float | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Approve what RUN holds, or block it.

    RUN is the id of a suspended Prefect flow run, which then goes on; or of an MLflow run, the address of its record
    (runs:/ID/...) or the path of one, and the gate is walked again here. An approval counts for exactly what was shown.

    Exit status: that of `run`, and 3 where the answer was not taken. For a flow run without --wait, 0 says that it was
    taken, and nothing of the decision.
    """
    from finetune_gate.flows.reviewing import read_form

    if not yes and (as_json or not sys.stdin.isatty()):
        raise ConfigurationError(Problem("approve", "nobody can be asked", "a yes beforehand", "add --yes"))
    form = read_form({"verdict": "block" if block else "approve", "reviewer": name, "reason": reason})
    if isinstance(form, str):
        said = form.replace("reviewer:", "--as:").replace("reason:", "--reason:")
        raise ConfigurationError(Problem("approve", said, "a name and a reason, for the decision record"))
    if _FLOW_RUN.fullmatch(run):
        for option, given in (("--gate-file", gate_file), ("--base", base)):
            if given is not None:
                raise ConfigurationError(Problem(option, "not for a Prefect flow run, which has its own"))
        _answer_flow_run(run, form, wait, yes=yes, as_json=as_json)
    if wait is not None:
        raise ConfigurationError(Problem("--wait", "only for the id of a Prefect flow run", way_out="leave it out"))
    _gate_again(run, form, gate_file, base, tracking_uri, yes=yes, as_json=as_json)


def _gate_again(
    run: str,
    form: ReviewForm,
    gate_file: Path | None,
    base: str | None,
    tracking_uri: str | None,
    *,
    yes: bool,
    as_json: bool,
) -> None:
    from finetune_gate.gate.deciding import Review
    from finetune_gate.gate.registry import Registry
    from finetune_gate.gate.run import walk_in_turn
    from finetune_gate.gate.run.approving import approval_request, waiting_at

    waiting = waiting_at(run, Registry.connect(tracking_uri))
    verdict = "block" if form.verdict == "block" else "approve"
    request = approval_request(
        waiting,
        Review(verdict, form.reviewer, form.reason),
        gate_file=gate_file,
        base=base,
        tracking_uri=tracking_uri,
        actor=actor(),
    )
    if not yes:
        _confirm(_shown(waiting), verdict)
    with shown_progress(quiet=as_json) as progress:
        result = walk_in_turn(request, wish="again", progress=progress)
    print_result(result, as_json=as_json, verbose=False)
    if result.record.review is None:
        changed = ", ".join(waiting.seen.changed(result.seen))
        click.echo(f"The approval does not count. Since then has changed: {changed}.", err=True)
    raise click.exceptions.Exit(EXIT[result.record.decision])


def _shown(waiting: Waiting) -> str:
    from finetune_gate.gate.reports.inert import inert_text

    record = waiting.record
    roles = (f"{model.role}: {model.label}" for model in record.models if model.role != "judge")
    return "\n".join(map(inert_text, (record.sentence, *roles, f"Open until {waiting.until:%Y-%m-%d %H:%M} UTC.")))


def _confirm(text: str, verdict: str) -> None:
    click.echo(text)
    if not click.confirm(f"{verdict.capitalize()} it?", default=False):
        click.echo("nothing was said")
        raise click.exceptions.Exit(EXIT["hold"])


def _answer_flow_run(run_id: str, form: ReviewForm, wait: float | None, *, yes: bool, as_json: bool) -> None:
    from finetune_gate.flows.approving import answer, outcome_of, suspended
    from finetune_gate.gate.reports.inert import inert_text

    run = suspended(run_id)
    if not yes:
        _confirm("\n".join(inert_text(line, limit=2000) for line in run.text.split("\n")), form.verdict)
    answer(run, form)
    if not as_json:
        click.echo(f"taken: flow run {inert_text(run.name)} goes on")
        click.echo(f"Watch    {run.page or f'prefect flow-run inspect {run.id}'}")
    outcome = None if wait is None else outcome_of(run, wait)
    status = 0 if outcome is None else _status(outcome)
    if as_json:
        _print_as_json(run, form, outcome, status)
    elif outcome is not None:
        state = outcome.state if outcome.ended else f"{outcome.state}, and has not ended"
        click.echo(f"It is    {inert_text(': '.join(filter(None, (state, outcome.message))))}")
        if outcome.sentence is not None:
            click.echo(inert_text(outcome.sentence, limit=1000))
    raise click.exceptions.Exit(status)


def _status(outcome: Outcome) -> int:
    """Of the decision, never of Prefect's state."""
    return EXIT["could not evaluate"] if outcome.decision is None else EXIT[outcome.decision]


def _print_as_json(run: Suspended, form: ReviewForm, outcome: Outcome | None, status: int) -> None:
    print_json(
        {
            "flow_run": str(run.id),
            "name": run.name,
            "url": run.page,
            **form.model_dump(),
            "state": outcome.state if outcome else None,
            "ended": outcome.ended if outcome else None,
            "decision": outcome.decision if outcome else None,
            "sentence": outcome.sentence if outcome else None,
            "exit_status": status,
        }
    )
