"""Where an endpoint is and with what key it is asked, checked before anything is sent."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from pydantic import SecretStr

from finetune_gate.evaluators.errors import ConfigurationError, Problem, without_credentials

from ..models.addresses import OPENAI_HOST
from ..models.manifest import shown
from ..pins import Endpoint

NO_KEY = "none"
"""Sent where there is no key: the client needs some value, and servers without keys ignore it."""


@dataclass(frozen=True, slots=True)
class Access:
    """An address and its key. ``loopback``: the server is on this machine, so no proxy stands in between."""

    base_url: str
    key: SecretStr = field(repr=False)
    loopback: bool

    def censored(self, text: str) -> str:
        """``text`` without the key: a server may say it back to us, and what it says is shown to people."""
        key = self.key.get_secret_value()
        return text.replace(key, "<key>") if key != NO_KEY and key in text else text

    def quoted(self, text: str, limit: int = 200) -> str:
        """What a server said, fit for a message: no key, no URL credentials, no control characters, not long."""
        return shown(without_credentials(self.censored(text[:4000])), limit)


def access_to(endpoint: Endpoint, environ: Mapping[str, str]) -> Access:
    """Raises ConfigurationError: an address that is none, holds credentials, or would carry a key in the clear."""
    where = f"endpoint {shown(without_credentials(endpoint.base_url))}"
    try:
        parts = urlsplit(endpoint.base_url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        parts, host = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
        raise ConfigurationError(
            Problem(where, "is no address of an API", "such as https://api.openai.com/v1", "correct base_url")
        )
    if "@" in parts.netloc:
        raise ConfigurationError(
            Problem(
                where, "base_url holds credentials", "an address alone", "put the key into an environment variable, and"
                " its name into the gate file (key)"
            )
        )  # fmt: skip
    address = _ip(host)
    loopback = host == "localhost" or (address is not None and address.is_loopback)
    if address is not None and address.is_link_local:
        raise ConfigurationError(Problem(where, "is a link-local address, where clouds keep machine credentials"))
    variable = endpoint.key_variable
    key = environ.get(variable, "").strip()
    if not key and host == OPENAI_HOST:
        raise ConfigurationError(
            Problem(where, f"the environment variable {variable} is not set", "an API key", f"export {variable}=...")
        )
    if not all("!" <= char <= "~" for char in key):
        raise ConfigurationError(
            Problem(where, f"the key in {variable} holds characters that no header can carry", way_out="set it again")
        )
    if key and parts.scheme == "http" and not loopback:
        raise ConfigurationError(
            Problem(
                where,
                f"the key in {variable} would travel unencrypted",
                "https, or a server on this machine",
                f"use https; if the server needs no key, name another variable (key) than {variable}",
            )
        )
    return Access(endpoint.base_url.rstrip("/"), SecretStr(key or NO_KEY), loopback)


def _ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
