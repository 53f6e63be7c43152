"""``finetune-gate run``: gate one model version."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from finetune_gate.evaluators.errors import ConfigurationError, EvaluationError, Problem

from .check import refuse_unavailable
from .formats import Format, Target, TargetType, settled, write_report
from .options import gate_file_argument, tracking_uri_option, version_option
from .output import EXIT, print_json, print_problems
from .progress import shown_progress

if TYPE_CHECKING:
    from finetune_gate.gate.gate_file.settings import Execution
    from finetune_gate.gate.record import DecisionRecord
    from finetune_gate.gate.run import GateRequest, GateResult
    from finetune_gate.gate.turns import Wish


def trigger() -> str:
    """What made this run, as far as the environment tells."""
    return "github" if os.environ.get("GITHUB_ACTIONS") else "command line"


@click.command()
@gate_file_argument
@version_option("Version under test")
@click.option("--base", help="What it was fine-tuned from, instead of the gate file's.")
@click.option("--once", is_flag=True, help="If this gate file has decided on the version already, show that decision.")
@click.option("--dry-run", is_flag=True, help="Decide and report; change nothing in the registry.")
@click.option("--exit-zero", is_flag=True, help="Exit status 0 for block and hold too; 2 and 4 stay what they are.")
@tracking_uri_option
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=".finetune-gate",
    show_default=True,
    help="Folder for records and reports, one sub-folder per run.",
)
@click.option(
    "--prefect/--no-prefect",
    "with_prefect",
    default=None,
    help="Walk the steps as a Prefect flow. Default: if PREFECT_API_URL is set, or a cluster is asked for.",
)
@click.option("--trigger", default=trigger, show_default="found out", help="What made this run, for the record.")
@click.option(
    "--report",
    "reports",
    type=TargetType(),
    multiple=True,
    help="Write the decision to this file as well, as `report -o` does: junit=gate.xml. May be given several times.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
@click.option("-v", "--verbose", is_flag=True, help="Show every measurement, not only those that rules look at.")
def run(
    gate_file: Path,
    candidate: str,
    base: str | None,
    once: bool,
    dry_run: bool,
    exit_zero: bool,
    tracking_uri: str | None,
    out: Path,
    with_prefect: bool | None,
    trigger: str,
    reports: tuple[Target, ...],
    as_json: bool,
    quiet: bool,
    verbose: bool,
) -> None:
    """Gate a model version: promote, block or hold it.

    A run of the same version under the same gate file that is under way anywhere is waited for, and its decision shown.

    With --dry-run --exit-zero it watches and never stands in the way, which is how to get to know a gate.

    Exit status: 0 promote, 1 block, 2 usage or configuration, 3 hold, 4 could not evaluate.
    """
    from finetune_gate.gate.run import GateRequest

    targets = settled(reports, "--report")
    request = GateRequest(
        gate_file=gate_file,
        candidate=candidate,
        base=base,
        dry_run=dry_run,
        tracking_uri=tracking_uri,
        out=out,
        trigger=trigger,
        actor=actor(),
    )
    result = gate_as_asked(request, with_prefect, wish="once" if once else "join", quiet=quiet or as_json)
    print_result(result, as_json=as_json, verbose=verbose, exit_zero=exit_zero)
    status = EXIT[result.record.decision]
    if not _written(targets, result, verbose=verbose):
        status = EXIT["could not evaluate"]
    elif exit_zero:
        if not as_json:
            click.echo(f"Exit     0 as --exit-zero asks; {result.record.decision} is {status} without it")
        status = 0
    raise click.exceptions.Exit(status)


def _written(targets: Sequence[tuple[Format, Path]], result: GateResult, *, verbose: bool) -> bool:
    """Whether all of ``targets`` are written, from the record that is kept. The decision is out by then, so that
    problems go to standard error."""
    from finetune_gate.gate.record import read_record
    from finetune_gate.gate.run.states import RECORD_FILE

    problems: list[Problem] = []
    for form, path in targets:
        try:
            write_report(form, path, read_record(result.folder / RECORD_FILE), result.folder, verbose=verbose)
        except EvaluationError as error:
            problems += error.problems
    print_problems(problems, as_json=False)
    return not problems


def _through_prefect(execution: Execution, wish: bool | None) -> bool:
    """A cluster is reached through Prefect's task runners, so its runs are walked by Prefect without being asked to."""
    if execution.runner == "local":
        return bool(os.environ.get("PREFECT_API_URL")) if wish is None else wish
    if wish is False:
        raise ConfigurationError(
            Problem(
                f"execution.runner: {execution.runner}",
                "its shards are Prefect tasks, and --no-prefect was given",
                way_out="leave --no-prefect out, or set execution.runner: local",
            )
        )
    return True


