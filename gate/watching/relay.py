"""The seam between looking and starting: who is asked to gate a version, and what is known of those who were."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from ..turns import Ending, Turns
from .asking import Ask

Did = Literal["started", "queued", "under way", "taken", "not reached"]
"""started      a run was started, or whoever starts it has taken it on
queued       it waits for a place
under way    this relay is at it already
taken        somebody else was faster
not reached  whoever was to start it could not be reached: asked again later"""


@dataclass(frozen=True, slots=True)
class Started:
    """What became of an ask; ``sentence`` says where to look for the run, or why there is none."""

    did: Did
    sentence: str


class Relay(Protocol):
    """Starts gates. ``via`` is what its turns say they were asked through."""

    @property
    def via(self) -> str: ...

    def start(self, ask: Ask, turns: Turns) -> Started:
        """Take the turn to ask for ``ask`` (`Turns.ask`), and see to it that somebody runs it. May come back before it
        runs. Whoever it cannot reach is `Started` ``not reached``, never an error; RegistryError where the turn cannot
        be written."""
        ...

    def word(self, ask: Ask) -> Ending | Literal["coming", "unknown"]:
        """Of a turn that was asked for through this relay, and that no run has taken yet: how it ended without one,
        that one is still to come however long it takes, or that nothing is known."""
        ...
