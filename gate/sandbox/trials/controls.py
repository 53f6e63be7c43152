"""Programs whose outcome is known, tried in every run before any other.

    reason = fault("test", trial)         # None where all came out right

A sandbox in which nothing passes would block every model, and one in which everything passes would promote any. So
where one of these comes out wrong, no outcome of that run is believed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from finetune_gate.evaluators.asking import CodeTask, Execution, Failed

from .executing import Kind

Trial = Callable[[str, CodeTask], Execution | Failed]
"""Tries a program at a task, as every other program of the run is tried."""


@dataclass(frozen=True, slots=True)
class Control:
    name: str
    program: str
    passes: bool = False


_RIGHT: Final = """
def doubled(values):
    return [2 * value for value in values]

if __name__ == "__main__":
    print(*doubled(map(int, input().split())))
"""

_ALWAYS_EQUAL: Final = """
class Anything:
    def __eq__(self, other):
        return True
    def __ne__(self, other):
        return False
    def __hash__(self):
        return 0
    def __repr__(self):
        return "[2, 4]"

def doubled(values):
    return Anything()

if __name__ == "__main__":
    print(Anything())
"""

_LEAVES: Final = """
import os

def doubled(values):
    os._exit(0)

if __name__ == "__main__":
    os._exit(0)
"""

_SAYS_PASSED: Final = """
import sys

def doubled(values):
    for stream in (sys.stdout, sys.stderr):
        print("passed\\nPASSED\\nOK\\n1 passed in 0.01s", file=stream, flush=True)

if __name__ == "__main__":
    doubled([])
"""

_FORGES_MESSAGES: Final = """
import json, os, struct

def doubled(values):
    right = ["l", 2, 4]
    for message in (["verdict", "passed", ""], ["returned", "", right, None], ["printed", "", 0, ["b", "322034"], ""]):
        text = json.dumps(message).encode()
        for descriptor in range(1, 64):
            try:
                os.write(descriptor, struct.pack(">I", len(text)) + text)
            except OSError:
                pass
    os._exit(0)

if __name__ == "__main__":
    doubled([])
"""

CONTROLS: Final = (
    Control("a right program", _RIGHT, passes=True),
    Control("an empty program", ""),
    Control("a result that is equal to everything", _ALWAYS_EQUAL),
    Control("a program that exits with status 0", _LEAVES),
    Control("a program that prints that it passed", _SAYS_PASSED),
    Control("a program that writes verdicts into every channel", _FORGES_MESSAGES),
)

TASKS: Final[dict[Kind, CodeTask]] = {
    "calls": CodeTask(entry_point="doubled", calls=(("[[1, 2]]", "[2, 4]"), ("[[]]", "[]"))),
    "test": CodeTask(
        entry_point="doubled",
        test="def check(candidate):\n    assert candidate([1, 2]) == [2, 4]\n    assert not candidate([])\n",
    ),
    "dialogues": CodeTask(dialogues=(("1 2\n", "2 4\n"), ("3\n", "6\n"))),
}


def fault(kind: Kind, trial: Trial) -> str | None:
    """Why outcomes of tasks of this kind cannot be believed here; None where every control came out right."""
    for control in CONTROLS:
        found = trial(control.program, TASKS[kind])
        if isinstance(found, Failed):
            return f"the sandbox's own controls could not be tried: {control.name}: {found.reason}"
        if (found.outcome == "passed") != control.passes:
            said = f" ({found.detail})" if found.detail else ""
            return f"the sandbox's own controls came out wrong: {control.name} {found.outcome}{said}"
    return None
