"""``transformers serve`` in a process of its own: a server that this project did not write."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError


@dataclass(frozen=True)
class Served:
    """A model, served at ``base_url`` under the name ``model``."""

    model: str
    base_url: str
    log: Path

    @property
    def completions(self) -> int:
        """Chat completions that the server's own log of accesses counts."""
        return len(re.findall(r'"POST /v1/chat/completions[^"]*" 200', self.log.read_text()))


@contextmanager
def serving(folder: Path, log: Path) -> Generator[Served]:
    """Under the folder's own name, as seen from where it lies."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).with_name("transformers")), "serve", folder.name, "--device", "cpu"]
    environ = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    with (
        log.open("wb") as said,
        subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            stdout=said,
            stderr=said,
            env=environ,
            cwd=folder.parent,
        ) as process,
    ):
        try:
            _wait_until_up(f"http://127.0.0.1:{port}/health", process, log)
            yield Served(folder.name, f"http://127.0.0.1:{port}/v1", log)
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait_until_up(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except (URLError, OSError):
            time.sleep(0.3)
    raise AssertionError(f"transformers serve did not start:\n{log.read_text()[-3000:]}")
