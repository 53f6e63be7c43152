"""Who gates which version: every gate is run once, whoever asks for it, how often, and from where.

found = Turns(registry, "support-bot", author).take(Subject.of(version, gate.digest), "once")
"""

from .turn import Ending, Log, Outcome, Row, Standing, State, Subject
from .turns import Held, Turns, Wish

__all__ = ["Ending", "Held", "Log", "Outcome", "Row", "Standing", "State", "Subject", "Turns", "Wish"]
