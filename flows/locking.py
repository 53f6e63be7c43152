"""One gate of a model at a time, among the runs of one Prefect server.

    with one_at_a_time("support-bot", holder="support-bot 7", say=log.info, warn=log.warning):
        ...

A **courtesy**: the second gate is not judged against a champion that the first is about to replace, and two gates do
not share one GPU. It is no guarantee: gates outside this server know nothing of it, and a holder that is cut off from
the server goes on. Whatever runs at once, the promotion ledger lets exactly one move count.

It is Prefect's global concurrency limit ``finetune-gate.MODEL`` with one slot. Prefect grants a slot for a minute at a
time, so that of a killed holder comes back by itself. Two things its own ``concurrency`` would do are not wanted here:
ending the run, at whatever it is doing, where the server is away when the slot is to be prolonged; and waiting for ever
for a slot whose lease was lost, as a restarted server loses those that it keeps in memory. So the slot is asked for by
Prefect's client, and its holder says at intervals, in a Prefect variable, that it is there. A slot whose holder has
said nothing for `SILENT_S` is freed by whoever waits for it.
"""

from __future__ import annotations

import os
import random
import re
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, cast
from uuid import UUID, uuid4

from finetune_gate.evaluators.errors import ConfigurationError, EvaluationError, Problem
from finetune_gate.gate.registry.mlflow_client import plain

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

WAIT_VARIABLE: Final = "FINETUNE_GATE_LOCK_SECONDS"
WAIT_S: Final = 6 * 3600.0
LEASE_S: Final = 60.0
"""The shortest that Prefect's server grants."""
BEAT_S: Final = 15.0
SILENT_S: Final = 2 * LEASE_S
_PAUSES_S: Final = (0.5, 5.0)
_SAID_EVERY_S: Final = 60.0

Say = Callable[[str], None]


def limit_name(model: str) -> str:
    """``finetune-gate.support-bot``. Letters that Prefect refuses are replaced, and a digest keeps such names apart."""
    plain = re.sub(r"[/%&<>]", "-", model)
    return f"finetune-gate.{plain}" if plain == model else f"finetune-gate.{plain}.{_digest(model)}"


def variable_name(model: str) -> str:
    """Of the Prefect variable in which the holder is named; lower-case letters, digits and dashes are allowed."""
    return f"finetune-gate-{re.sub(r'[^a-z0-9]+', '-', model.lower())[:200]}-{_digest(model)}"


def longest_wait() -> float:
    """Seconds, from ``FINETUNE_GATE_LOCK_SECONDS``; 6 hours where it is not set."""
    said = os.environ.get(WAIT_VARIABLE, "")
    try:
        seconds = float(said) if said else WAIT_S
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 7 * 86_400:
        found = f"{WAIT_VARIABLE}={said!r}"
        raise ConfigurationError(Problem("environment", found, "seconds, from 0 to 604800", "set it, or leave it out"))
    return seconds


@contextmanager
def one_at_a_time(
    model: str,
    *,
    holder: str,
    say: Say,
    warn: Say,
    wait_s: float | None = None,
    silent_s: float = SILENT_S,
) -> Generator[None]:
    """Hold the slot of ``model`` while this is open.

    ``holder`` is what others are told that they wait for; ``wait_s`` the longest to wait, `longest_wait` where none.
    Raises EvaluationError where the slot is not free in time. Where the server has no such limits, or does not answer,
    it goes on without, and warns.
    """
    from prefect.client.orchestration import get_client

    limit = longest_wait() if wait_s is None else wait_s
    with get_client(sync_client=True) as client:
        slot = _Slot(client, limit_name(model), variable_name(model), holder, warn)
        try:
            lease = _acquired(slot, time.monotonic() + limit, silent_s, say)
        except _foreign_errors() as error:
            warn(f"{slot.name}: gated without a lock, because Prefect does not keep one: {_told(error)}")
            lease = None
        if lease is None:
            yield
            return
        over = threading.Event()
        beating = threading.Thread(target=slot.beat, args=(lease, over), name="finetune-gate lock", daemon=True)
        beating.start()
        try:
            yield
        finally:
            over.set()
            try:
                beating.join(1.0)
            finally:
                slot.release(lease)


