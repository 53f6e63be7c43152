"""Controls as people read them: which texts were compared, what was done to one, and whether judges were right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..absent import Unmeasured, Value
from ..showing import Note, Shown
from .by_judge import Controls, Key
from .controls import Control
from .settings import CONTROL


def shown_controls(controls: Controls, judges: Sequence[str], passed: Mapping[Key, Sequence[Value]]) -> list[Shown]:
    """In the order of the examples. No model of the run answers a control, so that none has an answer."""
    found: list[Shown] = []
    for kind, some in controls.items():
        for number, control in enumerate(some):
            id = f"{CONTROL}{kind}/{number}"
            if isinstance(control, Unmeasured):
                found.append(Shown(id, f"(not made: {control.reason})"))
                continue
            notes = (Note(judge, "the control", _outcome(passed[Key(judge, kind)][number])) for judge in judges)
            found.append(Shown(id, _asked(control), notes=tuple(notes)))
    return found


def _asked(control: Control) -> str:
    asked = control.comparison
    if asked.first == asked.second:
        return f"{asked.question}\n\n[twice the same text]\n{asked.first}"
    return f"{asked.question}\n\n[worse text: {control.how}]\n{asked.first}\n\n[good text]\n{asked.second}"


def _outcome(passed: Value) -> str:
    if isinstance(passed, Unmeasured):
        return f"not judged: {passed.reason}"
    return "right" if passed == 1.0 else "wrong" if passed == 0.0 else f"right in part ({passed:.2f})"
