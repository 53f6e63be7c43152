"""The first steps of a sandbox's Python, before any foreign code: its own limits, then the program it is sent.

It runs inside, and so is a text with nothing in it but the standard library. It says ``READY`` once nothing is left to
be set up; whatever is said before that is the reason why the sandbox cannot be used.
"""

from __future__ import annotations

from typing import Final

from ..protocol import Limits

READY: Final = b"ready"

LAUNCH_SECONDS: Final = 30.0
"""How long a sandbox may take until it is ready. It does not count for the program."""

ENVIRONMENT: Final = {"MALLOC_ARENA_MAX": "1", "PYTHONHASHSEED": "0"}
"""All that is in the environment, but for where things are. One arena: otherwise the C library sets aside 64 MiB of
addresses for each thread, which count as used. One seed: sets of texts are in the same order in every run, and so is
what a program makes of it."""

OPTIONS: Final = ("-s", "-S", "-X", "utf8")
"""Of Python. Not ``-I``: it would not read the seed."""

_STACK_BYTES: Final = 64 << 20


def settings_text(limits: Limits, **others: int | str) -> bytes:
    """What the launcher sets inside, as it reads it; ``others`` are those of one backend."""
    values: dict[str, int | str] = {
        "as": limits.memory_bytes,
        "cpu": limits.cpu_seconds,
        "fsize": limits.disk_bytes,
        "nofile": limits.open_files,
        "core": 0,
        "stack": _STACK_BYTES,
        **others,
    }
    return "\n".join(f"{name}={value}" for name, value in values.items()).encode("ascii")


LAUNCHER: Final = r"""
import sys
sys.path[:] = [folder for folder in sys.path if folder]
import os

def _take(count):
    parts = b""
    while len(parts) < count:
        part = os.read(0, count - len(parts))
        if not part:
            os._exit(70)
        parts += part
    return parts

def _message():
    return _take(int.from_bytes(_take(4), "big"))

def _say(text):
    os.write(1, len(text).to_bytes(4, "big") + text)

def _become_first_process():
    # As the first process of its namespace it is told to end by nobody but the outside, collects what is orphaned,
    # and cannot be looked into: what it starts is the program's process.
    import ctypes, signal
    ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)
    child = os.fork()
    if child == 0:
        ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
        return
    os.close(0)
    os.close(1)
    while True:
        try:
            ended, status = os.wait()
        except ChildProcessError:
            os._exit(0)
        if ended == child:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)

def _filter_calls(program):
    import ctypes
    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("steps", ctypes.c_char_p)]
    libc = ctypes.CDLL(None, use_errno=True)
    wanted = Program(len(program) // 8, program)
    if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.byref(wanted), 0, 0):
        raise OSError(ctypes.get_errno(), "the filter of system calls was not accepted")

def _begin():
    import resource
    setup = dict(line.split("=", 1) for line in _message().decode("ascii").splitlines())
    try:
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 2)
        os.close(quiet)
        for name, kind in (("cpu", resource.RLIMIT_CPU), ("fsize", resource.RLIMIT_FSIZE),
                           ("nofile", resource.RLIMIT_NOFILE), ("core", resource.RLIMIT_CORE),
                           ("stack", resource.RLIMIT_STACK), ("nproc", resource.RLIMIT_NPROC)):
            if name in setup:
                resource.setrlimit(kind, (int(setup[name]), int(setup[name])))
        if "filter" in setup:
            _filter_calls(bytes.fromhex(setup["filter"]))
        if os.getpid() == 1:
            _become_first_process()
        resource.setrlimit(resource.RLIMIT_AS, (int(setup["as"]), int(setup["as"])))
    except Exception as error:
        _say(f"{type(error).__name__}: {error}".encode("utf-8", "replace")[:500])
        os._exit(71)
    _say(b"ready")
    return compile(_message(), "<program>", "exec")

_program = _begin()
del sys
for _name in ("_take", "_message", "_say", "_become_first_process", "_filter_calls", "_begin", "_name"):
    del globals()[_name]
exec(globals().pop("_program"), globals())
"""
