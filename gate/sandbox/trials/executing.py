"""Trying one program at one task, with all that is expected of it kept out of its reach.

    found = attempt(program, task, 10.0, take)      # found.execution, found.seconds

``take`` gives fresh cells with a worker in each (`warm.WarmCells`). No cell is used for two programs, and none is told
what is expected: calls are compared here, printed text too, and tests that are code run in a second cell, whose
``candidate`` asks the first one by way of this process.

What equal means. *Calls*: Python's ``==``, with what JSON cannot say allowed for: a tuple may stand for a list, and a
float for one that is equal within 1e-9 of itself (of 1, below 1). *Tests*: whatever they say. *Dialogues*: the same
lines, white space at their ends and empty lines at the end of all left out, as judges of programming contests do it;
and the exit status must be 0.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final, Literal, NoReturn, cast

from finetune_gate.evaluators.asking import CodeTask, Execution

from ..protocol import Cell
from .encoding import Unplain
from .relay import OUT_OF_MEMORY_STATUS, PRINTED_BYTES, Over, Program, Raised, Scripts, Suite, Unusable

VERSION: Final = "1"
"""Changes whenever the same program could come to another outcome. Part of every outcome's content address."""

BEGIN_SECONDS: Final = 20.0
"""How long a worker that is up may take until it begins. Longer is a fault of the sandbox."""

Kind = Literal["calls", "test", "dialogues"]
Take = Callable[[], Cell]
"""Gives a cell whose worker is up, and which nobody had before. Raises SandboxFault."""

_TOLERANCE: Final = 1e-9
_SAID: Final = 500
"""How many bytes of a script's errors are told."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What became of a program, how many seconds that took, and whether it changed arguments that its tests gave it."""

    execution: Execution
    seconds: float
    changed: bool = False


@dataclass(frozen=True, slots=True)
class _Trial:
    program: str
    task: CodeTask
    seconds: float
    take: Take
    copies: bool
    held: ExitStack

    def cell(self) -> Cell:
        return self.held.enter_context(self.take())


def kinds(task: CodeTask) -> tuple[Kind, ...]:
    """The ways in which ``task`` is tried. A program must pass all of them."""
    ways: tuple[tuple[Kind, object], ...] = (
        ("calls", task.calls),
        ("test", task.test.strip()),
        ("dialogues", task.dialogues),
    )
    return tuple(kind for kind, given in ways if given)


def attempt(program: str, task: CodeTask, seconds: float, take: Take, *, copies: bool = False) -> Attempt:
    """What becomes of ``program`` in ``seconds``, which is all that it may take. With ``copies`` its tests do not see
    what it does to their arguments. Raises SandboxFault, Unusable, and Stopped where a cell does."""
    ways = kinds(task)
    if not ways:
        raise Unusable("the task has no calls, no test and no dialogues: nothing to try a program at")
    took, changed = 0.0, False
    for kind in ways:
        with ExitStack() as held:
            clock = _Clock()
            try:
                changed |= _WAYS[kind](_Trial(program, task, seconds - took, take, copies, held), clock)
            except Over as over:
                return Attempt(over.execution, took + clock.seconds())
            took += clock.seconds()
    return Attempt(Execution("passed"), took, changed)


class _Clock:
    """The seconds since a program's first line could run: what it takes to start a sandbox is not the program's."""

    def __init__(self) -> None:
        self._began: float | None = None

    def begin(self, seconds: float) -> float:
        """The deadline."""
        self._began = time.monotonic()
        return self._began + seconds

    def seconds(self) -> float:
        return 0.0 if self._began is None else time.monotonic() - self._began


def _try_calls(trial: _Trial, clock: _Clock) -> bool:
    name = _entry_point(trial.task)
    calls = [(_arguments(given), _json(result)) for given, result in trial.task.calls]
    program = Program(trial.cell())
    program.begin(trial.program, _soon())
    deadline = clock.begin(trial.seconds)
    program.loaded(deadline)
    for at, ((given, keywords), expected) in enumerate(calls):
        try:
            answer = program.call(name, given, keywords, deadline)
        except Unplain as error:
            raise Unusable(f"the arguments of call {at} cannot cross to a program: {error}") from error
        if isinstance(answer, Raised):
            raise Over(Execution("failed", f"call {at}: {answer.said}"))
        if not matches(expected, answer.value):
            raise Over(Execution("failed", f"call {at}: not the value that is expected"))
    return False


