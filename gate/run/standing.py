"""Where the alias stands: said when a run begins, and again where acting on its decision failed.

settled = settle_aloud(promoter, gate, progress)
with telling_where_the_alias_is(resolved):       # a RegistryError from here says what became of the alias
    ...
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from finetune_gate.evaluators.errors import FinetuneGateError, Problem, RegistryError

from ..gate_file import Gate
from ..pins import ModelPin
from ..progress import Progress
from ..registry import Ledger, LedgerPromotion, Registry
from ..registry.ledger import Settled
from ..registry.ledger_entries import at_version
from ..registry.mlflow_client import quick_calls
from ..registry.registered import Intent
from .states import Resolved


def settle_aloud(promoter: LedgerPromotion, gate: Gate, progress: Progress) -> Settled:
    """Bring alias and promotion ledger together, and say what was to be done about them and where the alias is."""
    alias = gate.file.promotion.alias
    settled = promoter.settle(gate.file.model, alias)
    for deed in settled.deeds:
        progress.say(f"  {deed.said}")
    progress.say(f"  alias {alias!r} points to {at_version(settled.standing.version)}")
    return settled


def left_unpublished(registry: Registry, candidate: ModelPin, alias: str) -> tuple[str, ...]:
    """What to say where an earlier run moved ``alias`` to the candidate, and ended before all of that was published."""
    if candidate.name is None or candidate.version is None:
        return ()
    intent = Intent.of(registry.version(candidate.name, candidate.version))
    if intent is None or intent.published or (intent.alias, intent.after) != (alias, candidate.version):
        return ()
    moved = f"{alias}: {at_version(intent.before)} -> {at_version(intent.after)}"
    return (f"an earlier run's move is not published yet, and will be: {moved}",)


@contextmanager
def telling_where_the_alias_is(resolved: Resolved) -> Generator[None]:
    """Whoever reads that the registry failed wants to know one thing: what serves now. It is read back for them."""
    try:
        yield
    except RegistryError as error:
        raise RegistryError(*error.problems, _whereabouts(resolved)) from error


def _whereabouts(resolved: Resolved) -> Problem:
    model, alias = resolved.gate.file.model, resolved.gate.file.promotion.alias
    before, candidate = resolved.alias_at, resolved.pins.candidate.version
    try:
        with quick_calls():
            due = Ledger(resolved.registry, model).read().standing(alias).version
            now = resolved.registry.alias_version(model, alias)
    except FinetuneGateError:
        unread = f"whether alias {alias!r} still points to {at_version(before)} could not be read"
        way_out = "run the same command again: it says so, and goes on"
        return Problem(model, f"MLflow does not answer: {unread}", way_out=way_out)
    way_out = "run the same command again: finished work is kept, and it goes on from there"
    points = f"alias {alias!r} points to {at_version(now)}"
    if now == candidate:
        moved = "as before this run" if before == candidate else "it was moved, and the next run publishes the rest"
        return Problem(model, f"{points}: {moved}", way_out=way_out)
    if now != before:
        return Problem(model, f"{points}: it was moved meanwhile, and not by this run", way_out=way_out)
    if due == candidate:
        carried = f"the move to {at_version(candidate)} is in its ledger, and the next run carries it out"
        return Problem(model, f"{points}: {carried}", way_out=way_out)
    return Problem(model, f"{points}: nothing was moved", way_out=way_out)
