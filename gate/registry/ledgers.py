"""All promotion ledgers of a registry: whose they are, and every alias brought together with its own.

for model in models_with_ledgers(registry):
    found = reconciled(registry, model, Author("octocat", "reconcile"))
    found.aliases[0].outcome            # in order, completed, set right, moved by hand
    found.problems                      # why the registry could not
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from finetune_gate.evaluators.errors import ConfigurationError, Problem, RegistryError

from .ledger import Settled, reconcile
from .ledger_entries import Condition, ledger_name
from .ledger_store import Author
from .mlflow_types import ModelEntity
from .registry import Registry

Outcome = Literal["in order", "completed", "set right", "moved by hand"]
"""Of an alias.

in order       it was where its ledger says
completed      a move of ours had been interrupted, and was carried out
set right      a process that woke up late had set it back
moved by hand  it was moved outside the ledger: that is written down, and the alias stays where it was found
"""

_OUTCOMES: Final[Mapping[Condition, Outcome]] = {
    "settled": "in order",
    "unfinished": "completed",
    "late write": "set right",
    "hand-made": "moved by hand",
}
_LEDGERS: Final = ledger_name("")
_MOST_LEDGERS: Final = 100_000


@dataclass(frozen=True, slots=True)
class ReconciledAlias:
    """``found`` is the version that it pointed to, ``version`` the one that it points to now; None: nothing.
    ``outcome`` is that of the last of ``deeds``, which say in words what was done."""

    alias: str
    outcome: Outcome
    found: str | None
    version: str | None
    deeds: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What became of one model. ``note`` says why there are no aliases; ``problems``, why it could not be done."""

    model: str
    aliases: tuple[ReconciledAlias, ...] = ()
    note: str = ""
    problems: tuple[Problem, ...] = ()


def models_with_ledgers(registry: Registry) -> tuple[str, ...]:
    """The names of all models that have a ledger, in order; also those of models that are gone meanwhile."""
    found: set[str] = set()
    seen, token = 0, None
    with registry.connection.doing("list the promotion ledgers"):
        while seen < _MOST_LEDGERS:
            page = registry.connection.client.search_registered_models(
                filter_string=f"name LIKE '{_LEDGERS}%'", max_results=500, page_token=token
            )
            found.update(model for entity in page if (model := _model_of(entity)))
            seen, token = seen + len(page), page.token
            if not token:
                break
    return tuple(sorted(found))


def reconciled(registry: Registry, model: str, author: Author | None = None) -> Reconciled:
    """Settle every alias of ``model`` that its ledger knows. No error of MLflow leaves: one model that cannot be
    reconciled must not keep others from it. An alias that others keep moving is given up after two minutes."""
    try:
        found = reconcile(registry, model, author)
    except ConfigurationError:
        return Reconciled(model, note="there is no such model; its ledger stays")
    except RegistryError as error:
        return Reconciled(model, problems=error.problems)
    aliases = tuple(_alias(alias, settled) for alias, settled in found.items())
    return Reconciled(model, aliases, "" if aliases else "no moves in a ledger yet")


def _alias(alias: str, settled: Settled) -> ReconciledAlias:
    outcome: Outcome = _OUTCOMES[settled.deeds[-1].condition] if settled.deeds else "in order"
    said = tuple(deed.said for deed in settled.deeds)
    return ReconciledAlias(alias, outcome, settled.found, settled.standing.version, said)


def _model_of(entity: ModelEntity) -> str | None:
    """Whose ledger it is. A long name is in the tag alone; the tag is wrong where the ledger was renamed together with
    its model."""
    claims = (entity.tags.get("finetune_gate.ledger_of", ""), entity.name.removeprefix(_LEDGERS))
    return next((model for model in claims if model and ledger_name(model) == entity.name), None)
