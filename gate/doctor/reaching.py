"""Whether something listens at an address that a gate file names."""

from __future__ import annotations

import socket
from typing import Final
from urllib.parse import urlsplit

from .examining import within
from .finding import Finding, fault, ok, skipped

_PORTS: Final = {"tcp": 8786, "tls": 8786, "ray": 10001}
"""Where Dask's scheduler and Ray's server for clients listen by default."""


def cluster_finding(address: str, seconds: float) -> Finding:
    """``address``: the gate file's ``execution.cluster``. A connection is opened and closed again; nothing is said on
    it, so what listens there, and whether it has workers, is not known."""
    name = "cluster"
    try:
        parts = urlsplit(address)
        scheme, host, port = parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return fault(name, f"execution.cluster: {address} is no address", "tcp://HOST:8786 or ray://HOST:10001")
    if not host or not port:
        return skipped(name, f"execution.cluster: {address} is found by Ray itself, where the gate runs")
    where = f"{scheme}://{host}:{port}"
    way_out = "start it (`dask scheduler`, `ray start --head`), open the way to it, or leave execution.cluster out"

    def connect() -> None:
        socket.create_connection((host, port), timeout=seconds).close()

    try:
        within(seconds, connect)
    except TimeoutError:
        return fault(name, f"{where}: no answer within {seconds:g} s", way_out)
    except OSError as error:
        return fault(name, f"{where}: no answer ({error.strerror or type(error).__name__})", way_out)
    return ok(name, f"{where} takes connections; whether it has workers is not asked")
