"""Who may open, mend and use a store file. Locks of the system (``flock``): a killed process leaves none behind.

users = Users(path)
with opening(path):          # one process at a time
    if users.alone(): ...    # nobody else has the store open: it may be checked and replaced
    users.join()             # from here on, others are not alone
users.leave()
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from finetune_gate.evaluators.errors import EvaluationError, Problem

OPENING_SECONDS = 600.0
"""How long to wait for others that open the store: one of them may be salvaging a large damaged file."""


@contextmanager
def opening(path: Path, seconds: float = OPENING_SECONDS) -> Generator[None]:
    """Hold the door: ``<path>.lock``. Raises EvaluationError where somebody else holds it for too long."""
    handle = _open(path, ".lock")
    try:
        until = time.monotonic() + seconds
        while not _locked(handle, fcntl.LOCK_EX):
            if time.monotonic() > until:
                raise EvaluationError(
                    Problem(
                        f"answer store {path}",
                        f"another process has been opening it for over {seconds:.0f} s",
                        way_out="wait for it, or end it: nothing that is finished is lost",
                    )
                )
            time.sleep(0.01)
        yield
    finally:
        os.close(handle)


class Users:
    """One process's place among those that have the store open: ``<path>.users``."""

    def __init__(self, path: Path) -> None:
        self._handle = _open(path, ".users")

    def alone(self) -> bool:
        """Whether nobody else has the store open. True also shuts others out, until `join` or `leave`."""
        return _locked(self._handle, fcntl.LOCK_EX)

    def join(self) -> None:
        fcntl.flock(self._handle, fcntl.LOCK_SH)

    def leave(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def _open(path: Path, ending: str) -> int:
    name = path.with_name(path.name + ending)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise EvaluationError(
            Problem(
                f"answer store {path}",
                f"cannot open {name.name}: {error.strerror}",
                "a folder that can be written",
                "FINETUNE_GATE_HOME names another folder",
            )
        ) from error


def _locked(handle: int, kind: int) -> bool:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
