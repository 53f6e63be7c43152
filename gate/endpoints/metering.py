"""What a call may come to at most, and what it came to."""

from __future__ import annotations

import json
from collections.abc import Mapping

from ..budget import Spent
from .replies import BYTES_PER_TOKEN, NoReply, Reply

_LENGTHS = ("max_tokens", "max_completion_tokens")


def most_of(body: Mapping[str, object]) -> Spent:
    """One call with ``body``: no token is shorter than a byte of what is sent, and the JSON around the texts leaves
    room for what a chat template adds to them (some thirty tokens for each message, a hundred for all). Only a server
    that puts a long text of its own in front reads more."""
    lengths = [length for name in _LENGTHS if isinstance(length := body.get(name), int)]
    sent = json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass")
    return Spent(calls=1, read=len(sent), written=max(lengths, default=0))


def come_to(most: Spent, reply: Reply | NoReply | None, told: tuple[int | None, int | None]) -> Spent:
    """``told``: tokens read and written as the server counts them, where it does. ``reply`` None: not known yet.

    A refusal (any status but 2xx) and a connection that was never made cost no tokens. Where a server took the call and
    does not say, what it read is estimated from its length, and what it wrote is the most that it may have written.
    """
    refused = isinstance(reply, Reply) and not 200 <= reply.status < 300
    if refused or (isinstance(reply, NoReply) and reply.kind in ("unreachable", "unsendable")):
        return Spent(calls=1)
    read, written = told
    return Spent(
        calls=1,
        read=-(-most.read // BYTES_PER_TOKEN) if read is None else read,
        written=most.written if written is None else written,
    )
