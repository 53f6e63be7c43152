"""A backend that keeps nothing in: a plain process. For tests of the logic around sandboxes, on any machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass

from finetune_gate.gate.sandbox.backends.cells import Channel, PipedCell
from finetune_gate.gate.sandbox.protocol import Cell, Ending, Limits


@dataclass(frozen=True, slots=True)
class PlainProcesses:
    """``instead`` runs in place of every worker: a worker that does what it likes."""

    instead: str | None = None
    name: str = "plain"

    def missing(self) -> str | None:
        return None

    def start(self, program: str, limits: Limits) -> Cell:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-X", "utf8", "-c", program if self.instead is None else self.instead],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={}, start_new_session=True,
        )  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        channel = Channel(os.dup(process.stdout.fileno()), os.dup(process.stdin.fileno()), limits.message_bytes)
        process.stdin.close()
        process.stdout.close()
        return PipedCell(channel, _Process(process))


class _Process:
    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def too_much(self) -> bool:
        return False

    def end(self, patience: float) -> Ending:
        try:
            status = self._process.wait(patience)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            return "running"
        return "killed" if status < 0 else "exited"
