"""A sandbox as its outside sees it: a channel of messages, and something that can be ended.

    cell = PipedCell(channel, contained)        # backends make these

Nothing here believes the inside: every wait has a deadline, every message a longest length, and what ends a cell does
not ask it.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Literal, Protocol, Self

from ..protocol import CellError, Ending
from .launching import LAUNCH_SECONDS, READY

_LOOK_EVERY_SECONDS: Final = 0.05
_READ_AT_ONCE: Final = 1 << 16
_HEADER: Final = 4

LINGERING_SECONDS: Final = 0.5
"""How long a process that has closed its channel may take to end by itself before it counts as one that did not."""


class Contained(Protocol):
    """What runs, as a backend ends it."""

    def too_much(self) -> bool:
        """Whether all of it together holds more memory than it may. Asked again and again while something waits."""
        ...

    def end(self, patience: float) -> Ending:
        """Wait up to ``patience`` seconds for it to end by itself, then end everything, and wait until it is gone."""
        ...


class Channel:
    """Messages over two file descriptors, which it owns and closes. ``decode`` takes bytes as they are read and gives
    those that belong to the messages (containers wrap them)."""

    def __init__(
        self, read_from: int, write_to: int, message_bytes: int, decode: Callable[[bytes], bytes] | None = None
    ) -> None:
        self._read_from = read_from
        self._write_to = write_to
        self._message_bytes = message_bytes
        self._decode = decode
        self._unsent = bytearray()
        self._unread = bytearray()
        self.ended = False
        self._closed = False
        self._looked = time.monotonic()
        os.set_blocking(read_from, False)
        os.set_blocking(write_to, False)

    def send(self, message: bytes, deadline: float, look: Callable[[], None]) -> None:
        self._unsent += len(message).to_bytes(_HEADER, "big") + message
        while self._unsent:
            self._turn(deadline, look, reading=len(self._unread) <= self._message_bytes)

    def receive(self, deadline: float, look: Callable[[], None]) -> bytes:
        while True:
            if len(self._unread) >= _HEADER:
                length = int.from_bytes(self._unread[:_HEADER], "big")
                if length > self._message_bytes:
                    raise CellError("too_long", f"it announced a message of {length} bytes")
                if len(self._unread) >= _HEADER + length:
                    message = bytes(self._unread[_HEADER : _HEADER + length])
                    del self._unread[: _HEADER + length]
                    return message
            if self.ended:
                raise CellError("closed", "it closed its channel, or ended")
            self._turn(deadline, look, reading=True)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            os.close(self._read_from)
            if self._write_to != self._read_from:
                os.close(self._write_to)

    def _turn(self, deadline: float, look: Callable[[], None], *, reading: bool) -> None:
        """Move what can be moved, and wait a little where nothing can."""
        if self._closed:
            raise CellError("closed", "the sandbox has been closed")
        left = deadline - time.monotonic()
        if left <= 0:
            raise CellError("deadline", "its time is over")
        poll = select.poll()  # select() cannot take descriptors above 1023
        wanted: dict[int, int] = {}
        if reading and not self.ended:
            wanted[self._read_from] = select.POLLIN
        if self._unsent:
            wanted[self._write_to] = wanted.get(self._write_to, 0) | select.POLLOUT
        for descriptor, events in wanted.items():
            poll.register(descriptor, events)
        happened = dict(poll.poll(1000 * min(left, _LOOK_EVERY_SECONDS)))
        if time.monotonic() - self._looked >= _LOOK_EVERY_SECONDS:
            self._looked = time.monotonic()
            look()  # what it said before it was ended is still read, up to its end
        readable = select.POLLIN | select.POLLHUP | select.POLLERR
        if reading and not self.ended and happened.get(self._read_from, 0) & readable:
            self._read()
        if self._unsent and happened.get(self._write_to, 0) & (select.POLLOUT | select.POLLERR):
            self._write()

    def _read(self) -> None:
        try:
            part = os.read(self._read_from, _READ_AT_ONCE)
        except BlockingIOError:
            return
        except OSError:
            part = b""
        self.ended = not part
        self._unread += part if self._decode is None else self._decode(part)

    def _write(self) -> None:
        try:
            sent = os.write(self._write_to, self._unsent[:_READ_AT_ONCE])
        except BlockingIOError:
            return
        except OSError:
            self._unsent.clear()
            raise CellError("closed", "it closed its channel, or ended") from None
        del self._unsent[:sent]


class PipedCell:
    """``protocol.Cell`` over a channel. To be used by one thread at a time."""

    def __init__(self, channel: Channel, contained: Contained) -> None:
        self._channel = channel
        self._contained = contained
        self._ending: Ending | None = None
        self._out_of_memory = False

    def launch(self, setup: bytes, program: str) -> None:
        """Hand the launcher what it waits for. Raises OSError where the sandbox does not come up."""
        deadline = time.monotonic() + LAUNCH_SECONDS
        try:
            self.send(setup, deadline)
            said = self.receive(deadline)
            if said != READY:
                raise OSError(said.decode("utf-8", "replace"))
            self.send(program.encode("utf-8"), deadline)
        except CellError as error:
            raise OSError(f"its Python did not start: {error}") from error

    def send(self, message: bytes, deadline: float) -> None:
        self._channel.send(message, deadline, self._look)

    def receive(self, deadline: float) -> bytes:
        return self._channel.receive(deadline, self._look)

    def close(self) -> Ending:
        if self._ending is None:
            patience = LINGERING_SECONDS if self._channel.ended and not self._out_of_memory else 0.0
            try:
                ending = self._contained.end(patience)
            finally:
                self._channel.close()
            self._ending = "out_of_memory" if self._out_of_memory else ending
        return self._ending

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> Literal[None]:
        self.close()

    def _look(self) -> None:
        if not self._out_of_memory and self._contained.too_much():
            self._out_of_memory = True
            self._contained.end(0.0)
