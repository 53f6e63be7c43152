"""``finetune-gate history``: what the gates of a model came to, over its versions, and every move of its aliases."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from finetune_gate.evaluators.errors import ConfigurationError, Problem

from .output import print_json

if TYPE_CHECKING:
    from finetune_gate.gate.history import PastDecision, PastMove

_BARS = "▁▂▃▄▅▆▇█"


@click.command()
@click.argument("model")
@click.option("--tracking-uri", help="MLflow server or sqlite:/// address; MLFLOW_TRACKING_URI where not given.")
@click.option("--metric", "metrics", multiple=True, help="Metric to show, as MLflow names it; those of rules if none.")
@click.option("--html", type=click.Path(path_type=Path), help="Write a page with plots to this file.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="Newest gates to show.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def history(
    model: str, tracking_uri: str | None, metrics: tuple[str, ...], html: Path | None, limit: int, as_json: bool
) -> None:
    """Show what earlier gates of MODEL came to, who made them, from which trigger, and every entry of its promotion
    ledger, oldest first.

    MODEL is a registered model's name. With --html, every metric that a rule spoke of is plotted over the gates.
    """
    from finetune_gate.gate.history import decisions_of, moves_of
    from finetune_gate.gate.record import write_bytes_atomically
    from finetune_gate.gate.registry import Ledger, Registry, Tracking
    from finetune_gate.gate.reports.history import render_history
    from finetune_gate.gate.reports.history_plots import plotted_metrics

    registry = Registry.connect(tracking_uri)
    past = decisions_of(Tracking(registry).past_runs(model, limit))
    moves = moves_of(Ledger(registry, model).read(), limit)
    if not past and not moves:
        way_out = "`finetune-gate run` makes one; --tracking-uri says where"
        raise ConfigurationError(Problem("MODEL", f"no gate of {model!r} came to a decision", way_out=way_out))
    measured = {name for one in past for name in one.metrics}
    unknown = [name for name in metrics if name not in measured]
    if unknown:
        shown = ", ".join(sorted(name for name in measured if "/" not in name)[:20])
        raise ConfigurationError(Problem("--metric", f"no gate measured {unknown[0]!r}", f"one of {shown}"))
    if html is not None:
        write_bytes_atomically(html, render_history(model, past, metrics, moves).encode())
    if as_json:
        gates = [{**asdict(one), "at": one.at.isoformat(), "metrics": dict(one.metrics)} for one in past]
        print_json({"gates": gates, "moves": [{**asdict(one), "at": one.at.isoformat()} for one in moves]})
        return
    _print(past, metrics or plotted_metrics(past))
    _print_moves(moves)
    if html is not None:
        click.echo(f"written: {html}")


def _print(past: Sequence[PastDecision], metrics: Sequence[str]) -> None:
    from finetune_gate.gate.reports.inert import inert_text

    for one in past:
        notes = ["dry run"] * one.dry_run + ["awaits approval"] * one.awaits_approval
        noted = f" ({', '.join(notes)})" if notes else ""
        when = one.at.strftime("%Y-%m-%d %H:%M")
        click.echo(f"{when}  version {inert_text(one.version):>4}  {inert_text(one.decision)}{noted}")
        click.echo(f"{'':18}{_by(one.actor, one.trigger)}{inert_text(one.sentence)}")
        if one.review:
            click.echo(f"{'':18}review: {inert_text(one.review)}")
    click.echo()
    for metric in metrics:
        values = [one.metrics.get(metric) for one in past]
        found = [value for value in values if value is not None]
        if found:
            click.echo(f"{metric}  {_bars(values)}  {found[0]:.4g} to {found[-1]:.4g}")


def _print_moves(moves: Sequence[PastMove]) -> None:
    from finetune_gate.gate.history import became_of
    from finetune_gate.gate.reports.inert import inert_text

    if moves:
        click.echo("\nPromotion ledger")
    for one in moves:
        click.echo(f"{one.at.strftime('%Y-%m-%d %H:%M')}  entry {one.entry:>4}  {inert_text(became_of(one))}")
        click.echo(f"{'':18}{_by(one.actor, one.trigger)}{inert_text(one.reason)}")


def _by(actor: str, trigger: str) -> str:
    """``by octocat (github): ``; nothing where nobody is named."""
    from finetune_gate.gate.reports.inert import inert_text

    return f"by {inert_text(actor)} ({inert_text(trigger)}): " if actor else ""


def _bars(values: Sequence[float | None]) -> str:
    """``▁▃█``: one bar for each gate, between the least and the greatest value; a gap where there is none."""
    found = [value for value in values if value is not None and math.isfinite(value)]
    low, spread = min(found, default=0.0), max(found, default=0.0) - min(found, default=0.0)

    def bar(value: float | None) -> str:
        if value is None or not math.isfinite(value):
            return " "
        return _BARS[min(len(_BARS) - 1, int((value - low) / spread * len(_BARS)))] if spread else _BARS[3]

    return "".join(map(bar, values))
