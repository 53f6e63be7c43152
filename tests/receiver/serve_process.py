"""``finetune-gate serve`` as a process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from delivering import SECRET

COMMAND = [sys.executable, "-c", "from finetune_gate.flows.cli.serve import serve; serve()"]
GATE_FILE = """
model: support-bot
data: {tickets: tickets.jsonl}
evaluators: [{perplexity: {data: tickets}}]
rules:
  - metric: perplexity.bits_per_byte
    max: 1000
"""


def gate_file_in(folder: Path) -> Path:
    (folder / "tickets.jsonl").write_text('{"id": "1", "text": "My ticket is late."}\n')
    path = folder / "gate.yaml"
    path.write_text(GATE_FILE)
    return path


@contextmanager
def serving(*arguments: str, home: Path, secret: bytes = SECRET) -> Generator[subprocess.Popen[str]]:
    env = os.environ | {"FINETUNE_GATE_HOME": str(home), "FINETUNE_GATE_WEBHOOK_SECRET": secret.decode()}
    process = subprocess.Popen(
        [*COMMAND, *arguments], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=home
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(20)
        assert process.stdout is not None
        process.stdout.close()


def line(process: subprocess.Popen[str], beginning: str) -> str:
    assert process.stdout is not None
    found: list[str] = []
    for text in process.stdout:
        found.append(text)
        if beginning in text:
            return text.strip()
    raise AssertionError("".join(found))
