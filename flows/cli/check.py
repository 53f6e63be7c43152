"""``finetune-gate check``: everything that can be known about a gate without a model."""

from __future__ import annotations

from pathlib import Path

import click

from finetune_gate.gate.gate_file import Gate, load_data, load_gate_file

from .options import gate_file_argument
from .output import print_json


def refuse_unavailable(gate: Gate) -> None:
    """Raise ConfigurationError for a store or a runner whose packages are missing, or whose address is none."""
    execution = gate.file.execution
    if execution.store not in ("local", "mlflow"):
        from finetune_gate.gate.answers import shared_answers

        shared_answers(execution.store, None)
    if execution.runner != "local":
        from finetune_gate.flows.clusters import refuse_unusable

        refuse_unusable(execution)


@click.command()
@gate_file_argument
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing where all is in order.")
def check(gate_file: Path, as_json: bool, quiet: bool) -> None:
    """Check a gate file and its data; ask nothing, load nothing.

    All faults are reported at once, each with its line, what was found, what was expected and a suggestion.
    Exit status: 0 in order, 2 not.
    """
    gate = load_gate_file(gate_file)
    data = load_data(gate)
    refuse_unavailable(gate)
    if as_json:
        print_json(
            {
                "gate_file": str(gate_file),
                "digest": gate.digest,
                "model": gate.file.model,
                "datasets": {
                    name: {"rows": len(found.examples), "digest": found.digest} for name, found in data.items()
                },
                "evaluators": {title: found.kind for title, found in gate.evaluators.items()},
                "rules": [{"rule": rule.text, "severity": rule.severity} for rule in gate.rules],
            }
        )
    if as_json or quiet:
        return
    click.echo(f"{gate_file}: in order, for model {gate.file.model!r}")
    for name, found in data.items():
        click.echo(f"  data       {name}: {len(found.examples):,} examples from {gate.file.data[name].path}")
    for title, evaluator in gate.evaluators.items():
        kind = "" if title == evaluator.kind else f" ({evaluator.kind})"
        click.echo(f"  evaluator  {title}{kind}: {len(evaluator.requests(data)):,} requests per model")
    for rule in gate.rules:
        click.echo(f"  rule       {rule.text}" + ("  (warning only)" if rule.severity == "warn" else ""))
