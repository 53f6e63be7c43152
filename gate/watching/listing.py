"""Which versions a gate should be started for now, for a scheduler that starts gates itself; nothing is written.

    found = ungated(registry, [Path("gate.yaml")])
    [one.version for one in found.to_gate]
    found.problems                           # why a model could not be looked at

What `look` would start, as its turns stand: not what is decided, being gated, or tried again in a while. Two lists made
at the same time name the same versions: `finetune-gate run --once` settles by its turn who gates.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from finetune_gate.evaluators.errors import ConfigurationError, Problem, RegistryError

from ..clock import now_ms
from ..gate_file import Gate, load_gate_file
from ..registry import Ledger, Registry
from ..registry.registered import RegisteredVersion
from ..turns import Log, Turns
from .asking import NotYet, who_asks
from .next_step import Kind, Pace, next_step
from .sweep import no_such_model, served_by


@dataclass(frozen=True, slots=True)
class Asking:
    """A version that asks to be gated by the gate file at ``gate_file``, ``why``, and what is to be done about it.

    ``kind``: ``start`` it is to be gated now; ``wait``, ``give up`` and ``done`` as in `Step`; ``not ready`` MLflow has
    not finished registering it. ``sentence`` says why.
    """

    model: str
    version: str
    gate_file: Path
    why: str
    kind: Kind | Literal["not ready"]
    sentence: str


@dataclass(frozen=True, slots=True)
class Found:
    """``notes`` say what was taken for granted. ``problems``: of models that the registry could not tell about."""

    asking: tuple[Asking, ...] = ()
    notes: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def to_gate(self) -> tuple[Asking, ...]:
        return tuple(one for one in self.asking if one.kind == "start")


def ungated(
    registry: Registry, gates: Iterable[Path], *, new_above: int | None = None, pace: Pace | None = None
) -> Found:
    """Look at the models of ``gates``, lowest version first.

    Where no watcher has begun to watch a model, nothing says which of its versions are new. Then those above
    ``new_above`` are; where that is None, those above the newest that has ever served; where none has, the last one.

    Raises ConfigurationError for gate files that cannot be read, and for one about a list of our own.
    """
    by_model: dict[str, list[tuple[Path, Gate]]] = {}
    unreadable: list[Problem] = []
    for path in dict.fromkeys(gates):
        try:
            gate = load_gate_file(path)
        except ConfigurationError as error:
            unreadable += error.problems
            continue
        by_model.setdefault(gate.file.model, []).append((path, gate))
    if unreadable:
        raise ConfigurationError(*unreadable)
    asking: list[Asking] = []
    notes: list[str] = []
    problems: list[Problem] = []
    for model, named in by_model.items():
        try:
            asking += _asking(registry, model, named, new_above, pace or Pace(), notes)
        except RegistryError as error:
            problems += error.problems
    return Found(tuple(asking), tuple(notes), tuple(problems))


def _asking(
    registry: Registry,
    model: str,
    named: Sequence[tuple[Path, Gate]],
    new_above: int | None,
    pace: Pace,
    notes: list[str],
) -> Iterator[Asking]:
    versions = registry.versions(model)
    if not versions:
        missing = no_such_model(registry, model)
        notes.append(missing or f"model {model!r} has no versions yet")
        return
    aliases = registry.aliases(model)
    log = Turns(registry, model).read()
    ledger = Ledger(registry, model).read()
    for path, gate in named:
        alias = gate.file.promotion.alias
        served = served_by(ledger, alias) | ({aliases[alias]} if alias in aliases else set[str]())
        seen = log
        if gate.file.triggers.new_versions and log.watched_from is None:
            seen = _watched(log, versions, served, new_above)
            notes.append(
                f"{path}: nobody has begun to watch {model!r}: versions above {seen.watched_from} are taken for new"
            )
        others = {other.digest for _, other in named} - {gate.digest}
        for one in who_asks(gate, versions, aliases, seen, path=path, served=served, others=others):
            if isinstance(one, NotYet):
                yield Asking(model, one.version, path, one.why, "not ready", one.sentence)
                continue
            step = next_step(one.standing, now_ms(), pace, missed=one.missed)
            yield Asking(model, one.subject.version, path, one.why, step.kind, step.sentence)


def _watched(log: Log, versions: Sequence[RegisteredVersion], served: set[str], new_above: int | None) -> Log:
    """``log`` as if somebody had begun to watch."""
    if new_above is None:
        newest = max(int(one.version) for one in versions)
        new_above = max((int(one) for one in served if one.isdecimal()), default=newest - 1)
    return replace(log, watched_from=new_above)
