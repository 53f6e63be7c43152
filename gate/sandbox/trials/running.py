"""Many programs, each at its task, in sandboxes of one backend.

    trials = Trials(backend)
    trials.execute_all(requests, deliver)       # deliver(index, Execution | Failed), as each is done

Nothing that a program or a sandbox does is raised here. What a program does is an `Execution`; where it could not be
found out what it does, there is a `Failed` with the reason, which is never taken for a program's failure: the sandbox
did not do its part twice, the controls came out wrong, or the reference solution does not pass its own tests.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from functools import partial
from threading import Lock
from typing import Final, Generic, TypeVar

from finetune_gate.evaluators.asking import CodeTask, ExecuteRequest, Execution, Failed

from ..protocol import Backend, Cell, Limits
from .controls import fault
from .executing import Attempt, Kind, attempt, kinds
from .relay import SandboxFault, Unusable
from .warm import WarmCells

Outcome = Execution | Failed

REFERENCE_SECONDS: Final = 60.0
"""How long a reference solution may take, where a program may not take longer anyway."""

_CONTROL_SECONDS: Final = 10.0
_CONTROL_MEMORY_MIB: Final = 512
_TRIES: Final = 2
_CPU_SECONDS: Final = 600
"""CPU time is limited in whole multiples of this, well above what the deadline lets pass: so that the deadline comes
first, and that cells of most tasks are alike."""

K = TypeVar("K")
V = TypeVar("V")


class Trials:
    """What is kept for its life: how the controls came out, for each kind of task, and the time that each reference
    took. ``workers`` programs are tried at once: without it, as many as there are cores. May be used by several
    threads."""

    def __init__(self, backend: Backend, workers: int | None = None) -> None:
        self._backend = backend
        self._workers = workers or _cores()
        self._controlled: _Once[Kind, str | None] = _Once()
        self._references: _Once[tuple[CodeTask, int], Attempt | Failed] = _Once()

    def execute(self, request: ExecuteRequest) -> Outcome:
        with WarmCells(self._backend, ahead=0) as cells:
            return self._execute(request, cells)

    def execute_all(self, requests: Sequence[ExecuteRequest], deliver: Callable[[int, Outcome], None]) -> None:
        """``deliver`` is called in this thread. What it raises, or an interrupt, ends what runs and is raised."""
        threads = min(self._workers, len(requests))
        if not threads:
            return
        with WarmCells(self._backend, ahead=threads) as cells, ThreadPoolExecutor(threads) as pool:
            tried = {pool.submit(self._execute, request, cells): at for at, request in enumerate(requests)}
            try:
                for done in as_completed(tried):
                    deliver(tried[done], done.result())
            except BaseException:
                cells.stop()
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _execute(self, request: ExecuteRequest, cells: WarmCells) -> Outcome:
        for kind in kinds(request.task):
            reason = self._controlled.get(kind, partial(self._control, kind, cells))
            if reason is not None:
                return Failed(reason)
        reference = None
        if request.task.reference:
            key = (request.task, request.memory_mib)
            reference = self._references.get(key, partial(_reference, request, cells))
            if isinstance(reference, Failed):
                return reference
        try:
            return _beside(reference, request, cells)
        except Unusable as error:
            if reference is not None:  # which passed: so it is what this program returns that cannot be tried
                return Execution("failed", str(error))
            return Failed(str(error))
        except SandboxFault as error:
            return Failed(str(error))

    def _control(self, kind: Kind, cells: WarmCells) -> str | None:
        def trial(program: str, task: CodeTask) -> Outcome:
            try:
                return _tried(program, task, _CONTROL_SECONDS, _CONTROL_MEMORY_MIB, cells).execution
            except (SandboxFault, Unusable) as error:
                return Failed(str(error))

        return fault(kind, trial)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _beside(reference: Attempt | None, request: ExecuteRequest, cells: WarmCells) -> Execution:
    """What becomes of a program, in a time that the reference's is the measure of. A program that passes and changes
    arguments, which the reference leaves as they are, must also pass where its tests do not see that: otherwise it
    could empty a list, return it, and be right by ``solve(values) == sorted(values)``. Raises SandboxFault and
    Unusable."""
    seconds = (
        request.seconds if reference is None else max(request.seconds, request.times_reference * reference.seconds)
    )
    trial = partial(_tried, request.program, request.task, seconds, request.memory_mib, cells)
    found = trial()
    if reference is None or reference.changed or not found.changed:
        return found.execution
    return trial(copies=True).execution


def _reference(request: ExecuteRequest, cells: WarmCells) -> Attempt | Failed:
    """How the reference solution passes here; Failed where it does not do what it is the reference of."""
    task, seconds = request.task, max(REFERENCE_SECONDS, request.seconds)
    try:
        found = _tried(task.reference, task, seconds, request.memory_mib, cells)
    except (SandboxFault, Unusable) as error:
        return Failed(f"the reference solution could not be tried: {error}")
    execution = found.execution
    if execution.outcome != "passed":
        said = f" ({execution.detail})" if execution.detail else ""
        return Failed(f"the reference solution does not pass its own tests in this sandbox: {execution.outcome}{said}")
    return found


def _tried(
    program: str, task: CodeTask, seconds: float, memory_mib: int, cells: WarmCells, *, copies: bool = False
) -> Attempt:
    """Once more where the sandbox was at fault. Raises SandboxFault and Unusable."""
    limits = Limits(
        memory_bytes=memory_mib << 20, cpu_seconds=_CPU_SECONDS * math.ceil((4 * seconds + 60) / _CPU_SECONDS)
    )

    def take() -> Cell:
        return cells.take(limits)

    for left in reversed(range(_TRIES)):
        try:
            return attempt(program, task, seconds, take, copies=copies)
        except SandboxFault:
            if not left:
                raise
    raise AssertionError("unreachable: the last try returns or raises")


class _Once(Generic[K, V]):
    """Finds out one thing per key, once, however many threads ask for it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._known: dict[K, Future[V]] = {}

    def get(self, key: K, find: Callable[[], V]) -> V:
        with self._lock:
            known = self._known.get(key)
            mine = known is None
            if known is None:
                known = self._known[key] = Future()
        if mine:
            try:
                known.set_result(find())
            except BaseException as error:
                with self._lock:
                    del self._known[key]
                known.set_exception(error)
                raise
        return known.result()
