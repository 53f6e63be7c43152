"""What the gate and a worker say to each other: JSON objects, each behind its length in four bytes."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import BinaryIO, Final, cast

HEADER: Final = struct.Struct(">I")
MAX_BYTES: Final = 64 << 20
"""Longest message that is read from a worker."""

BATCH_ROWS: Final = 64
MAX_TEXT: Final = 100_000
"""Longest prediction, in characters; a batch of them fits into one message however it is escaped."""

SCRATCH_PREFIX: Final = "finetune-gate-worker-"
"""What the name of a worker's own folder begins with."""

Message = Mapping[str, object]


def encode(message: Message) -> bytes:
    """Plain ASCII, so that text which is no valid Unicode goes through as well."""
    body = json.dumps(message).encode("ascii")
    return HEADER.pack(len(body)) + body


def decode(body: bytes) -> Message:
    """Raises ValueError where ``body`` is no JSON object."""
    try:
        message = cast("object", json.loads(body))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(message, dict):
        raise ValueError("it is no object")
    return cast("Message", message)


def read(stream: BinaryIO) -> Message | None:
    """The next message of the gate, None at the end. For the worker's side, which waits as long as it takes."""
    header = stream.read(HEADER.size)
    if len(header) < HEADER.size:
        return None
    return decode(stream.read(HEADER.unpack(header)[0]))
