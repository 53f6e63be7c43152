"""The gate's end of a worker: start it, say something and wait no longer than agreed, end it and all it started.

    with Worker() as worker:
        worker.ask({"load": folder, "flavor": "sklearn"}, seconds=300)
        worker.ask({"rows": ["charged twice"]}, seconds=60)     # {"answers": [{"text": "billing"}]}

POSIX only: it needs sessions, and pipes that can be selected on.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from finetune_gate.evaluators.errors import without_credentials

from ..models.manifest import shown
from .messages import HEADER, MAX_BYTES, SCRATCH_PREFIX, Message, decode, encode

_PASSED_ON: Final = frozenset({
    "PATH", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH",
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS", "CUDA_VISIBLE_DEVICES",
})  # fmt: skip
"""Of the gate's environment, what a worker sees: nothing that could be a secret."""

_SET: Final[Mapping[str, str]] = {
    # the gate file trusts the code; MLflow need not be asked again
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
}

_LAST_WORDS: Final = 2000
"""Bytes of standard error that are kept, and characters that a message shows of them."""

_CHUNK: Final = 1 << 16
_MOST_READS: Final = 32
"""Enough for the largest pipe."""


class WorkerFailed(Exception):
    """It did not answer: ``str`` says why. It has been ended."""


class Worker:
    """One process, with a folder of its own that is removed with it."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._scratch = tempfile.TemporaryDirectory(prefix=SCRATCH_PREFIX, ignore_cleanup_errors=True)
        self._last_words = b""
        self._alive = True
        self._process = subprocess.Popen(
            # isolated: neither the current folder nor PYTHON* settings decide what is imported
            [sys.executable, "-I", "-B", "-X", "utf8", "-m", "finetune_gate.gate.python_models.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self._scratch.name,
            env=worker_environment(environ, Path(self._scratch.name)),
            start_new_session=True,
            bufsize=0,
        )
        for descriptor in self._pipes():
            os.set_blocking(descriptor, False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def ask(self, message: Message, seconds: float) -> Message:
        """What it answers. Raises WorkerFailed where it does not within ``seconds``, ends, or says no message; it has
        been ended then."""
        try:
            return decode(self._exchange(encode(message), time.monotonic() + seconds, seconds))
        except ValueError as error:
            raise self._failed(f"what it said is no message: {error}") from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End it and what it started. Does nothing the second time."""
        self._kill()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()
        self._scratch.cleanup()

    def _kill(self) -> None:
        if self._alive:
            self._alive = False
            # also where it has ended by itself: what it started may live on in its group
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(timeout=30)

    def _pipes(self) -> tuple[int, int, int]:
        process = self._process
        pipes = [pipe.fileno() for pipe in (process.stdin, process.stdout, process.stderr) if pipe is not None]
        return pipes[0], pipes[1], pipes[2]

    def _exchange(self, out: bytes, until: float, seconds: float) -> bytes:
        questions, answers, words = self._pipes()
        unsent, received = memoryview(out), bytearray()
        wanted = HEADER.size
        with selectors.DefaultSelector() as selector:
            selector.register(questions, selectors.EVENT_WRITE)
            selector.register(answers, selectors.EVENT_READ)
            selector.register(words, selectors.EVENT_READ)
            while len(received) < wanted:
                left = until - time.monotonic()
                if left <= 0:
                    raise self._failed(f"no answer within {seconds:g} s")
                for key, _ in selector.select(left):
                    if key.fd == questions:
                        unsent = self._send(questions, unsent)
                        if not unsent:
                            selector.unregister(questions)
                    elif key.fd == words:
                        if not self._listen(words):
                            selector.unregister(words)
                    else:
                        chunk = os.read(answers, _CHUNK)
                        if not chunk:
                            raise self._failed(f"it ended: {self._ending()}")
                        received += chunk
                        if wanted == HEADER.size <= len(received):
                            wanted += HEADER.unpack_from(received)[0]
                            if wanted > MAX_BYTES:
                                raise self._failed(f"it answered with {wanted:,} bytes, more than {MAX_BYTES:,}")
        if len(received) > wanted:
            raise self._failed("it said more than it was asked")
        return bytes(received[HEADER.size :])

    def _send(self, pipe: int, unsent: memoryview) -> memoryview:
        try:
            return unsent[os.write(pipe, unsent[:_CHUNK]) :]
        except BrokenPipeError:
            return unsent[len(unsent) :]  # it is gone, which reading will tell, with its last words

    def _listen(self, pipe: int) -> bool:
        """Keep the last of what was printed; False at its end."""
        chunk = os.read(pipe, _CHUNK)
        self._last_words = (self._last_words + chunk)[-_LAST_WORDS:]
        return bool(chunk)

    def _failed(self, why: str) -> WorkerFailed:
        """Ends it, and says how, with the last lines it printed."""
        self._kill()
        with contextlib.suppress(BlockingIOError):
            for _ in range(_MOST_READS):  # what it left behind in another session may print for ever
                if not self._listen(self._pipes()[2]):
                    break
        self.close()
        words = self._last_words.decode("utf-8", "replace").strip()
        printed = " | ".join(shown(without_credentials(line), 300) for line in words.splitlines()[-6:] if line.strip())
        return WorkerFailed(f"{why}; its last words: {printed}" if printed else why)

    def _ending(self) -> str:
        """How a process that closed its pipe ended; one that did not end is ended by `close`."""
        try:
            status = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return "it closed its pipe"
        if status >= 0:
            return f"exit status {status}"
        name = signal.Signals(-status).name if -status in {*signal.Signals} else str(-status)
        return f"signal {name}" + (", as where memory runs out" if name == "SIGKILL" else "")


def worker_environment(environ: Mapping[str, str], home: Path) -> dict[str, str]:
    """A worker's whole environment: `_PASSED_ON` of ``environ``, and ``home`` for everything it may want to keep."""
    passed = {name: value for name, value in environ.items() if name in _PASSED_ON}
    own = {"HOME": str(home), "TMPDIR": str(home), "MLFLOW_TRACKING_URI": f"sqlite:///{home}/none.db"}
    return passed | own | _SET
