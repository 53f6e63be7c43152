"""``finetune-gate reconcile``: every alias back together with its promotion ledger."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

import click

from finetune_gate.evaluators.errors import ConfigurationError, Problem, RegistryError

from .options import tracking_uri_option
from .output import EXIT, print_json, print_problems
from .run import actor

if TYPE_CHECKING:
    from finetune_gate.gate.registry import Registry
    from finetune_gate.gate.registry.ledgers import Reconciled

_IN_A_ROW: Final = 3
"""So many models that could not be reconciled, one after another, mean that the registry is the reason."""


@dataclass(frozen=True, slots=True)
class _Round:
    """One look at all models. ``left``: those not looked at, because the registry had failed too often."""

    models: tuple[Reconciled, ...] = ()
    left: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()

    def all_problems(self) -> list[Problem]:
        return [*self.problems, *(problem for one in self.models for problem in one.problems)]

    def status(self) -> int:
        return EXIT["could not evaluate"] if self.all_problems() else 0


@click.command()
@click.argument("models", metavar="[MODEL]...", nargs=-1)
@click.option(
    "--every",
    type=click.FloatRange(1, 86_400),
    metavar="SECONDS",
    help="Do it again and again, until interrupted; once where not given.",
)
@tracking_uri_option
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON; with --every a line for each round.")
def reconcile(models: tuple[str, ...], every: float | None, tracking_uri: str | None, as_json: bool) -> None:
    """Bring aliases back together with their promotion ledgers.

    MODEL is a registered model's name; without any, every model that has a ledger. A move that was interrupted is
    completed; what a process set that woke up late is set right; what was moved by hand is written down and left as it
    is. Exit status: 0 in order or mended, 2 usage or configuration, 4 the registry could not; with --every, that of the
    last round.
    """
    if every is None:
        registry = _connected(tracking_uri, models)
        done = _round(registry, models)
        if as_json:
            print_json(_as_json(done))
        else:
            _print(done, only_news=False)
        raise click.exceptions.Exit(done.status())
    raise click.exceptions.Exit(_rounds(models, every, tracking_uri, as_json=as_json))


def _rounds(models: Sequence[str], every: float, tracking_uri: str | None, *, as_json: bool) -> int:
    """Until interrupted. The status of the last round; a registry that is away is waited for."""
    from finetune_gate.gate.clock import now_iso

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    registry: Registry | None = None
    status, first = 0, True
    try:
        while True:
            begun = time.monotonic()
            try:
                registry = registry or _connected(tracking_uri, models)
                done = _round(registry, models)
            except RegistryError as error:
                done = _Round(problems=error.problems)
            status = done.status()
            if as_json:
                click.echo(json.dumps({"at": now_iso(), **_as_json(done)}, allow_nan=False))
            else:
                _print(done, only_news=not first)
            first = False
            time.sleep(max(0.0, every - (time.monotonic() - begun)))
    except KeyboardInterrupt:
        return status


def _connected(tracking_uri: str | None, models: Sequence[str]) -> Registry:
    """Raises ConfigurationError for every one of ``models`` that there is not."""
    from finetune_gate.gate.registry import Registry

    registry = Registry.connect(tracking_uri)
    problems: list[Problem] = []
    for model in models:
        try:
            registry.aliases(model, "MODEL")
        except ConfigurationError as error:
            problems += error.problems
    if problems:
        raise ConfigurationError(*problems)
    return registry


def _round(registry: Registry, named: Sequence[str]) -> _Round:
    from finetune_gate.gate.registry import Author
    from finetune_gate.gate.registry.ledgers import models_with_ledgers, reconciled

    models = tuple(dict.fromkeys(named)) or models_with_ledgers(registry)
    author = Author(actor(), "reconcile")
    done: list[Reconciled] = []
    for at, model in enumerate(models):
        done.append(reconciled(registry, model, author))
        if len(done) >= _IN_A_ROW and all(one.problems for one in done[-_IN_A_ROW:]):
            return _Round(tuple(done), models[at + 1 :])
    return _Round(tuple(done))


def _as_json(done: _Round) -> dict[str, object]:
    return {
        "exit_status": done.status(),
        "models": [asdict(one) for one in done.models],
        "not_looked_at": list(done.left),
        "problems": [asdict(problem) for problem in done.problems],
    }


def _print(done: _Round, *, only_news: bool) -> None:
    from finetune_gate.gate.clock import now_iso
    from finetune_gate.gate.reports.inert import inert_text

    when = f"{now_iso()}  " if only_news else ""
    for one in done.models:
        name = inert_text(one.model)
        if one.note and not only_news:
            click.echo(f"{name}: {one.note}")
        for alias in one.aliases:
            where = f"version {alias.version}" if alias.version else "nothing"
            if alias.deeds or not only_news:
                click.echo(f"{when}{name}: @{inert_text(alias.alias)} is at {where}: {alias.outcome}")
            for deed in alias.deeds:
                click.echo(f"  {inert_text(deed)}")
    print_problems(done.all_problems(), as_json=False)
    if done.left:
        click.echo(f"{len(done.left)} more not looked at: the registry failed {_IN_A_ROW} times in a row", err=True)
    if not done.models and not done.problems and not only_news:
        click.echo("no model has a promotion ledger yet")
