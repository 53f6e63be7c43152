"""A receiver in a process of its own, to be killed: ``receiver_process.py INBOX DIARY``; the secret is in the
environment.

A look takes a few milliseconds and then writes a line into the diary: the model, and when the look began. Where the
diary has ``.fails`` beside it, looks fail.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path

from finetune_gate.evaluators.errors import EvaluationError, Problem
from finetune_gate.flows.receiver import Inbox, Log, Receiver, Working, serve, webhook_secrets

MODELS = tuple(f"bot-{number}" for number in range(20_000))
LOOK_SECONDS = 0.004


def main(inbox: Path, diary: Path) -> None:
    def look(models: frozenset[str] | None) -> None:
        begun = time.monotonic_ns()
        time.sleep(LOOK_SECONDS)
        if diary.with_suffix(".fails").exists():
            raise EvaluationError(Problem("registry", "away"))
        with diary.open("a") as file:
            for model in sorted(models or ()):
                file.write(f"{model} {begun}\n")

    log = Log(lambda line: print(line, file=sys.stderr, flush=True))
    with Inbox.open(inbox) as box, contextlib.suppress(BrokenPipeError):
        working = Working(box, look, sweep_seconds=0, log=log, first_pause=0.05)
        models = dict.fromkeys(MODELS, frozenset({"champion"}))
        receiver = Receiver(webhook_secrets(os.environ), models, box, log, wake=working.wake)
        serve(receiver, working, host="127.0.0.1", port=0, ready=lambda address: print(address, flush=True))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
