"""The turns of one model, kept in the registry; and taking one.

    turns = Turns(registry, "support-bot", Author("octocat", "github"))
    found = turns.take(Subject.of(version, gate.digest), "once")
    if isinstance(found, Held):
        with found.heard():                  # says every 20 s that it is alive
            ...
            found.check()                    # raises if another took over, because nothing was heard of it
        found.end(Ending(outcome="promote", sentence="...", record="runs:/..."))
    else:
        found.outcome, found.record          # another gated it

Two runs that gate the same thing in spite of this (a clock an hour wrong, a process that slept) waste time and nothing
else: what moves is settled by the promotion ledger.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import Final, Literal

from finetune_gate.evaluators.errors import EvaluationError, Problem, RegistryError

from ..clock import now_iso, now_ms
from ..registry import Author, Registry
from ..registry.append_only import AppendOnly, Named
from ..registry.mlflow_client import plain
from ..registry.mlflow_types import VersionEntity
from ..registry.own_models import own_name
from .process import is_dead, this_process
from .turn import DELIVERED_TAG, ENDED_TAG, HEARD_TAG, TURN_TAG, Ending, Kind, Log, Row, Standing, Subject, Turn, replay

Wish = Literal["join", "once", "again"]
"""join   wait for one that is under way, and take its decision; else gate
once   take a decision that there is already, or that comes; gate where there is none
again  gate, after one that is under way"""

SILENCE_S: Final = 90.0
BEAT_S: Final = 20.0
_MAX_SENTENCE: Final = 500
_SAID_EVERY_S: Final = 60.0


class Turns:
    """``silence_s``: how long a run may not be heard of before another takes over; ``beat_s``: how often it is heard.
    ``wait_s``: the longest to wait for another's run. Errors of MLflow leave as RegistryError."""

    def __init__(
        self,
        registry: Registry,
        model: str,
        author: Author | None = None,
        *,
        silence_s: float = SILENCE_S,
        beat_s: float = BEAT_S,
        wait_s: float = 6 * 3600.0,
        patience_s: float = 120.0,
    ) -> None:
        self.model = model
        self._author = author or Author()
        self._silence_s, self._beat_s, self._wait_s = silence_s, beat_s, wait_s
        about = (
            f"Who gates which version of registered model {model}, written by finetune-gate: one version here for each "
            "gate run, so that none is run twice. These are no models."
        )
        named = Named(own_name("turns", model), f"turns of {model!r}", about, {"finetune_gate.turns_of": model})
        self._rows = AppendOnly(registry.connection, named, patience_s)

    def read(self) -> Log:
        """All turns, as of now; empty if there are none."""
        rows = [Row.of(version) for version in self._rows.read()]
        return replay([row for row in rows if row], now_ms(), self._silence_s, is_dead)

    def watch(self, newest: int) -> int:
        """Say that versions above ``newest`` are new, and return the number above which they are: the first who says
        so settles it."""
        self._append("watched", "", str(newest), Standing(""))
        found = self.read().watched_from
        return newest if found is None else found

    def ask(self, subject: Subject, standing: Standing, via: str, reason: str) -> int | None:
        """Note that whoever is behind ``via`` is being asked to gate ``subject``, which stands as ``standing``. The
        number of that turn; None where somebody else was faster."""
        number, mine = self._append(
            "asked", subject.key, subject.version, standing, via=via, reason=reason, gate=subject.gate_digest
        )
        row = self.read().standing(subject.key).row
        return number if row is not None and row.turn.id == mine else None

    def delivered(self, number: int, note: str) -> None:
        """Note that the one who was asked by turn ``number`` has been reached; ``note``: where to look for the run."""
        self._rows.note(number, DELIVERED_TAG, plain(note, _MAX_SENTENCE) or "yes")

    def end(self, number: int, ending: Ending) -> None:
        """Note how turn ``number`` ended."""
        ending = ending.model_copy(update={"sentence": plain(ending.sentence, _MAX_SENTENCE)})
        self._rows.note(number, ENDED_TAG, ending.model_dump_json())

    def heard(self, number: int) -> None:
        """Note that the run of turn ``number`` goes on."""
        self._rows.note(number, HEARD_TAG, str(now_ms()))

    def take(
        self, subject: Subject, wish: Wish, *, reason: str = "", say: Callable[[str], None] = lambda _line: None
    ) -> Held | Ending:
        """Take the turn to gate ``subject``, or come back with what another's gate of it came to, as ``wish`` says.

        ``say`` is told, at most once a minute, whom it waits for. Raises EvaluationError where another's run goes on
        for more than ``wait_s``.
        """
        begun, said = time.monotonic(), -_SAID_EVERY_S
        waited, pause = False, 0.5
        while True:
            standing = self.read().standing(subject.key)
            row = standing.row
            if row is not None and standing.state == "running":
                if time.monotonic() - begun > self._wait_s:
                    raise self._too_long(subject, row)
                if time.monotonic() - said >= _SAID_EVERY_S:
                    said = time.monotonic()
                    say(f"{subject.model} v{subject.version} is being gated by {row.who}: waiting for that")
                waited, pause = True, min(pause * 1.5, 10.0)
                time.sleep(pause)
                continue
            accepted = wish == "once" or (wish == "join" and waited)
            if row is not None and row.ending is not None and standing.state == "decided" and accepted:
                return row.ending
            if row is not None and standing.state == "silent" and not self._gone(row, say):
                continue
            number, mine = self._append(
                "run", subject.key, subject.version, standing, reason=reason, gate=subject.gate_digest
            )
            now = self.read().standing(subject.key).row
            if now is not None and now.turn.id == mine:
                return Held(self, subject, number, mine, self._beat_s)
            waited = True  # another was faster, and is under way

    def _gone(self, row: Row, say: Callable[[str], None]) -> bool:
        """Whether a run that seems to be silent is: clocks of two machines may differ, so it is listened to for a
        while, unless it is known to have ended."""
        if is_dead(row.turn.process):
            return True
        say(f"the run of {row.who} seems to have been killed: listening for {self._beat_s * 1.5:.0f} s whether it has")
        time.sleep(self._beat_s * 1.5)
        found = self.read().standing(row.turn.key).row
        return found is not None and (found.number, found.heard_ms, found.ending) == (row.number, row.heard_ms, None)

    def _too_long(self, subject: Subject, row: Row) -> EvaluationError:
        return EvaluationError(
            Problem(
                f"{subject.model} v{subject.version}",
                f"{row.who} has been gating it since {row.turn.at}",
                f"a decision within {self._wait_s:g} s",
                "see what that run is doing; once it has ended, run again",
            )
        )

    def _append(
        self,
        kind: Kind,
        key: str,
        version: str,
        standing: Standing,
        *,
        via: str = "",
        reason: str = "",
        gate: str = "",
    ) -> tuple[int, str]:
        """The number and the id of a new turn that follows ``standing``."""
        turn = Turn(
            id=uuid.uuid4().hex,
            key=key,
            kind=kind,
            version=version,
            over=standing.number,
            attempt=standing.attempts + 1,
            gate_digest=gate,
            via=via,
            process=this_process() if kind == "run" else "",
            actor=plain(self._author.actor, 200),
            trigger=plain(self._author.trigger, 200),
            reason=plain(reason, 200),
            at=now_iso(),
        )

        def written(version: VersionEntity) -> bool:
            row = Row.of(version)
            return row is not None and row.turn.id == turn.id

        described = f"{turn.kind}: version {version} of {self.model}, attempt {turn.attempt}, {turn.at}"
        return self._rows.append({TURN_TAG: turn.model_dump_json()}, described, written=written), turn.id


