"""What the workers in a sandbox share: their channel, and how they treat foreign code.

Runs inside, as text; see ``worker.py``.
"""

from __future__ import annotations

import os
import struct
import sys
import types

from .encoding import encode, pack, unpack

TYPE_CHECKING = False  # as ``typing`` has it, without the time that its import takes in every sandbox
if TYPE_CHECKING:
    from typing import Any

LONGEST = 1_000_000
"""How many bytes of values one message may hold: with what is around them, less than is read of it."""
TEXT = 500
"""How many characters of an exception's text are told."""


class Channel:
    """Messages on two file descriptors, each with its length before it."""

    def __init__(self, reading: int, writing: int) -> None:
        self.reading, self.writing = reading, writing

    def send(self, message: list[Any]) -> None:
        data = pack(message)
        data = struct.pack(">I", len(data)) + data
        while data:
            data = data[os.write(self.writing, data) :]

    def receive(self) -> list[Any]:
        (length,) = struct.unpack(">I", self._read(4))
        return unpack(self._read(length))

    def _read(self, length: int) -> bytes:
        parts: list[bytes] = []
        while length:
            part = os.read(self.reading, length)
            if not part:
                os._exit(0)  # whoever gave the orders is gone
            parts.append(part)
            length -= len(part)
        return b"".join(parts)


def executed(source: str, name: str) -> types.ModuleType:
    """A module made of ``source``. It is registered, since dataclasses and others look their module up."""
    module = types.ModuleType(name)
    sys.modules[name] = module
    exec(compile(source, f"<{name}>", "exec", dont_inherit=True), module.__dict__)  # noqa: S102 (that is what this is for)
    return module


def told(error: BaseException) -> list[Any]:
    """The exception's nearest builtin type, what it was made of where that can cross, and what it says for people."""
    nearest = next(kind for kind in type(error).__mro__ if kind.__module__ == "builtins")
    try:
        said = f"{type(error).__name__}: {error}".rstrip(": ")[:TEXT]
    except Exception:  # noqa: BLE001 (its own ``__str__``)
        said = type(error).__name__
    try:
        made_of = encode([one[:TEXT] if isinstance(one, str) else one for one in error.args])
        if len(pack(made_of)) > 20 * TEXT:
            made_of = encode([said])
    except Exception:  # noqa: BLE001 (its arguments may be anything)
        made_of = encode([said])
    return [nearest.__name__, made_of, said]
