"""Gates as processes on this machine: each is `finetune-gate run`, a few at once, the others wait for a place.

    relay = Here("watch", at_once=2, ended=print)
    relay.start(ask, turns)
    relay.close()                    # ends what runs; it goes on at the next start

What waits is kept in memory only: whoever looks next finds it again. Gates outlive a watcher that is killed.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Literal, cast

from finetune_gate.evaluators.errors import FinetuneGateError
from finetune_gate.gate.turns import Ending, Outcome, Turns
from finetune_gate.gate.turns.process import is_dead
from finetune_gate.gate.watching import Ask, Started
from finetune_gate.gate.watching.next_step import HERE

PROGRAM: Final = (sys.executable, "-m", "finetune_gate.flows.cli")
_POLL_S: Final = 0.2
_SHOWN_LINES: Final = 20
_LONGEST_LINE: Final = 500
_MOST_READ: Final = 1 << 20
_INTERRUPTED: Final = 130
_NOT_FOR_GATES: Final = (
    "FINETUNE_GATE_GITHUB_TOKEN",
    "FINETUNE_GATE_WEBHOOK_SECRET",
    "FINETUNE_GATE_WEBHOOK_SECRET_FILE",
)
"""Secrets of the watcher's own."""

_Stop = Literal["", "closing", "deadline"]


@dataclass(frozen=True, slots=True)
class GateEnded:
    """A gate that was run in a process here. ``status`` is its exit status, as `finetune-gate run` explains them
    (negative: the signal that killed it); ``lines``: the end of what it wrote to standard error, where it came to no
    decision. All text may hold names and messages of others."""

    model: str
    version: str
    status: int
    sentence: str
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Ran:
    status: int
    stopped: _Stop
    sentence: str
    lines: tuple[str, ...]


