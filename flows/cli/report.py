"""``finetune-gate report``: show a decision again, from its record alone."""

from __future__ import annotations

from pathlib import Path

import click

from finetune_gate.evaluators.errors import ConfigurationError, Problem

from .output import print_json


@click.command()
@click.argument("record", type=click.Path(path_type=Path), required=False)
@click.option("--format", "form", type=click.Choice(["terminal", "json", "markdown", "html"]), default="terminal")
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write to this file instead of the screen.")
@click.option("-v", "--verbose", is_flag=True, help="Show every measurement, not only those that rules look at.")
def report(record: Path | None, form: str, as_json: bool, output: Path | None, verbose: bool) -> None:
    """Show a decision record again.

    RECORD is a decision-record.json or the folder it lies in; without one, the newest under .finetune-gate.
    """
    from finetune_gate.gate.record import read_record, write_bytes_atomically
    from finetune_gate.gate.reports import print_record, render_html, render_markdown, render_terminal
    from finetune_gate.gate.run.finding_files import read_findings
    from finetune_gate.gate.run.score_files import read_scores
    from finetune_gate.gate.run.states import FINDINGS_FILE, SCORES_FILE

    path = _record_file(record)
    found = read_record(path)
    if as_json or form == "json":
        text = found.model_dump_json(indent=2)
    elif form == "markdown":
        text = render_markdown(found)
    elif form == "html":
        scores = path.parent / SCORES_FILE
        findings = path.parent / FINDINGS_FILE
        text = render_html(
            found,
            read_scores(scores) if scores.exists() else None,
            read_findings(findings) if found.findings is not None and findings.exists() else None,
        )
    elif output is None:
        print_record(found, verbose=verbose)
        return
    else:
        text = render_terminal(found, verbose=verbose)
    if output is None:
        click.echo(text)
    else:
        write_bytes_atomically(output, text.encode() + b"\n")
        if as_json:
            print_json({"written": str(output)})
        else:
            click.echo(f"written: {output}")


def _record_file(given: Path | None) -> Path:
    name = "decision-record.json"
    if given is not None:
        return given / name if given.is_dir() else given
    newest = sorted(Path(".finetune-gate").glob(f"*/{name}"), key=lambda path: path.stat().st_mtime)
    if not newest:
        problem = Problem(".finetune-gate", "no decision record", "the record of an earlier run", "name a RECORD")
        raise ConfigurationError(problem)
    return newest[-1]
