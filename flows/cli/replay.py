"""``finetune-gate replay``: what another gate file would have decided, from the scores of a stored run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .options import complete_files, tracking_uri_option
from .output import EXIT, print_json
from .run import actor

if TYPE_CHECKING:
    from finetune_gate.gate.attesting.replaying import Replayed, RuleChange
    from finetune_gate.gate.record import DecisionRecord, RuleRecord


@click.command()
@click.argument("run", shell_complete=complete_files)
@click.option("--gate", "gate_file", type=click.Path(path_type=Path), required=True, help="The gate file to decide by.")
@tracking_uri_option
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FILE", help="Write the record of the new decision here."
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("-v", "--verbose", is_flag=True, help="Show the new decision whole, with every measurement.")
def replay(run: str, gate_file: Path, tracking_uri: str | None, out: Path | None, as_json: bool, verbose: bool) -> None:
    """Decide again from a stored run, by another gate file's rules. No model is asked, and nothing is moved.

    RUN is a decision-record.json or the folder it lies in, or the id of an MLflow run (runs:/ID). Its scores must be
    those that the gate file would have asked for: evaluators with other settings are refused.

    Exit status, of the decision now: 0 promote, 1 block, 2 usage or configuration, 3 hold, 4 could not evaluate.
    """
    from finetune_gate.gate.attesting.kept import kept_at
    from finetune_gate.gate.attesting.replaying import replay as replay_kept
    from finetune_gate.gate.gate_file import load_gate_file
    from finetune_gate.gate.record import write_record

    gate = load_gate_file(gate_file)
    with kept_at(run, tracking_uri) as kept:
        found = replay_kept(kept, gate, actor=actor())
    if out is not None:
        write_record(found.record, out)
    if as_json:
        print_json(_as_json(found, out))
    else:
        _print(found, out, verbose=verbose)
    raise click.exceptions.Exit(EXIT[found.record.decision])


def _as_json(found: Replayed, out: Path | None) -> dict[str, object]:
    return {
        "exit_status": EXIT[found.record.decision],
        "changed": found.then.decision != found.record.decision,
        "then": _decided(found.then),
        "now": _decided(found.record),
        "rules": [{"then": _rule(one.then), "now": _rule(one.now)} for one in found.rules],
        "remarks": list(found.remarks),
        "written": None if out is None else str(out),
    }


def _decided(record: DecisionRecord) -> dict[str, object]:
    return {
        "decision": record.decision,
        "sentence": record.sentence,
        "gate_file_digest": record.gate_file.digest,
        "record_digest": record.digest(),
    }


def _rule(rule: RuleRecord | None) -> dict[str, object] | None:
    if rule is None:
        return None
    return {"rule": rule.text, "severity": rule.severity, "outcome": rule.outcome, "sentence": rule.sentence}


def _print(found: Replayed, out: Path | None, *, verbose: bool) -> None:
    from finetune_gate.gate.reports.inert import inert_text

    click.echo(f"Then     {inert_text(found.then.sentence, limit=1000)}")
    click.echo(f"Now      {inert_text(found.record.sentence, limit=1000)}")
    click.echo(f"\n{'then':<13} {'now':<13} rule")
    for one in found.rules:
        before, after = one.outcomes
        click.echo(f"{before or '-':<13} {after or '-':<13} {inert_text(_words(one))}")
    for remark in found.remarks:
        click.echo(f"\n{inert_text(remark)}")
    if verbose:
        from finetune_gate.gate.reports import print_record

        click.echo()
        print_record(found.record, verbose=True)
    if out is not None:
        click.echo(f"\nRecord   {out}")


def _words(change: RuleChange) -> str:
    then, now = change.then, change.now
    if now is None:
        return f"{then.text if then else ''} (gone)"
    if then is None:
        return f"{now.text} (new)"
    return now.text if then.text == now.text else f"{now.text} (was: {then.text})"