class Here:
    """``deadline_s``: longest that one gate may take; then, or when closed, it gets a SIGTERM, and after ``grace_s`` a
    SIGKILL. ``ended`` is told of every gate, in a thread of its own. ``program``: how `finetune-gate` is started."""

    via = HERE

    def __init__(
        self,
        trigger: str,
        *,
        tracking_uri: str | None = None,
        out: Path = Path(".finetune-gate"),
        at_once: int = 1,
        deadline_s: float = 6 * 3600.0,
        grace_s: float = 30.0,
        ended: Callable[[GateEnded], None] = lambda _gate: None,
        program: Sequence[str] = PROGRAM,
    ) -> None:
        self._trigger, self._tracking_uri, self._out = trigger, tracking_uri, out
        self._at_once, self._deadline_s, self._grace_s = at_once, deadline_s, grace_s
        self._ended, self._program = ended, program
        self._pool = ThreadPoolExecutor(at_once, thread_name_prefix="finetune-gate here")
        self._keys: set[str] = set()
        self._changed = threading.Condition()
        self._closing = threading.Event()

    @property
    def under_way(self) -> int:
        """How many gates run or wait for a place."""
        with self._changed:
            return len(self._keys)

    def start(self, ask: Ask, turns: Turns) -> Started:
        key = ask.subject.key
        with self._changed:
            if key in self._keys:
                return Started("under way", "it runs here, or waits for a place")
            if self._closing.is_set():
                return Started("not reached", "this watcher is being stopped")
            waits = len(self._keys) >= self._at_once
            self._keys.add(key)
            self._pool.submit(self._gate, ask, turns)
        if waits:
            return Started("queued", f"it waits for a place here; {self._at_once} at once")
        return Started("started", "in a process here")

    def word(self, ask: Ask) -> Literal["coming", "unknown"]:
        with self._changed:
            return "coming" if ask.subject.key in self._keys else "unknown"

    def wait(self, seconds: float) -> bool:
        """Until nothing runs or waits here, at most ``seconds``; whether that is so."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._keys, seconds)

    def close(self) -> None:
        """Stop what runs here, and forget what waits."""
        self._closing.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _gate(self, ask: Ask, turns: Turns) -> None:
        found: GateEnded | None = None
        try:
            found = self._gated(ask, turns)
        except FinetuneGateError as error:  # the registry is away: what happened here is found out by the next look
            found = _ended(ask, 4, str(error.problems[0]))
        except OSError as error:
            found = _ended(ask, 4, _no_process(error))
        finally:
            try:
                if found is not None:
                    self._ended(found)
            finally:  # told first: whoever waits here knows everything then
                with self._changed:
                    self._keys.discard(ask.subject.key)
                    self._changed.notify_all()

    def _gated(self, ask: Ask, turns: Turns) -> GateEnded | None:
        """None where somebody else was faster, or nothing was begun."""
        if self._closing.is_set():
            return None
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            number = turns.ask(ask.subject, ask.standing, self.via, ask.why)
            if number is None:
                return None
            try:
                process = self._spawned(ask, output, errors)
            except OSError as error:
                turns.end(number, Ending(outcome="undelivered", sentence=_no_process(error)))
                raise
            with suppress(FinetuneGateError):  # it runs, and says so by a turn of its own
                turns.delivered(number, f"process {process.pid} on {socket.gethostname()}")
            ran = self._watched(process, output, errors)
        self._settle(ask, turns, number, ran)
        return _ended(ask, ran.status, ran.sentence, ran.lines)

    def _spawned(self, ask: Ask, output: IO[bytes], errors: IO[bytes]) -> subprocess.Popen[bytes]:
        """In a process group of its own: it is stopped with all that it started, and a Ctrl-C that is meant for the
        watcher reaches it through the watcher alone."""
        env = {key: value for key, value in os.environ.items() if key not in _NOT_FOR_GATES}
        if self._tracking_uri:
            env["MLFLOW_TRACKING_URI"] = self._tracking_uri  # not an argument: it may hold a password
        command = [*self._program, "run", str(ask.gate_path.absolute())]
        command += [f"--version={ask.subject.version}", "--once", "--json", f"--trigger={self._trigger}: {ask.why}"]
        command += [f"--out={self._out}"]
        return subprocess.Popen(
            command, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, start_new_session=True
        )

    def _watched(self, process: subprocess.Popen[bytes], output: IO[bytes], errors: IO[bytes]) -> _Ran:
        """Wait for its end, and see to it that there is one."""
        until = time.monotonic() + self._deadline_s
        stopped: _Stop = ""
        while process.poll() is None:
            if self._closing.is_set() or time.monotonic() > until:
                stopped = "closing" if self._closing.is_set() else "deadline"
                _stop(process, self._grace_s)
                break
            with suppress(subprocess.TimeoutExpired):
                process.wait(_POLL_S)
        status = process.wait()
        lines = [line[:_LONGEST_LINE] for line in _text(errors).splitlines()[-_SHOWN_LINES:]]
        decided = status in (0, 1, 3)
        return _Ran(status, stopped, self._sentence(status, stopped, _text(output)), () if decided else tuple(lines))

    def _sentence(self, status: int, stopped: _Stop, output: str) -> str:
        if stopped == "closing":
            return "stopped with its watcher; it goes on when somebody watches again"
        if stopped == "deadline":
            return f"stopped after {self._deadline_s / 3600:g} h; what it had finished is kept"
        if status < 0:
            return f"its process was killed by signal {-status}"
        return _said(output) or f"it ended with status {status}"

    def _settle(self, ask: Ask, turns: Turns, number: int, ran: _Ran) -> None:
        """Say how the turn ended where the run itself could not (it never took it, or was killed), or could not know
        why it was stopped."""
        row = turns.read().standing(ask.subject.key).row
        if row is None:
            return
        not_begun = row.number == number
        ours = row.turn.kind == "run" and row.turn.over == number and is_dead(row.turn.process)
        unsaid = row.ending is None or (ran.stopped == "closing" and row.ending.outcome == "failed")
        if unsaid and (not_begun or ours):
            turns.end(row.number, Ending(outcome=_outcome(ran), sentence=ran.sentence))


def _outcome(ran: _Ran) -> Outcome:
    if ran.stopped == "closing":
        return "undelivered"  # no attempt that counts: it was not the gate that failed
    if ran.stopped == "deadline":
        return "failed"
    if ran.status == 2:
        return "misconfigured"
    return "cancelled" if ran.status == _INTERRUPTED else "failed"


def _no_process(error: OSError) -> str:
    return f"no process could be started here: {error.strerror or type(error).__name__}"


def _stop(process: subprocess.Popen[bytes], grace_s: float) -> None:
    """Ask the whole process group to end, and end it."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(grace_s)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _text(file: IO[bytes]) -> str:
    """The end of what was written, at most `_MOST_READ` bytes."""
    length = file.seek(0, os.SEEK_END)
    file.seek(max(0, length - _MOST_READ))
    return file.read().decode(errors="replace")


def _said(output: str) -> str:
    """The sentence of what `run --json` printed; "" where there is none."""
    try:
        parsed = cast("object", json.loads(output))
    except (ValueError, RecursionError):
        return ""
    if not isinstance(parsed, dict):
        return ""
    fields = cast("dict[str, object]", parsed)
    if "decision" in fields:
        return f"{fields['decision']}: {fields.get('sentence', '')}"
    errors = fields.get("errors")
    first = cast("list[object]", errors)[0] if isinstance(errors, list) and errors else None
    if not isinstance(first, dict):
        return ""
    problem = cast("dict[str, object]", first)
    return f"{problem.get('where')}: {problem.get('found')}"


def _ended(ask: Ask, status: int, sentence: str, lines: tuple[str, ...] = ()) -> GateEnded:
    return GateEnded(ask.subject.model, ask.subject.version, status, sentence, lines)