def _try_test(trial: _Trial, clock: _Clock) -> bool:
    name = _entry_point(trial.task)
    program, suite = Program(trial.cell()), Suite(trial.cell())
    program.begin(trial.program, _soon())
    deadline = clock.begin(trial.seconds)
    program.loaded(deadline)
    suite.begin(trial.task.test, trial.task.reference, name, _soon())
    return suite.judge(program, name, deadline, copies=trial.copies)


def _try_dialogues(trial: _Trial, clock: _Clock) -> bool:
    expected = [_lines(output.encode("utf-8", "surrogatepass")) for _, output in trial.task.dialogues]
    if max(len(output) for _, output in trial.task.dialogues) > PRINTED_BYTES:
        raise Unusable(f"a dialogue expects more than {PRINTED_BYTES} characters of output")
    scripts = Scripts(trial.cell())
    scripts.begin(_soon())
    deadline = clock.begin(trial.seconds)
    for at, (text, _) in enumerate(trial.task.dialogues):
        printed = scripts.run(trial.program, text, deadline)
        if printed.status == OUT_OF_MEMORY_STATUS:
            raise Over(Execution("out_of_memory", "it asked for more memory than it may use"))
        if len(printed.output) > PRINTED_BYTES:
            raise Over(Execution("failed", f"dialogue {at}: printed more than {PRINTED_BYTES} bytes"))
        if printed.status:
            said = printed.errors[-_SAID:].decode("utf-8", "replace").strip().rsplit("\n", 1)[-1]
            raise Over(Execution("failed", f"dialogue {at}: ended with status {printed.status}: {said}"))
        if _lines(printed.output) != expected[at]:
            raise Over(Execution("failed", f"dialogue {at}: printed not what is expected"))
    return False


_WAYS: Final[dict[Kind, Callable[[_Trial, _Clock], bool]]] = {
    "calls": _try_calls,
    "test": _try_test,
    "dialogues": _try_dialogues,
}


def matches(expected: Any, value: Any) -> bool:
    """Whether a plain ``value`` is what JSON's ``expected`` means. Nothing of a program is called."""
    if isinstance(expected, list):
        wanted = cast("list[Any]", expected)
        if not isinstance(value, (list, tuple)):
            return False
        found = cast("list[Any] | tuple[Any, ...]", value)
        return len(found) == len(wanted) and all(map(matches, wanted, found))
    if isinstance(expected, dict):
        pairs = cast("dict[str, Any]", expected)
        if not isinstance(value, dict):
            return False
        held = cast("dict[Any, Any]", value)
        return held.keys() == pairs.keys() and all(matches(wanted, held[name]) for name, wanted in pairs.items())
    if isinstance(expected, float) and isinstance(value, float):
        return math.isclose(expected, value, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
    return expected == value


def _lines(output: bytes) -> list[bytes]:
    return b"\n".join(line.rstrip() for line in output.split(b"\n")).rstrip(b"\n").split(b"\n")


def _entry_point(task: CodeTask) -> str:
    if not task.entry_point.isidentifier():
        raise Unusable(f"the task names no function to call: entry_point is {task.entry_point[:60]!r}")
    return task.entry_point


def _arguments(text: str) -> tuple[list[Any], dict[str, Any]]:
    given = _json(text)
    if isinstance(given, list):
        return cast("list[Any]", given), {}
    if isinstance(given, dict):
        return [], cast("dict[str, Any]", given)
    raise Unusable(f"a call's arguments are {text[:60]!r}: expected a JSON array, or an object of keyword arguments")


def _json(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise Unusable(f"a call's arguments or result {text[:60]!r} are not JSON: {error}") from error


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _soon() -> float:
    return time.monotonic() + BEGIN_SECONDS