def gate_as_asked(request: GateRequest, with_prefect: bool | None, *, wish: Wish, quiet: bool) -> GateResult:
    """`gate_candidate`, once gate file and data are known to be in order. ``with_prefect``: None for what the
    environment and the gate file want."""
    from finetune_gate.gate.gate_file import load_data, load_gate_file

    gate = load_gate_file(request.gate_file)
    load_data(gate)  # before anything heavy is imported
    with_prefect = _through_prefect(gate.file.execution, with_prefect)
    refuse_unavailable(gate)
    return gate_candidate(request, with_prefect, wish=wish, quiet=quiet)


def gate_candidate(request: GateRequest, with_prefect: bool, *, wish: Wish = "join", quiet: bool) -> GateResult:
    with shown_progress(quiet) as progress:
        if with_prefect:
            from finetune_gate.flows.ephemeral import prepare_ephemeral_server

            prepare_ephemeral_server()
            from finetune_gate.flows.gate_flow import run_as_flow

            return run_as_flow(request, wish)
        from finetune_gate.gate.run import walk_in_turn

        return walk_in_turn(request, wish=wish, progress=progress)


def _look(record: DecisionRecord) -> dict[str, object] | None:
    """Where the run stopped looking; None where it was to look once."""
    look = record.look
    if look is None:
        return None
    return {"at": look.at, "of": len(look.shares), "stopped": look.stopped, "unasked": look.unasked}


def result_json(result: GateResult) -> dict[str, object]:
    """The decision for a machine."""
    from finetune_gate.gate.approval import approve_command
    from finetune_gate.gate.run.states import RECORD_FILE, REPORT_FILE

    record = result.record
    action = record.run.action
    labels = {model.role: model.label for model in record.models}
    champion = record.role("champion")
    return {
        "decision": record.decision,
        "decided_by": result.elsewhere or f"{record.run.actor} ({record.run.trigger})",
        "evaluated": not result.elsewhere,
        "exit_status": EXIT[record.decision],
        "sentence": record.sentence,
        "model": record.model,
        "candidate": labels.get("candidate"),
        "base": labels.get("base"),
        "champion": champion.version if champion else None,
        "action": action.model_dump(mode="json") if action else None,
        "dry_run": record.run.dry_run,
        "look": _look(record),
        "awaits_approval": record.awaits_approval,
        "approve": approve_command(record),
        "rules": [
            {"rule": rule.text, "severity": rule.severity, "outcome": rule.outcome, "sentence": rule.sentence}
            for rule in record.rules
        ],
        "record": str(result.folder / RECORD_FILE),
        "record_digest": record.digest(),
        "report": str(result.folder / REPORT_FILE),
        "mlflow": result.address,
        "mlflow_url": result.run_url,
    }


def print_result(result: GateResult, *, as_json: bool, verbose: bool, exit_zero: bool = False) -> None:
    """The decision for a person, or for a machine. ``exit_zero``: the exit status will be 0 whatever was decided."""
    from finetune_gate.gate.approval import approve_command
    from finetune_gate.gate.reports import print_record
    from finetune_gate.gate.reports.inert import inert_text
    from finetune_gate.gate.run.states import RECORD_FILE, REPORT_FILE

    if as_json:
        print_json({**result_json(result), "exit_zero": exit_zero} | ({"exit_status": 0} if exit_zero else {}))
        return
    record = result.record
    print_record(record, verbose=verbose)
    if result.elsewhere:
        click.echo(f"Gated by {inert_text(result.elsewhere)}, not by this run")
    click.echo(f"Record   {result.folder / RECORD_FILE}")
    click.echo(f"Report   {result.folder / REPORT_FILE}")
    click.echo(f"MLflow   {result.run_url or result.address}")
    if (command := approve_command(record)) is not None:
        click.echo(f"Approve  {inert_text(command, limit=2000)}")


def actor() -> str:
    """Who started this: the CI's actor where there is one, else the login name. A claim, not a proof."""
    import getpass

    for variable in ("GITHUB_ACTOR", "GITLAB_USER_LOGIN"):
        if os.environ.get(variable):
            return os.environ[variable]
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"
