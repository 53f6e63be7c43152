"""One harmless question to a server over HTTP, within a deadline that covers all of it: name, connection, body.

match ask("http://127.0.0.1:5000/version", 5.0):
    case Reply(status=200, text=text): ...
    case NoReply(reason=reason): ...
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import urlsplit

from .examining import within

LONGEST: Final = 4 << 20
"""Bytes of a reply that are read; a longer one is cut."""

_REASON = re.compile(r"\[Errno -?\d+\] ([^)'\"\]]+)")


@dataclass(frozen=True, slots=True)
class Reply:
    """What the server said. ``text`` is hostile until proven otherwise."""

    status: int
    text: str

    def json(self) -> object:
        """The parsed body; None where it is no JSON."""
        try:
            return json.loads(self.text)
        except (ValueError, RecursionError):
            return None


@dataclass(frozen=True, slots=True)
class NoReply:
    """Why there is none: in words, without the address."""

    reason: str


def ask(
    url: str,
    seconds: float,
    *,
    headers: Mapping[str, str] | None = None,
    body: object = None,
    method: Literal["POST", "PATCH"] = "POST",
) -> Reply | NoReply:
    """GET ``url``, or send ``body`` as JSON by ``method``. Redirects are not followed: they would carry headers
    elsewhere. Towards this machine no proxy is used."""
    try:
        return within(seconds, lambda: _asked(url, seconds, dict(headers or {}), body, method))
    except TimeoutError:
        return NoReply(f"no answer within {seconds:g} s")


def is_loopback(url: str) -> bool:
    """Whether ``url`` leads to this machine alone, as far as its spelling tells."""
    host = _host(url)
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""


def _asked(url: str, seconds: float, headers: dict[str, str], body: object, method: str) -> Reply | NoReply:
    import httpx2

    read = bytearray()
    method = "GET" if body is None else method
    try:
        with (
            httpx2.Client(timeout=seconds, trust_env=not is_loopback(url), follow_redirects=False) as client,
            client.stream(method, url, headers=headers, json=body) as response,
        ):
            for chunk in response.iter_bytes(1 << 16):
                read += chunk
                if len(read) > LONGEST:
                    break
            return Reply(response.status_code, read[:LONGEST].decode(errors="replace"))
    except httpx2.TimeoutException:
        return NoReply(f"no answer within {seconds:g} s")
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
        return NoReply(_reason(error))


def _reason(error: Exception) -> str:
    """What the operating system said, where it did: never the address, which may hold a password."""
    found = _REASON.search(str(error))
    if found:
        return f"no answer ({found[1]})"
    return "no secure connection" if "ssl" in str(error).lower() else f"no answer ({type(error).__name__})"