class Held:
    """The turn to gate ``subject``, taken by this process."""

    def __init__(self, turns: Turns, subject: Subject, number: int, turn_id: str, beat_s: float) -> None:
        self.subject, self.number = subject, number
        self._turns, self._id, self._beat_s = turns, turn_id, beat_s

    @contextmanager
    def heard(self) -> Generator[None]:
        """While this is open, the registry hears of the run at intervals."""
        over = threading.Event()

        def beat() -> None:
            while not over.wait(self._beat_s):
                # a registry that is away for a moment is asked again at the next beat
                with suppress(RegistryError):
                    self._turns.heard(self.number)

        beating = threading.Thread(target=beat, name="finetune-gate turn", daemon=True)
        beating.start()
        try:
            yield
        finally:
            over.set()
            beating.join(1.0)

    def check(self) -> None:
        """Raise EvaluationError if another has taken over."""
        row = self._turns.read().standing(self.subject.key).row
        if row is not None and row.turn.id != self._id:
            raise EvaluationError(
                Problem(
                    f"{self.subject.model} v{self.subject.version}",
                    f"{row.who} took over, because nothing had been heard of this run",
                    "to be the only run that gates it",
                    "nothing was changed here: the decision of that run counts",
                )
            )

    def end(self, ending: Ending) -> None:
        """Say how it ended."""
        self._turns.end(self.number, ending)
