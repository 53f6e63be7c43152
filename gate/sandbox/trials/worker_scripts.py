"""Programs that read and print, inside a sandbox: each in a process of its own.

Runs inside, as text; see ``worker.py``.
"""

from __future__ import annotations

import builtins
import os
import sys
import types
from select import select

from .encoding import encode
from .inside import TEXT, Channel

_OUT_OF_MEMORY = 252
"""The exit status that says so of a script's process."""


def run_scripts(channel: Channel) -> None:
    """Each in a process of its own, which begins as this one is: nothing was ever run in it."""
    while True:
        _, number, source, text, limit = channel.receive()
        status, output, errors = _run_script(channel, source, text.encode("utf-8", "surrogatepass"), limit)
        channel.send(["printed", number, status, encode(output), encode(errors)])


def _run_script(channel: Channel, source: str, text: bytes, limit: int) -> tuple[int, bytes, bytes]:
    """Its exit status (minus the number of the signal that ended it), what it printed, one byte more than ``limit`` at
    most, and the end of what it wrote to standard error."""
    given, printed, complained = os.pipe(), os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        for ours, descriptor in ((given[0], 0), (printed[1], 1), (complained[1], 2)):
            os.dup2(ours, descriptor)
        for descriptor in (*given, *printed, *complained, channel.reading, channel.writing):
            os.close(descriptor)
        _be_the_script(source)
    for descriptor in (given[0], printed[1], complained[1]):
        os.close(descriptor)
    return _fed(given[1], text, printed[0], complained[0], child, limit)


def _fed(given: int, text: bytes, printed: int, complained: int, child: int, limit: int) -> tuple[int, bytes, bytes]:
    """Write ``text`` and read both ends until the process is over: not until they are closed, which a process that it
    left behind may keep from happening."""
    told: dict[int, bytes] = {printed: b"", complained: b""}
    writing, reading, status = [given], [printed, complained], None
    os.set_blocking(given, False)
    while True:
        if status is None:
            ended, code = os.waitpid(child, os.WNOHANG)
            status = code if ended else None
        readable, writable, _ = select(reading, writing, [], 0 if status is not None else 0.005)
        if writable:
            try:
                text = text[os.write(given, text) :] if text else text
            except BrokenPipeError:
                text = b""
            if not text:
                os.close(given)
                writing = []
        for descriptor in readable:
            part = os.read(descriptor, 65536)
            said = told[descriptor] + part
            told[descriptor] = said[: limit + 1] if descriptor == printed else said[-TEXT:]
            if not part:
                reading.remove(descriptor)
        if status is not None and not readable:
            break
        if len(told[printed]) > limit:
            os.kill(child, 9)
            _, status = os.waitpid(child, 0) if status is None else (child, status)
            break
    for descriptor in (printed, complained, *writing):
        os.close(descriptor)
    code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)
    return code, told[printed], told[complained]


def _be_the_script(source: str) -> None:
    """Never returns. As ``python program.py`` would, it flushes and exits with the status of what was raised."""
    module = types.ModuleType("__main__")
    module.__dict__["__builtins__"] = builtins
    sys.modules["__main__"] = module
    sys.argv = ["program.py"]
    sys.stdin, sys.stdout, sys.stderr = (
        open(descriptor, mode, encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115 (they stay)
        for descriptor, mode in ((0, "r"), (1, "w"), (2, "w"))
    )
    try:
        exec(compile(source, "program.py", "exec", dont_inherit=True), module.__dict__)  # noqa: S102 (as above)
    except MemoryError:
        os._exit(_OUT_OF_MEMORY)
    sys.exit(0)
