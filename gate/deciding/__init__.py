"""Deciding: measurements and rules in, decision out.

decide(gate.rules, {0: measurement}, Circumstances(has_champion=True, identical=(), today=today)).verdict
"""

from .by_slice import open_step
from .terms import (
    Check,
    Circumstances,
    Decision,
    MeasuredSlice,
    Outcome,
    Required,
    Review,
    RuleResult,
    Sliced,
    SlicedMeasurement,
    Verdict,
)
from .verdict import decide

__all__ = [
    "Check",
    "Circumstances",
    "Decision",
    "MeasuredSlice",
    "Outcome",
    "Required",
    "Review",
    "RuleResult",
    "Sliced",
    "SlicedMeasurement",
    "Verdict",
    "decide",
    "open_step",
]
