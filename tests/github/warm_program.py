"""``finetune-gate`` as a program on the PATH that need not import torch and MLflow at each start.

    warm = warm_program()
    warm.path                      # a folder with `finetune-gate` in it: put it first on the PATH
    warm.folder                    # a registry of tiny models, made once: copy it (workshop.copy_registry)

The program on the PATH hands its words, environment, folder and streams to a process that has imported everything,
which forks, and ends with the status of the fork. The shells are as real as ever; a gate costs a second and not eight.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Never

HERE: Final = Path(__file__).resolve().parent
# read as a command anywhere, it would leave a file; read as markup, a picture
HOSTILE_MODEL: Final = (
    "router $(touch pwned)`touch pwned` ; touch pwned ; <img src=x> | # ${{ github.token }} %0A [x](y)"
)
_CLIENT: Final = """\
#!{python} -IS
import array, json, os, socket, sys
connection = socket.socket(socket.AF_UNIX)
connection.connect({socket!r})
asked = json.dumps([sys.argv[1:], dict(os.environ), os.getcwd()]).encode()
socket.send_fds(connection, [len(asked).to_bytes(4, "big")], [0, 1, 2])
connection.sendall(asked)
sys.exit(connection.recv(1)[0])
"""


@dataclass(frozen=True, slots=True)
class Warm:
    path: Path
    folder: Path


@functools.cache
def warm_program() -> Warm:
    """Started once in a process of tests, and ended with it."""
    root = Path(tempfile.mkdtemp(prefix="warm-"))
    program = root / "bin" / "finetune-gate"
    program.parent.mkdir()
    program.write_text(_CLIENT.format(python=sys.executable, socket=str(root / "socket")), encoding="utf-8")
    program.chmod(0o755)
    ready, writing = os.pipe()
    process = subprocess.Popen(
        [sys.executable, str(HERE / "warm_program.py"), str(root), str(writing)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        pass_fds=[writing],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(writing)

    def end() -> None:
        process.terminate()
        process.wait(20)
        shutil.rmtree(root, ignore_errors=True)

    atexit.register(end)
    with os.fdopen(ready) as lines:
        assert lines.readline() == "ready\n", "the warm program did not start"
    return Warm(program.parent, root / "registry")


def _serve(root: Path, ready: int) -> Never:
    sys.path.append(str(HERE.parent / "flows"))
    import mlflow
    import sklearn.metrics
    import torch
    import transformers
    import workshop

    import finetune_gate.flows.cli.github
    import finetune_gate.flows.cli.run
    import finetune_gate.flows.github.verdict
    import finetune_gate.gate.run  # noqa: F401

    _ = mlflow.MlflowClient, torch.Tensor, transformers.PreTrainedModel, sklearn.metrics.f1_score
    if (child := os.fork()) == 0:
        # in a process of its own: connections to a database must not be inherited
        workshop.MODEL = HOSTILE_MODEL
        workshop.open_workshop(root / "registry")
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(root / "socket"))
    listening.listen()
    gc.collect()
    gc.freeze()  # what forks share stays shared
    with os.fdopen(ready, "w") as told:
        told.write("ready\n")
    while True:
        connection, _ = listening.accept()
        if os.fork() == 0:
            listening.close()
            _answer(connection)
        connection.close()
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _answer(connection: socket.socket) -> Never:
    """Fork once more, become the program that was asked for, and tell its status."""
    length, streams, _, _ = socket.recv_fds(connection, 4, 3)
    asked = b""
    while len(asked) < int.from_bytes(length, "big"):
        asked += connection.recv(1 << 16)
    words, environment, folder = json.loads(asked)
    if (child := os.fork()) == 0:
        connection.close()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        # those of the start were made for other files
        for name, number in (("stdout", 1), ("stderr", 2)):
            setattr(sys, name, open(number, "w", encoding="utf-8", closefd=False))  # noqa: SIM115 - as long as the process
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        _become(words)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with contextlib.suppress(BrokenPipeError):
        connection.sendall(bytes([status if status >= 0 else 128 - status]))
    os._exit(0)


def _become(words: list[str]) -> Never:
    """Ends at once, without the seconds that it takes to take down what was imported."""
    from finetune_gate.flows.cli import main

    sys.argv = ["finetune-gate", *words]
    status: object = 70
    try:
        main()
    except SystemExit as ended:
        status = ended.code
    except BaseException:  # noqa: BLE001 - as at the end of a process
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status if isinstance(status, int) else 70)


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), int(sys.argv[2]))
