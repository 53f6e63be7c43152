"""What the probes of a sandbox have in common. This runs inside, as the program of a cell; see ``self_test``.

Messages in: the settings as JSON, then source texts of probes. For each probe two JSON objects come out, ``begins`` and
``ends``, and after each text an empty one. A probe that returns a text has broken out; one that is refused raises.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import signal
import sys
import types
from collections.abc import Callable

LIBC = ctypes.CDLL(None, use_errno=True)
COLUMN = {"x86_64": 0, "aarch64": 1}.get(platform.machine(), 0)
outside: dict[str, str] = {}
"""What the other side has planted: names and values as ``surroundings`` has them."""

Probe = Callable[[], str | None]
_probes: dict[str, Probe] = {}
_REFUSED = (1, 13, 38)  # EPERM, EACCES, ENOSYS
_PATIENCE_SECONDS = 5

NOT_TOLD = "it could not be told in time"
"""What a probe found that did not come to an end: that is not to be contained."""


def probe(run: Probe) -> Probe:
    """``@probe``: one way out that is tried. Its name is the function's."""
    _probes[run.__name__] = run
    return run


def call(numbers: tuple[int, int], *arguments: int | bytes | None) -> int:
    """A system call by its number on x86_64 and aarch64. Raises OSError where it fails."""
    number = numbers[COLUMN]
    if number < 0:
        raise OSError(38, "there is none on this machine")
    passed = [ctypes.c_long(a) if isinstance(a, int) else ctypes.c_char_p(a) for a in arguments]
    result = int(LIBC.syscall(ctypes.c_long(number), *passed))
    if result == -1:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result


def reached(numbers: tuple[int, int], *arguments: int | bytes | None) -> str | None:
    """Whether the kernel looked at a call's arguments: for calls that cannot be made in earnest, or not harmlessly."""
    try:
        call(numbers, *arguments)
    except OSError as error:
        return None if error.errno in _REFUSED else f"refused only for its arguments: {error.strerror}"
    return "the call succeeded"


def in_child(run: Probe) -> str | None:
    """``run`` in a process of its own, for what may end it or change it."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(_PATIENCE_SECONDS)
        try:
            os.write(write, (run() or "").encode("utf-8", "replace")[:1000])
        finally:
            os._exit(0)
    os.close(write)
    said = os.read(read, 1000).decode("utf-8", "replace")
    os.close(read)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM:
        return NOT_TOLD
    return said or None


def _take(count: int) -> bytes:
    taken = b""
    while len(taken) < count:
        part = os.read(0, count - len(taken))
        if not part:
            sys.exit(0)
        taken += part
    return taken


def _say(about: dict[str, str | None]) -> None:
    answer = json.dumps(about).encode()
    os.write(1, len(answer).to_bytes(4, "big") + answer)


def _try_all(source: str) -> None:
    _probes.clear()
    code = compile(source, "<probes>", "exec")
    exec(code, {"__name__": "inside.probes", "__package__": "inside"})  # noqa: S102  # runs in a sandbox only
    skipped = outside.get("skip", "").split()
    for name, run in list(_probes.items()):
        if name in skipped:
            continue
        _say({"begins": name})
        try:
            found = run()
        except Exception:  # noqa: BLE001  # whatever refuses it has contained it; a test shows that each can succeed
            found = None
        _say({"ends": name, "found": found})
    _say({})


def _main() -> None:
    inside = types.ModuleType("inside")
    sys.modules.update({"inside": inside, "inside.probing": sys.modules["__main__"]})
    with open("writable", "w", encoding="ascii"):  # what cannot do even that contains nothing worth the name
        os.unlink("writable")
    outside.update(json.loads(_take(int.from_bytes(_take(4), "big"))))
    while True:
        _try_all(_take(int.from_bytes(_take(4), "big")).decode())


if __name__ == "__main__":
    _main()