@dataclass(slots=True)
class _Slot:
    """The slot of one model. ``lost``: the server no longer knows of our lease; the slot may be counted as taken."""

    client: SyncPrefectClient
    name: str
    variable: str
    holder: str
    warn: Say
    id: str = field(default_factory=lambda: uuid4().hex)
    beats: int = 0
    lost: bool = False

    def make_ready(self) -> None:
        """See to it that the limit is there, active, and of one slot: an inactive one would let everybody through."""
        from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate, GlobalConcurrencyLimitUpdate
        from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

        try:
            found = self.client.read_global_concurrency_limit_by_name(self.name)
        except ObjectNotFound:
            with suppress(ObjectAlreadyExists):  # another was faster
                self.client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=self.name, limit=1))
            found = self.client.read_global_concurrency_limit_by_name(self.name)
        faults = [
            *(["inactive"] if not found.active else []),
            *([f"of {found.limit} slots"] if found.limit != 1 else []),
            *(["one whose slots come back by time"] if found.slot_decay_per_second else []),
        ]
        if not faults:
            return
        self.warn(f"Prefect's limit {self.name} was {' and '.join(faults)}: set to one slot, and active")
        wanted = GlobalConcurrencyLimitUpdate(active=True, limit=1, slot_decay_per_second=0.0)
        self.client.update_global_concurrency_limit(self.name, wanted)
        found = self.client.read_global_concurrency_limit_by_name(self.name)
        if not found.active or found.limit != 1:
            raise _Unusable(f"the limit stays {'active' if found.active else 'inactive'}, of {found.limit} slots")

    def ask(self) -> UUID | None:
        """The lease of the slot; None where another holds it."""
        try:
            reply = self.client.increment_concurrency_slots_with_lease([self.name], 1, "concurrency", LEASE_S)
        except _foreign_errors() as error:
            if _status(error) == 423:
                return None
            raise
        granted = cast("dict[str, Any]", reply.json())
        if self.name not in [one["name"] for one in granted["limits"]]:
            return None  # somebody deleted the limit a moment ago: it is made again before the next attempt
        with suppress(*_foreign_errors()):  # the next beat says it
            self.announce()
        return UUID(str(granted["lease_id"]))

    def announce(self) -> None:
        from prefect.client.schemas.actions import VariableCreate, VariableUpdate

        self.beats += 1
        value: dict[str, object] = {"holder": self.holder, "id": self.id, "beat": self.beats}
        try:
            self.client.update_variable(VariableUpdate(name=self.variable, value=value))
        except _foreign_errors() as error:
            if _status(error) != 404:
                raise
            self.client.create_variable(VariableCreate(name=self.variable, value=value))

    def heard(self) -> dict[str, object]:
        """What a holder said last; empty where nothing is said."""
        found = self.client.read_variable_by_name(self.variable)
        return cast("dict[str, object]", found.value) if found is not None and isinstance(found.value, dict) else {}

    def free(self) -> None:
        from prefect.client.schemas.actions import GlobalConcurrencyLimitUpdate

        self.client.update_global_concurrency_limit(self.name, GlobalConcurrencyLimitUpdate(active_slots=0))

    def beat(self, lease: UUID, over: threading.Event) -> None:
        warned = False
        while not over.wait(BEAT_S):
            try:
                if self.heard().get("id", self.id) != self.id:
                    self.warn(f"{self.name}: another run took over, because nothing had been heard of this one")
                    return
                self.announce()
                if not self.lost:
                    self.client.renew_concurrency_lease(lease, LEASE_S)
            except _foreign_errors() as error:
                self.lost = self.lost or _status(error) == 410
                if not warned:
                    self.warn(f"{self.name}: another run may gate this model at the same time: {_told(error)}")
                warned = True

    def release(self, lease: UUID) -> None:
        """What cannot be released now comes back when the lease ends, or when whoever waits has waited in silence."""
        with suppress(*_foreign_errors()):
            announced = self.heard().get("id")
            if announced not in (self.id, None):
                return  # another run took over
            if self.lost:
                self.free()
            # in this order: once the slot is free, the variable may be another's
            if announced is not None:
                self.client.delete_variable_by_name(self.variable)
            self.client.release_concurrency_slots_with_lease(lease)


def _acquired(slot: _Slot, until: float, silent_s: float, say: Say) -> UUID:
    """Wait for the slot, as long as somebody is heard of who holds it."""
    pause, longest = _PAUSES_S
    said, last, since = -_SAID_EVERY_S, None, time.monotonic()
    while True:
        slot.make_ready()
        if (lease := slot.ask()) is not None:
            return lease
        heard = slot.heard()
        now = time.monotonic()
        who = plain(str(heard.get("holder", "another run")), 100)
        if heard != last:
            last, since = heard, now
        if now - since >= silent_s:
            slot.warn(f"{slot.name} was held by {who}, of which nothing was heard for {silent_s:.0f} s: freed")
            slot.free()
            last, since = None, now
            continue
        if now >= until:
            raise EvaluationError(
                Problem(
                    f"Prefect's limit {slot.name}",
                    f"held by {who} for longer than there was time to wait",
                    "the end of that gate",
                    f"see what that run does, cancel it, or set {WAIT_VARIABLE}; nothing was changed here",
                )
            )
        if now - said >= _SAID_EVERY_S:
            said = now
            say(f"{who} gates this model now: waiting for its end")
        time.sleep(min(pause * random.uniform(0.7, 1.3), max(0.0, until - now)))
        pause = min(pause * 1.5, longest)


class _Unusable(Exception):
    """The server does not keep the limit as it is needed."""


def _foreign_errors() -> tuple[type[Exception], ...]:
    from httpx import HTTPError
    from prefect.exceptions import PrefectException

    return (HTTPError, PrefectException, _Unusable)


def _status(error: Exception) -> int | None:
    """Of the reply that was none."""
    reply = getattr(error, "response", None)
    return getattr(reply, "status_code", None)


def _told(error: Exception) -> str:
    first, _, _ = str(error).partition("\n")
    return plain(first, 300) or type(error).__name__


def _digest(model: str) -> str:
    return sha256(model.encode()).hexdigest()[:8]
