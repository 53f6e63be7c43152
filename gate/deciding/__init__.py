"""Deciding: measurements and rules in, decision out.

decide(gate.rules, {0: measurement}, Circumstances(has_champion=True, identical=(), today=today)).verdict
"""

from .terms import Check, Circumstances, Decision, Outcome, Required, Review, RuleResult, Verdict
from .verdict import decide

__all__ = [
    "Check",
    "Circumstances",
    "Decision",
    "Outcome",
    "Required",
    "Review",
    "RuleResult",
    "Verdict",
    "decide",
]
