"""From measurements to a decision, whether it is made for the first time or again.

decision, stopped = decide_at_look(gate, measured, circumstances, levels)
"""

from __future__ import annotations

from dataclasses import replace

from ..deciding import Circumstances, Decision, decide
from ..gate_file import Gate
from .looks import Levels, Stopped, told, why_stopped
from .measuring import Measured


def decide_measured(gate: Gate, measured: Measured, circumstances: Circumstances) -> Decision:
    """Pure. ``measured`` is that of the same gate."""
    by_rule = {index: measured.measurements[at] for index, at in enumerate(measured.rests_on)}
    return decide(gate.rules, by_rule, circumstances, measured.required)


def decide_at_look(
    gate: Gate, measured: Measured, circumstances: Circumstances, levels: Levels | None
) -> tuple[Decision, Stopped | None]:
    """With why no further look is to be taken. That rests on the scores alone: a reviewer answers for what the looks
    came to, and has no say in how many there are; nor has what happened to the champion or the files since."""
    decision = decide_measured(gate, measured, circumstances)
    if levels is None:
        return decision, None
    by_scores = replace(circumstances, review=None, champion_moved=None, files_changed=None)
    stopped = why_stopped(decide_measured(gate, measured, by_scores), levels)
    return told(decision, levels, stopped), stopped
