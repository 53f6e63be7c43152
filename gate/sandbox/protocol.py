"""The seam between running a program and where it runs.

    with backend.start(WORKER, limits) as cell:
        cell.send(message, deadline)
        answer = cell.receive(deadline)

A backend starts one sandbox per program, and everything in it is gone when the cell is closed.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Protocol, Self


@dataclass(frozen=True, slots=True)
class Limits:
    """What one sandbox may use. Beyond it, it is ended; nothing outside notices."""

    memory_bytes: int = 512 << 20
    disk_bytes: int = 64 << 20
    processes: int = 32
    open_files: int = 64
    cpu_seconds: int = 60
    message_bytes: int = 1 << 20
    """The longest message that is read from it."""


Ending = Literal["running", "exited", "killed", "out_of_memory", "sandbox_error"]
"""How the process in a sandbox ended, as its outside saw it. ``sandbox_error``: the sandbox itself failed."""


class CellError(Exception):
    """The other side did not answer as agreed: ``kind`` says in which way. What it says is no measurement of the
    program unless ``kind`` is one of a program's own doings."""

    def __init__(self, kind: Literal["deadline", "closed", "too_long"], message: str) -> None:
        super().__init__(message)
        self.kind: Literal["deadline", "closed", "too_long"] = kind


class Cell(Protocol):
    """One sandbox with one Python process in it. Deadlines are of ``time.monotonic``."""

    def send(self, message: bytes, deadline: float) -> None:
        """Raises CellError."""
        ...

    def receive(self, deadline: float) -> bytes:
        """The next message, as the process framed it (four bytes of length, big-endian, then so many). Hostile. Raises
        CellError; after one of the kind ``deadline`` it may be called again."""
        ...

    def close(self) -> Ending:
        """End everything in the sandbox, wait until it is gone, and say how the process had ended by itself, or
        ``running``. May be called again."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...


class Backend(Protocol):
    """A way to keep a process in. ``name`` is what the gate file calls it."""

    @property
    def name(self) -> str: ...

    def missing(self) -> str | None:
        """Why it cannot be used on this machine, found without starting anything; None where it may be tried."""
        ...

    def start(self, program: str, limits: Limits) -> Cell:
        """A new sandbox whose Python runs the source ``program``, with its end of the channel on the file descriptors
        0 (what is sent) and 1 (what is received). Raises OSError where it cannot be started."""
        ...
