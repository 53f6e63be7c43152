"""Cells that are up before they are wanted.

    with WarmCells(backend, ahead=2) as cells:
        with cells.take(Limits()) as cell:      # its worker has greeted
            ...

Each is used once, and another is started in its stead meanwhile.
"""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event, Lock
from types import TracebackType
from typing import Final, Self

from ..protocol import Backend, Cell, CellError, Ending, Limits
from .relay import SandboxFault, Stopped, greeted
from .shipping import WORKER

START_SECONDS: Final = 20.0
"""How long a sandbox's Python may take until it is up."""
_LOOK_EVERY_SECONDS: Final = 0.25


class WarmCells:
    """Keeps ``ahead`` cells ready. They are started in threads that live until ``close``, since the kernel may end a
    sandbox together with the thread that started it; so whatever was taken must be closed before."""

    def __init__(self, backend: Backend, ahead: int) -> None:
        self._backend = backend
        self._ahead = ahead
        self._ready: deque[tuple[Limits, Future[Cell]]] = deque()
        self._lock = Lock()
        self._starters = ThreadPoolExecutor(max(1, ahead), thread_name_prefix="sandbox")
        self._stopped = Event()

    def take(self, limits: Limits) -> Cell:
        """Raises SandboxFault and Stopped."""
        with self._lock:
            fitting = next((held for held in self._ready if held[0] == limits), None)
            if fitting is not None:
                self._ready.remove(fitting)
            started = fitting[1] if fitting is not None else self._starters.submit(self._start, limits)
            while fitting is None and self._ready:  # of limits that nobody asks for now
                self._starters.submit(_end, self._ready.popleft()[1])
            while len(self._ready) < self._ahead:
                self._ready.append((limits, self._starters.submit(self._start, limits)))
        return started.result()

    def stop(self) -> None:
        """Let whoever waits for a cell, or for its answer, get Stopped instead. To be called from any thread."""
        self._stopped.set()

    def close(self) -> None:
        """End those that nobody took."""
        self.stop()
        with self._lock:
            while self._ready:
                _end(self._ready.popleft()[1])
        self._starters.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()

    def _start(self, limits: Limits) -> Cell:
        if self._stopped.is_set():
            raise Stopped
        try:
            cell = self._backend.start(WORKER, limits)
        except OSError as error:
            raise SandboxFault(f"the sandbox {self._backend.name} could not be started: {error}") from error
        try:
            greeted(cell, time.monotonic() + START_SECONDS)
        except BaseException:
            cell.close()
            raise
        return _Stoppable(cell, self._stopped)


def _end(started: Future[Cell]) -> None:
    if started.cancel() or started.exception() is not None:
        return
    started.result().close()


class _Stoppable:
    """A cell whose waits end with Stopped soon after that is set: an interrupted run does not wait for programs."""

    def __init__(self, cell: Cell, stopped: Event) -> None:
        self._cell = cell
        self._stopped = stopped

    def send(self, message: bytes, deadline: float) -> None:
        self._cell.send(message, deadline)

    def receive(self, deadline: float) -> bytes:
        while True:
            soon = min(deadline, time.monotonic() + _LOOK_EVERY_SECONDS)
            try:
                return self._cell.receive(soon)
            except CellError as error:
                if error.kind != "deadline" or soon >= deadline:
                    raise
            if self._stopped.is_set():
                raise Stopped

    def close(self) -> Ending:
        return self._cell.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()
