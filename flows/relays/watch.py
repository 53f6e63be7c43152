"""The watcher as one thing, for every command and flow that looks: gate files, registry and relay, put together.

    with closing(open_watch(WatchSettings((Path("gate.yaml"),), relay="here"), ended=wake)) as watch:
        report = watch.look()                              # all models
        report = watch.look(frozenset({"support-bot"}))    # only these, as a webhook hints
        watch.wait(3600.0)                                 # for gates that were started here

It may be called from several threads: one look at a time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from finetune_gate.evaluators.errors import RegistryError
from finetune_gate.gate.clock import now_iso
from finetune_gate.gate.registry import Author, Registry
from finetune_gate.gate.watching import Report, look
from finetune_gate.gate.watching.relay import Relay

from .here import GateEnded, Here

RelayName = Literal["here", "prefect", "github"]


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """``gates``: the gate files, as they are to be named to whoever runs them. ``at_once`` and ``hours`` are for the
    relay ``here``: how many gates at once, and the longest that one may take. ``trigger`` begins what runs say made
    them."""

    gates: tuple[Path, ...]
    relay: RelayName = "here"
    at_once: int = 1
    hours: float = 6.0
    tracking_uri: str | None = None
    out: Path = Path(".finetune-gate")
    actor: str = "unknown"
    trigger: str = "watch"


class Watch:
    """Made by `open_watch`."""

    def __init__(self, settings: WatchSettings, relay: Relay) -> None:
        self._settings, self._relay = settings, relay
        self._here = relay if isinstance(relay, Here) else None
        self._registry: Registry | None = None
        self._one_at_a_time = threading.Lock()

    def look(self, models: frozenset[str] | None = None) -> Report:
        """Look at the models of all gate files, or at those of them that ``models`` names; start what asks for it.

        No error leaves: what could not be looked at is among the report's ``problems``, and looked at next time.
        """
        settings = self._settings
        with self._one_at_a_time:
            try:
                self._registry = self._registry or Registry.connect(settings.tracking_uri)
            except RegistryError as error:
                return Report(now_iso(), problems=error.problems)
            author = Author(settings.actor, settings.trigger)
            return look(self._registry, settings.gates, self._relay, models, author=author)

    @property
    def under_way(self) -> int:
        """How many gates run here, or wait for a place."""
        return self._here.under_way if self._here else 0

    def wait(self, seconds: float) -> bool:
        """Until no gate runs here or waits for a place, at most ``seconds``; whether that is so."""
        return self._here.wait(seconds) if self._here else True

    def close(self) -> None:
        """Stop the gates that run here, within half a minute or so: they go on at the next start."""
        if self._here:
            self._here.close()


def open_watch(settings: WatchSettings, *, ended: Callable[[GateEnded], None] = lambda _gate: None) -> Watch:
    """``ended`` is told, in a thread of its own, of every gate that was run in this process and has ended.

    Raises ConfigurationError where the relay lacks a setting. The registry is not asked yet.
    """
    if settings.relay == "prefect":
        from .prefect import from_environment

        return Watch(settings, from_environment(settings.trigger))
    if settings.relay == "github":
        from .github import from_environment

        return Watch(settings, from_environment())
    return Watch(
        settings,
        Here(
            settings.trigger,
            tracking_uri=settings.tracking_uri,
            out=settings.out,
            at_once=settings.at_once,
            deadline_s=settings.hours * 3600,
            ended=ended,
        ),
    )
