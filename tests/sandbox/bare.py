"""A backend that contains nothing: what the probes get to where there is no sandbox."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from finetune_gate.gate.sandbox.backends.cells import Channel, PipedCell
from finetune_gate.gate.sandbox.protocol import Cell, Ending, Limits


class Bare:
    """A plain process in ``folder``, with the environment and an open file of this process handed down."""

    name = "bare"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def missing(self) -> str | None:
        return None

    def start(self, program: str, limits: Limits) -> Cell:
        to_inside, from_inside = os.pipe(), os.pipe()
        with tempfile.TemporaryFile() as handed_down, (self._folder / "complaints").open("wb") as complaints:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", program],
                stdin=to_inside[0],
                stdout=from_inside[1],
                stderr=complaints,
                cwd=self._folder,
                pass_fds=(handed_down.fileno(),),
            )
        for descriptor in (to_inside[0], from_inside[1]):
            os.close(descriptor)
        return PipedCell(Channel(from_inside[0], to_inside[1], limits.message_bytes), _Plain(process))


class _Plain:
    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def too_much(self) -> bool:
        return False

    def end(self, patience: float) -> Ending:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(5)
        return "running"
