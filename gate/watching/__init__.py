"""Looking at the registry: which versions ask to be gated, which have been, and what to do about the others.

    report = look(registry, [Path("gate.yaml")], relay)
    report.looked[0].did             # started, waited, done, ...

Nothing is remembered here: the turns in the registry are the memory. So any number of watchers may look, as often as
they like, and be killed at any moment.
"""

from .asking import Ask, NotYet, who_asks
from .listing import Asking, Found, ungated
from .next_step import Pace, Step, next_step
from .relay import Relay, Started
from .report import NEWS, Looked, Report
from .sweep import look

__all__ = [
    "NEWS",
    "Ask",
    "Asking",
    "Found",
    "Looked",
    "NotYet",
    "Pace",
    "Relay",
    "Report",
    "Started",
    "Step",
    "look",
    "next_step",
    "ungated",
    "who_asks",
]
