"""One look at the registry: see which versions ask to be gated, and start what is to be started.

    report = look(registry, [Path("gate.yaml")], relay, author=Author("octocat", "watch"))

Everything is read anew each time, gate files as well. What it starts is settled by the turns in the registry, so looks
may overlap, on one machine or many.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from finetune_gate.evaluators.errors import (
    ConfigurationError,
    FinetuneGateError,
    Problem,
    RegistryError,
    without_credentials,
)

from ..clock import now_iso, now_ms
from ..gate_file import Gate, load_gate_file
from ..registry import Author, Registry, reconcile
from ..registry.ledger_entries import Replayed
from ..registry.own_models import is_own
from ..turns import Ending, Turns
from .asking import Ask, NotYet, who_asks
from .next_step import Kind, Pace, next_step
from .relay import Relay
from .report import Did, Looked, Report

_IN_A_ROW: Final = 3
"""So many models that the registry could not tell about, one after another, mean that it is away."""

_DID: Final[Mapping[Kind, Did]] = {"wait": "waited", "give up": "gave up", "done": "done"}


@dataclass(frozen=True, slots=True)
class _Named:
    """A gate file as it was named, and as it was read."""

    path: Path
    gate: Gate


def look(
    registry: Registry,
    gates: Iterable[Path],
    relay: Relay,
    models: frozenset[str] | None = None,
    *,
    author: Author | None = None,
    pace: Pace | None = None,
) -> Report:
    """Look at the models of ``gates``, or at those of them that ``models`` names. No error leaves: what keeps a gate
    file or a model from being looked at is a problem of the report, and keeps no other."""
    begun = now_iso()
    problems: list[Problem] = []
    by_model: dict[str, list[_Named]] = {}
    for path in dict.fromkeys(gates):
        try:
            gate = load_gate_file(path)
        except ConfigurationError as error:
            problems += error.problems
            continue
        if models is None or gate.file.model in models:
            by_model.setdefault(gate.file.model, []).append(_Named(path, gate))
    looked: list[Looked] = []
    away = 0
    for model, named in by_model.items():
        if away >= _IN_A_ROW:
            problems.append(Problem(f"model {model!r}", "not looked at: the registry failed for the models before it"))
            continue
        try:
            for one in _look_at(model, named, registry, relay, author or Author(), pace or Pace()):
                looked.append(one)
            away = 0
        except FinetuneGateError as error:
            problems += error.problems
            away += isinstance(error, RegistryError)
        except Exception as error:  # noqa: BLE001 - the border between one model and the others
            said = f"{type(error).__name__}: {without_credentials(str(error))}"
            problems.append(Problem(f"model {model!r}", said, way_out="this is a fault of finetune-gate: report it"))
    return Report(begun, tuple(by_model), tuple(looked), tuple(problems))


def _look_at(
    model: str, gates: Sequence[_Named], registry: Registry, relay: Relay, author: Author, pace: Pace
) -> Iterator[Looked]:
    turns = Turns(registry, model, author)
    for_new_ones = any(one.gate.file.triggers.new_versions for one in gates)
    versions = registry.versions(model)
    if not versions and (missing := no_such_model(registry, model)):
        if for_new_ones and turns.read().watched_from is None:
            turns.watch(0)  # its first version is a new one
        yield Looked(model, "", str(gates[0].path), "", "no model", missing)
        return
    settled = reconcile(registry, model, author)
    for alias in settled.values():
        for deed in alias.deeds:
            yield Looked(model, "", "", "promotion ledger", "reconciled", deed.said)
    aliases = registry.aliases(model)
    log = turns.read()
    if for_new_ones and log.watched_from is None:
        newest = max((int(one.version) for one in versions), default=0)
        log = replace(log, watched_from=turns.watch(newest))
        yield Looked(model, "", "", "", "began to watch", f"versions above {log.watched_from} are new from here on")
    for named in gates:
        others = {one.gate.digest for one in gates} - {named.gate.digest}
        alias = named.gate.file.promotion.alias
        served = served_by(settled[alias].replayed, alias) if alias in settled else set[str]()
        asking = who_asks(named.gate, versions, aliases, log, path=named.path, served=served, others=others)
        for one in asking:
            yield _seen(model, named, one, relay, turns, pace)


def no_such_model(registry: Registry, model: str) -> str:
    """Why there is none; "" if there is one, without versions. Raises ConfigurationError for one of our own lists."""
    try:
        registry.aliases(model)
    except ConfigurationError as error:
        if is_own(model):
            raise
        problem = error.problems[0]
        return f"{problem.found} yet; if that is unexpected: {problem.way_out}"
    return ""


def served_by(ledger: Replayed, alias: str) -> set[str]:
    """Versions that ``alias`` has pointed to, as far as the promotion ledger knows."""
    entries = [row.entry for row in ledger.moves(alias) if row.entry]
    return {version for entry in entries for version in (entry.before, entry.after) if version}


def _seen(model: str, named: _Named, one: Ask | NotYet, relay: Relay, turns: Turns, pace: Pace) -> Looked:
    def looked(did: Did, sentence: str) -> Looked:
        version = one.version if isinstance(one, NotYet) else one.subject.version
        return Looked(model, version, str(named.path), one.why, did, sentence)

    if isinstance(one, NotYet):
        return looked("not ready", one.sentence)
    ask, coming = _listened(one, relay, turns)
    if coming:
        return looked("waited", coming)
    step = next_step(ask.standing, now_ms(), pace, missed=ask.missed)
    if step.kind != "start":
        return looked(_DID[step.kind], step.sentence)
    if ask.standing.state == "asked":
        over = _end(ask, turns, _unanswered(ask, step.sentence))
        if over.standing.number != ask.standing.number:
            return looked("taken", "somebody has begun meanwhile")
        ask = over
    started = relay.start(ask, turns)
    return looked(started.did, f"{step.sentence}: {started.sentence}")


def _listened(ask: Ask, relay: Relay, turns: Turns) -> tuple[Ask, str]:
    """``ask`` as it stands after its relay was asked what became of it, and why it is waited for, if it is."""
    row = ask.standing.row
    if row is None or ask.standing.state != "asked" or not row.delivered or row.turn.via != relay.via:
        return ask, ""
    word = relay.word(ask)
    if word == "coming":
        return ask, f"asked for by {row.who} through {relay.via} at {row.turn.at} ({row.delivered}), and on its way"
    if word == "unknown":
        return ask, ""
    return _end(ask, turns, word), ""


def _unanswered(ask: Ask, why: str) -> Ending:
    row = ask.standing.row
    return Ending(outcome="failed" if row is not None and row.delivered else "undelivered", sentence=why)


def _end(ask: Ask, turns: Turns, ending: Ending) -> Ask:
    """Note how the turn ended at which ``ask`` stands, unless a run has taken it meanwhile."""
    standing = turns.read().standing(ask.subject.key)
    if standing.number == ask.standing.number and standing.state == "asked":
        turns.end(standing.number, ending)
    return replace(ask, standing=turns.read().standing(ask.subject.key))
