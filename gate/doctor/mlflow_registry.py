"""MLflow's registry, read with the account that a gate would use: the gate's model, its alias, stages, ledger,
experiment and turns, and webhooks. Nothing is written, so whether that account may write is not known.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from typing import Final

from finetune_gate.evaluators.errors import FinetuneGateError

from ..clock import now_ms
from ..gate_file import GateFile
from ..registry.ledger import Ledger
from ..registry.ledger_entries import Condition, Replayed, condition
from ..registry.registered import RegisteredVersion
from ..registry.registry import Registry
from .finding import Finding, fault, faults_of, ok, warning
from .mlflow_server import Addresses, is_http
from .registry_look import RegistryLook, counted, in_time
from .turns import turn_findings
from .webhooks import webhook_findings

REGISTRY: Final = "mlflow registry"
_OPENING_SECONDS: Final = 30.0
"""On top, for importing MLflow, and for a database that is opened directly: it takes its time, without anything being
wrong."""

_CONDITIONS: Final[dict[Condition, tuple[str, str]]] = {
    "unfinished": (
        "its last move is not known to be carried out",
        "`finetune-gate reconcile` completes it; so does the next run",
    ),
    "late write": (
        "it is where an earlier move led, set by a process that woke up late",
        "`finetune-gate reconcile` sets it right; so does the next run",
    ),
    "hand-made": (
        "it was moved by hand, outside the ledger",
        "find out who did; `finetune-gate reconcile`, or the next run, writes it down as it is",
    ),
}


def registry_findings(
    addresses: Addresses, file: GateFile | None, seconds: float, *, gate_digest: str = ""
) -> Iterator[Finding]:
    """All that is found in the registry. Every question is put once: MLflow's own patience is minutes.

    ``file``: the gate file whose model is looked at; without one only whether the registry can be read.
    ``gate_digest``: that of its bytes, by which turns are told from those of other gate files.
    """
    for name, value in (("MAX_RETRIES", "0"), ("TIMEOUT", str(math.ceil(seconds)))):
        os.environ.setdefault(f"MLFLOW_HTTP_REQUEST_{name}", value)
    opening = seconds + _OPENING_SECONDS
    try:
        registry = in_time("MLflow", opening, lambda: _connected(addresses))
    except FinetuneGateError as error:
        yield from faults_of(REGISTRY, error)
        return
    look = RegistryLook(registry, seconds if is_http(addresses.registry) else opening)
    yield ok(REGISTRY, f"{registry.public_address()} can be read; whether it can be written is not tried")
    if file is not None:
        yield from _model(look, file)
        yield _experiment(look, file.model)
        yield from turn_findings(look, file.model, gate_digest)
    if is_http(addresses.registry):
        yield from webhook_findings(look)


def _connected(addresses: Addresses) -> Registry:
    registry = Registry.connect(addresses.tracking or None)
    with registry.connection.doing("list registered models"):
        registry.connection.client.search_registered_models(max_results=1)
    return registry


def _model(look: RegistryLook, file: GateFile) -> Iterator[Finding]:
    model, alias, name = file.model, file.promotion.alias, "mlflow model"
    try:
        aliases = look.asked(lambda: look.registry.aliases(model))
        versions = look.asked(lambda: look.registry.versions(model))
    except FinetuneGateError as error:
        yield from faults_of(name, error)
        return
    if not versions:
        yield fault(name, f"{model} has no versions", "register one: that is what a gate judges")
        return
    newest = versions[-1]
    if newest.status == "READY":
        yield ok(name, f"{model}, {counted(len(versions), 'version')}, the newest {newest.version}")
    else:
        found = f"the newest version of {model}, {newest.version}, is {newest.status}"
        yield warning(name, found, "wait until it is READY, or register it again")
    yield _alias(model, alias, aliases.get(alias), file.champion)
    if file.champion and file.champion.startswith("@") and (judged := file.champion[1:]) != alias:
        found = f"candidates are compared with @{judged}, and @{alias} is what a promotion moves"
        yield warning("mlflow champion", found, f"`champion: '@{alias}'`, unless both is meant")
    yield from stages(versions, file.promotion.stage, file.triggers.stages)
    yield _ledger(look, model, alias)


def _alias(model: str, alias: str, serves: str | None, champion: str | None) -> Finding:
    name = "mlflow alias"
    if serves is not None:
        return ok(name, f"@{alias} of {model} is version {serves}")
    found = f"{model} has no alias {alias!r} yet"
    if champion is None or champion != f"@{alias}":
        return ok(name, f"{found}; the first promotion sets it")
    way_out = "nothing for a first model; else set the alias to the version that serves, or correct `promotion.alias`"
    return warning(name, f"{found}, so candidates are judged against their base alone", way_out)


def stages(versions: Sequence[RegisteredVersion], moved: str | None, asking: Sequence[str] = ()) -> Iterator[Finding]:
    """MLflow deprecated stages; they change without a webhook. ``moved``: the stage that the gate file moves to;
    ``asking``: those that ask for a gate."""
    name, silent = "mlflow stages", "a change of stage sends no webhook: `finetune-gate watch` finds it"
    staged = [one for one in versions if one.stage in ("Staging", "Production")]
    left = [one for one in staged if one.stage not in asking]
    if moved is not None:
        idle = "" if staged else ", and no version is in one, so nothing seems to read them"
        found = f"promotion.stage: {moved}{idle}; MLflow has deprecated stages and will remove them"
        yield warning(name, found, "let what serves the model follow the alias, then leave promotion.stage out")
    elif left:
        found = f"{_in_stages(left)}: this gate moves the alias alone, and stages stay where they are"
        yield warning(name, found, "let what serves the model follow the alias, or set promotion.stage")
    if len(left) < len(staged):
        asked = [one for one in staged if one.stage in asking]
        yield ok(name, f"{_in_stages(asked)}: triggers.stages asks to gate that; {silent}")
    elif moved is None and not left:
        yield ok(name, "none in use")


def _in_stages(versions: Sequence[RegisteredVersion]) -> str:
    return ", ".join(f"version {one.version} in {one.stage}" for one in versions[-3:])


def _ledger(look: RegistryLook, model: str, alias: str) -> Finding:
    name = "promotion ledger"
    try:
        replayed = look.asked(Ledger(look.registry, model).read)
        serves = look.asked(lambda: look.registry.alias_version(model, alias))
    except FinetuneGateError as error:
        return faults_of(name, error)[0]
    return ledger_order(replayed, alias, serves, now_ms())


def ledger_order(replayed: Replayed, alias: str, serves: str | None, now_ms: int) -> Finding:
    """How ``alias``, which points to version ``serves``, stands beside its ledger. ``serves`` is read after it."""
    name = "promotion ledger"
    if not replayed.head:
        return ok(name, "no moves yet")
    standing = replayed.standing(alias)
    if standing.broken_at is not None:
        found = f"entry {standing.broken_at} was deleted: what came after it does not count"
        return warning(
            name,
            found,
            "find out who deletes versions there; `finetune-gate reconcile` goes on from where the alias is",
        )
    state = condition(replayed, alias, serves, now_ms)
    if state != "settled":
        said, way_out = _CONDITIONS[state]
        at = f"version {serves}" if serves else "nothing"
        return warning(name, f"@{alias} points to {at}: {said}", way_out)
    foreign = [str(number) for number, fate in replayed.fates.items() if fate == "unreadable"]
    if foreign:
        found = f"in order, but for what is no entry: {', '.join(foreign[-5:])}"
        return warning(name, found, "find out who registers versions there, or changes their tags")
    return ok(name, f"in order, {counted(replayed.head, 'entry', 'entries')}")


def _experiment(look: RegistryLook, model: str) -> Finding:
    name, title = "mlflow experiment", f"finetune-gate/{model}"
    connection = look.registry.connection

    def read() -> tuple[str, str] | None:
        with connection.doing(f"read experiment {title!r}"):
            found = connection.client.get_experiment_by_name(title)
        return None if found is None else (found.lifecycle_stage, found.experiment_id)

    try:
        found = look.asked(read)
    except FinetuneGateError as error:
        return faults_of(name, error)[0]
    if found is None:
        return ok(name, f"{title} is made by the first run; whether this account may is not tried")
    if found[0] == "deleted":
        way_out = f"restore it: mlflow experiments restore --experiment-id {found[1]}"
        return fault(name, f"{title} is deleted, and MLflow keeps its name", way_out)
    return ok(name, f"{title} is there; whether this account may write to it is not tried")
