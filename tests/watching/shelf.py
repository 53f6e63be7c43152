"""A registry with versions that have no files, gate files to watch them with, and a relay that only counts."""

from __future__ import annotations

import contextlib
import sys
import threading
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from finetune_gate.gate.registry import Author, Registry
from finetune_gate.gate.turns import Ending, Log, Outcome, Standing, Subject, Turns
from finetune_gate.gate.watching import Ask, Pace, Report, Started, look

BOT = "support-bot"

GATE = """model: {model}
data: {{holdout: holdout.jsonl}}
evaluators:
  - perplexity: {{data: holdout}}
rules:
  - {{metric: perplexity.bits_per_byte, max: 40}}
{extra}
"""


AT_ONCE = Pace(undelivered_s=-1, patience_s=-1, patience_here_s=-1, pauses_s=(-1,), missed_s=(-1,))
"""Nothing is waited for."""


def did(report: Report) -> dict[str, str]:
    """Version to what was done."""
    assert not report.problems, report.problems
    return {one.version: one.did for one in report.looked}


def write_gate(folder: Path, name: str = "gate.yaml", model: str = BOT, extra: str = "") -> Path:
    path = folder / name
    path.write_text(GATE.format(model=model, extra=extra))
    return path


@dataclass
class Counting:
    """Asks, and has nothing run: what it started is in ``asks``."""

    via: str = "test"
    said: Ending | Literal["coming", "unknown"] = "unknown"
    asks: list[tuple[str, str, str]] = field(default_factory=list)
    lock: Any = field(default_factory=threading.Lock)

    def start(self, ask: Ask, turns: Turns) -> Started:
        number = turns.ask(ask.subject, ask.standing, self.via, ask.why)
        if number is None:
            return Started("taken", "somebody else was faster")
        with self.lock:
            self.asks.append((ask.subject.model, ask.subject.version, ask.why))
        turns.delivered(number, "counted")
        return Started("started", "counted")

    def word(self, ask: Ask) -> Ending | Literal["coming", "unknown"]:
        return self.said

    @property
    def versions(self) -> list[str]:
        return [version for _, version, _ in self.asks]


@dataclass
class Shelf:
    folder: Path
    client: Any
    registry: Registry

    @property
    def uri(self) -> str:
        return f"sqlite:///{self.folder / 'mlflow.db'}"

    def register(self, model: str = BOT, tags: Mapping[str, str] | None = None) -> str:
        from mlflow.exceptions import MlflowException

        with contextlib.suppress(MlflowException):  # it is there already
            self.client.create_registered_model(model)
        made = self.client.create_model_version(model, "file:///nowhere", tags=dict(tags or {}), await_creation_for=0)
        return str(made.version)

    def alias(self, alias: str, version: str, model: str = BOT) -> None:
        self.client.set_registered_model_alias(model, alias, version)

    def stage(self, version: str, stage: str, model: str = BOT) -> None:
        with warnings.catch_warnings(action="ignore"):
            self.client.transition_model_version_stage(model, version, stage)

    def tag(self, version: str, key: str, value: str, model: str = BOT) -> None:
        self.client.set_model_version_tag(model, version, key, value)

    def turns(self, model: str = BOT) -> Turns:
        return Turns(self.registry, model, Author("ana", "test"))

    def log(self, model: str = BOT) -> Log:
        return self.turns(model).read()

    def subject(self, version: str, gate_digest: str, model: str = BOT) -> Subject:
        return Subject.of(self.registry.version(model, version), gate_digest)

    def end_last(self, outcome: Outcome, sentence: str = "as it was", model: str = BOT) -> Standing:
        """End the turn that was taken last, as the run would have."""
        turns = self.turns(model)
        number = max(turns.read().counting)
        turns.end(number, Ending(outcome=outcome, sentence=sentence))
        return next(one for one in turns.read().standings.values() if one.number == number)

    def look(self, relay: Any, *gates: Path, models: frozenset[str] | None = None, pace: Pace | None = None) -> Report:
        """As a watcher that was started a moment ago does: nothing is left of earlier ones."""
        registry = Registry.connect(self.uri)
        gates = gates or (self.folder / "gate.yaml",)
        return look(registry, gates, relay, models, author=Author("watcher", "watch"), pace=pace)


def open_shelf(folder: Path) -> Shelf:
    from mlflow import MlflowClient

    uri = f"sqlite:///{folder / 'mlflow.db'}"
    return Shelf(folder, MlflowClient(uri, uri), Registry.connect(uri))


if __name__ == "__main__":  # a watcher in a process of its own: prints the versions that it asked for
    counting = Counting()
    told = open_shelf(Path(sys.argv[1])).look(counting)
    assert not told.problems, told.problems
    print(" ".join(counting.versions))
