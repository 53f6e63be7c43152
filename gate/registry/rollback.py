"""Back to an earlier version, through the promotion ledger like any other move.

plan = plan_rollback(registry, "support-bot")         # what would be done; settles the alias
move = roll_back(registry, plan, "Answers in French since Tuesday.", Author("octocat", "command line"))
move.outcome                                          # moved, already_there, or stale: moved since it was planned
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from finetune_gate.evaluators.errors import ConfigurationError, Problem

from .ledger import Ledger
from .ledger_entries import Replayed, at_version
from .ledger_store import Author, Wanted
from .mlflow_client import NotInRegistry
from .promotion import Move
from .registry import Registry

ALIAS: Final = "champion"


@dataclass(frozen=True, slots=True)
class RollbackPlan:
    """What a rollback would do. ``stage``: the legacy stage that the last move set, which this one would set, too."""

    model: str
    alias: str
    before: str | None
    after: str
    stage_before: str | None
    stage: str | None
    generation: int

    def said(self) -> str:
        moved = f"alias {self.alias!r} of {self.model}: {at_version(self.before)} -> {at_version(self.after)}"
        return moved if self.stage is None else f"{moved}; stage {self.stage_before} -> {self.stage}"


def plan_rollback(
    registry: Registry, model: str, to: str | None = None, *, alias: str = ALIAS, author: Author | None = None
) -> RollbackPlan:
    """``to``: a version as `parse_spelling` reads it; None for the one that served before the current one.

    Completes a move that was interrupted, and writes down one that was made by hand, so that what is planned starts
    from what really serves. Raises ConfigurationError where there is no such version, or nothing served before.
    """
    settled = Ledger(registry, model, author).settle(alias)
    standing = settled.standing
    target = previous(settled.replayed, alias) if to is None else registry.pick(model, to, "--to")[0].version
    if target is None:
        raise ConfigurationError(
            Problem(
                f"rollback of {model}",
                f"the ledger knows of no version that alias {alias!r} pointed to before {at_version(standing.version)}",
                "a version to go back to",
                "name it: --to VERSION",
            )
        )
    try:
        version = registry.version(model, target)
    except NotInRegistry:
        way_out = "name another: --to VERSION"
        found = f"version {target}, which served before, was deleted"
        raise ConfigurationError(Problem(f"rollback of {model}", found, "a version that exists", way_out)) from None
    entry = standing.move.entry if standing.move else None
    stage = entry.stage if entry else None
    return RollbackPlan(
        model, alias, standing.version, target, version.stage if stage else None, stage, standing.generation
    )


def previous(replayed: Replayed, alias: str) -> str | None:
    """The version that served before the current one came: rollbacks do not count as coming, so that a second
    rollback goes further back and not forth again."""
    standing = replayed.standing(alias)
    came = [
        row.entry
        for row in replayed.moves(alias)
        if row.entry and row.entry.kind != "rollback" and row.entry.after == standing.version != row.entry.before
    ]
    return came[-1].before if came else None


def roll_back(registry: Registry, plan: RollbackPlan, reason: str, author: Author | None = None) -> Move:
    """Do as planned, unless the alias was moved since: then nothing is moved, and the outcome is stale."""
    ledger = Ledger(registry, plan.model, author)
    settled = ledger.settle(plan.alias)
    standing = settled.standing
    if plan.before == plan.after and standing.version == plan.after:
        return Move("already_there", plan.alias, plan.before, plan.after, None, None, plan.said())
    outcome, serves, entry = "stale", standing.version, None
    if (standing.generation, standing.version) == (plan.generation, plan.before):
        wanted = Wanted(
            plan.alias, plan.before, plan.after, plan.generation, "rollback", reason, plan.stage, plan.stage_before
        )
        made = ledger.move(wanted, settled)
        outcome, serves, entry = made.outcome, made.serves, made.number
    if outcome == "moved":
        return Move(
            "moved", plan.alias, plan.before, plan.after, plan.stage_before, plan.stage, plan.said(), entry
        )  # fmt: skip
    now = f"alias {plan.alias!r} of {plan.model} points to {at_version(serves)} now, and was moved meanwhile"
    return Move("stale", plan.alias, serves, serves, plan.stage_before, plan.stage_before, now, entry)
