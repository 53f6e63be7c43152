"""``finetune-gate demo``: the main job on models trained here and now."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from finetune_gate.evaluators.errors import without_credentials

from .output import EXIT, print_json
from .progress import shown_progress
from .run import gate_candidate, print_result, result_json

if TYPE_CHECKING:
    from finetune_gate.flows.demo import DemoModels
    from finetune_gate.flows.demo.registering import DemoRegistry
    from finetune_gate.gate.run import GateResult

GATE_FILE = """\
# What a new version of the ticket router must show before it may serve.
model: helpdesk-router
base: auto                                  # the adapter and the version's tag name it

data:
  holdout: data/holdout.jsonl               # tickets whose noun-phrase pairs were never trained on
  prose: data/prose.jsonl                   # what the base could already do

evaluators:
  - classification:
      data: holdout
      labels: [{labels}]
      prompt: "{prompt}"
      chat: never
  - perplexity: {{data: prose}}

rules:
  - {{metric: classification.accuracy, min: 0.9}}
  - {{metric: classification.accuracy, min_change: 0.0, margin: 0.02}}                 # not worse than what serves
  - {{metric: perplexity.bits_per_byte, min_change: 0.0, margin: 0.5, against: base}}  # has not forgotten its prose
  - {{metric: classification.f1_macro, min: 0.9, severity: warn}}

promotion: {{alias: champion}}
"""


@click.command()
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    default=".finetune-gate/demo",
    show_default=True,
    help="Where models, registry and reports of the demo are kept.",
)
@click.option("--seed", type=click.IntRange(0, 2**31), default=0, show_default=True, help="Seed of data and training.")
@click.option("--prefect/--no-prefect", "with_prefect", default=False, help="Walk the steps as a Prefect flow.")
@click.option(
    "--registry",
    metavar="URL",
    help="Only register them, at this MLflow server, and wait for what its gates decide: try an installation.",
)
@click.option(
    "--wait",
    type=click.FloatRange(0, 24 * 3600),
    default=900.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for each decision, with --registry.",
)
@click.option("--json", "as_json", is_flag=True, help="Print both results as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
@click.option("-v", "--verbose", is_flag=True, help="Show every measurement, not only those that rules look at.")
def demo(
    folder: Path,
    seed: int,
    with_prefect: bool,
    registry: str | None,
    wait: float,
    as_json: bool,
    quiet: bool,
    verbose: bool,
) -> None:
    """Train, register and gate two tiny models: no network, no key, no GPU.

    A base model learns help-desk prose. A LoRA learns to route tickets, and should be promoted; a full fine-tune on
    18 tickets learns them by heart, and should be blocked. The models are kept, so that a second demo goes straight
    to the gate.
    """
    from finetune_gate.flows.demo import train_demo_models
    from finetune_gate.flows.demo.registering import BASE_URI

    begun = time.monotonic()
    folder = folder / f"seed-{seed}"
    quiet = quiet or as_json
    with shown_progress(quiet) as progress:
        models = train_demo_models(folder, seed, progress.say, base_uri=BASE_URI)
    if registry is not None:
        _at_server(registry, models, wait, as_json=as_json)
    else:
        _here(folder, models, begun, with_prefect, as_json=as_json, quiet=quiet, verbose=verbose)


def _at_server(address: str, models: DemoModels, wait: float, *, as_json: bool) -> None:
    """Nothing is gated here: whoever watches that registry does it."""
    from finetune_gate.flows.demo.registering import MODEL, decision_at_server, register_at_server

    registered = register_at_server(address, models.base, models.good, models.overfit)
    versions = {registered.good: "the LoRA, trained on 600 tickets", registered.overfit: "the full fine-tune"}
    decisions: dict[str, str | None] = {}
    for version, told in versions.items():
        if not as_json:
            click.echo(f"{MODEL} version {version} is registered: {told}")
    for version in versions:
        decisions[version] = decision_at_server(registered, version, wait)
        if not as_json:
            decided = decisions[version] or f"no decision within {wait:g} s: does anybody watch this registry?"
            click.echo(f"{MODEL} version {version}: {decided}")
    # the good one's files may serve already, from a demo before: then there is nothing to decide about them
    good = ("promote", "hold") if registered.served else ("promote",)
    as_told = decisions[registered.good] in good and decisions[registered.overfit] == "block"
    if as_json:
        print_json({"as_told": as_told, "tracking_uri": without_credentials(address), "decisions": decisions})
    raise click.exceptions.Exit(0 if as_told else EXIT["could not evaluate"])


def _here(
    folder: Path, models: DemoModels, begun: float, with_prefect: bool, *, as_json: bool, quiet: bool, verbose: bool
) -> None:
    """In a registry of the demo's own."""
    from finetune_gate.flows.demo.registering import forget_champion, register_demo_models

    with shown_progress(quiet) as progress:
        progress.say("registry: base, good and over-fitted model in MLflow")
        registry = register_demo_models(folder, models.base, models.good, models.overfit)
        forget_champion(registry)
    gate_file = folder / "gate.yaml"
    gate_file.write_text(demo_gate_text(), encoding="utf-8")

    decided: list[str] = []
    results: list[dict[str, object]] = []
    for version, told in (
        (registry.good, "the LoRA, trained on 600 tickets"),
        (registry.overfit, "the full fine-tune on 18 tickets"),
    ):
        if not as_json:
            click.echo(f"\n$ finetune-gate run {gate_file} --version {version}      # {told}")
        result = _gate(gate_file, registry, version, with_prefect, quiet=quiet)
        decided.append(result.record.decision)
        results.append(result_json(result))
        if not as_json:
            print_result(result, as_json=False, verbose=verbose)

    as_told = decided == ["promote", "block"]
    seconds = time.monotonic() - begun
    if as_json:
        print_json(
            {"as_told": as_told, "seconds": round(seconds, 1), "tracking_uri": registry.tracking_uri, "gates": results}
        )
    else:
        click.echo(f"\n{seconds:.0f} s. The same by hand:")
        click.echo(f"  export MLFLOW_TRACKING_URI={registry.tracking_uri}")
        click.echo(f"  finetune-gate run {gate_file} --version {registry.overfit}   # exit status 1: blocked")
        click.echo('  mlflow ui --backend-store-uri "$MLFLOW_TRACKING_URI"   # versions, tags, runs')
    if not as_told:
        click.echo(f"expected one promotion and one block, got {' and '.join(decided)}", err=True)
    raise click.exceptions.Exit(0 if as_told else EXIT["could not evaluate"])


def _gate(gate_file: Path, registry: DemoRegistry, version: str, with_prefect: bool, *, quiet: bool) -> GateResult:
    from finetune_gate.gate.run import GateRequest

    request = GateRequest(
        gate_file=gate_file,
        candidate=version,
        tracking_uri=registry.tracking_uri,
        out=gate_file.parent / "runs",
        home=gate_file.parent / "home",
        trigger="demo",
        actor="demo",
    )
    return gate_candidate(request, with_prefect, quiet=quiet)


def demo_gate_text() -> str:
    from finetune_gate.flows.demo import PROMPT_TEMPLATE, QUEUES

    return GATE_FILE.format(labels=", ".join(QUEUES), prompt=PROMPT_TEMPLATE.replace("\n", "\\n"))
